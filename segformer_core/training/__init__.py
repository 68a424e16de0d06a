"""The training loop and everything in it that is not arithmetic of the network."""
