"""The way to and from the Hugging Face Hub that all parts share: ids, checked downloads, pushes, errors."""
