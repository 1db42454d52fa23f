"""A run among processes, signals and limits: what is done once, agreed on, kept, and said in one line."""
