"""Files on disk, and what a user can do when they can't be read or written. Knows nothing of datasets or models."""
