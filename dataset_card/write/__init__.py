"""Writes a dataset folder: parquet, card, credits, figures."""
