"""Weights between two models: what a stage began with and what it has learned."""

import copy
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """A model whose weights lie on the line from those that a stage began with to those that it has now.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT): between a classifier on frozen features
    and the fine-tuned model, there often is one that is better than both.
    """

    def __init__(self, model: Any, start: dict[str, torch.Tensor], share: float) -> None:
        """Makes it.

        Args:
            model: What learns; it is copied.
            start: The weights that the stage began with, in main memory.
            share: How far from there to the learned ones, 0 to 1.
        """
        self.module = copy.deepcopy(model)
        self.start, self.share = start, share

    @torch.no_grad()
    def follow(self, learned: nn.Module) -> None:
        """Takes up what has been learned since; whole numbers, as of counted batches, are the learned ones."""
        weights = learned.state_dict()
        for name, value in weights.items():
            if value.is_floating_point():
                weights[name] = torch.lerp(self.start[name].to(value.device), value, self.share)
        self.module.load_state_dict(weights)
