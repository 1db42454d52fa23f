"""The page without a server: what it is made of, and what writes it."""
