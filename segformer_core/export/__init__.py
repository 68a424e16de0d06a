"""Files for other runtimes. A file is kept only if its outputs agree with the network's."""
