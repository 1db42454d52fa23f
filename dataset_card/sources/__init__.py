"""Where photographs come from: each module finds pictures at one source and says what it knows of them."""
