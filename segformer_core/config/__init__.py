"""The configuration: its keys, and how files and the command line fill them."""
