"""Judging a model: predictions, metrics, figures."""
