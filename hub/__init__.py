"""The Hugging Face Hub: ids with revisions, what may be published, errors of its clients in one line."""
