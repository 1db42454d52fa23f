"""A file becomes upright sRGB, or the reason why not: the same for the dataset and for the page."""
