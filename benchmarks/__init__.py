"""Side-by-side runs against peers: each script prints one table."""
