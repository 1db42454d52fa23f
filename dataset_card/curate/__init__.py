"""What is decided over scanned pictures: which are the same picture, which belong together."""
