"""Where photographs come from: the sources, the way to them, and the folder that photographs are collected into."""
