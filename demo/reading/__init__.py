"""What visitors give, read with care."""
