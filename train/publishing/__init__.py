"""The model folder: weights, config, card, proof that every loader reads it."""
