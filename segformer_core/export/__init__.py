"""Files for other runtimes, each kept only when its answer has been compared with the network's."""
