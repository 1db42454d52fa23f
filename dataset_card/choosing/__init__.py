"""Which pictures become rows, which belong together, and who goes to which split."""
