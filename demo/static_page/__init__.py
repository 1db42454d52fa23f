"""The page that needs no server: its files (`assets/`), what writes it, and the runtime that it computes with."""
