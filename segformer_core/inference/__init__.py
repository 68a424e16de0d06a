"""A network put to use: images and videos in, label maps and pictures out."""
