"""One module per dance: its poses, its costume, its headgear."""
