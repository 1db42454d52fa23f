"""The dataset folder: parquet, card, figures."""
