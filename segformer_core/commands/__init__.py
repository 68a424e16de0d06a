"""The commands, one file each: those of a backend, and those of the program `segformer`."""
