"""What `check` looks at, a module per kind of fault. None of them opens the dataset or decodes a picture again."""
