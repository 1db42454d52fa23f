"""Photographs -> a Hugging Face dataset folder with a card. Imports no torch."""
