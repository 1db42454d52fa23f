"""What training minimises, and what moves the weights: discriminative learning rates under a one-cycle schedule."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.models import group_parameters
from timm.optim import create_optimizer_v2, list_optimizers
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from files.errors import UserError, first_line


class OptimizerError(UserError):
    """An optimizer that needs what this machine has not."""


def layer_groups(model: Any) -> list[list[tuple[str, nn.Parameter]]]:
    """Returns the named weights of each layer group, from the picture's side to the classifier's.

    timm's coarse grouping: six groups for a ResNet (stem, four stages, classifier).
    """
    parameters = dict(model.named_parameters())
    grouped: dict[int, list[str]] = group_parameters(model, model.group_matcher(coarse=True))
    return [[(name, parameters[name]) for name in grouped[depth]] for depth in sorted(grouped)]


def optimizer_names() -> list[str]:
    """Returns the optimizers of timm that a recipe may name."""
    # One needs second derivatives, the other draws random numbers of which no checkpoint knows.
    return list_optimizers(exclude_filters=["adahessian", "kron*"])


def make_optimizer(
    model: Any,
    max_lr: float,
    lr_mult: float,
    weight_decay: float,
    decoupled: bool = True,
    name: str = "adamw",
) -> torch.optim.Optimizer:
    """Returns an optimizer over the weights that learn, with discriminative learning rates.

    The classifier's group has `max_lr`, each group below it `lr_mult` times the rate of the one above.
    Biases and norms (one-dimensional) have no weight decay, nor has what the architecture exempts, such as the
    position embeddings of a vision transformer.

    Args:
        model: A timm model.
        max_lr: The classifier's rate.
        lr_mult: Each layer group learns at this share of the rate of the one above.
        weight_decay: As the optimizer has it, for AdamW decoupled from the gradient.
        decoupled: Without, it is Adam on a loss with the penalty `weight_decay / 2` times the squared norm of the
            weights, which ends where that has its minimum, whatever `name` says.
        name: One of `optimizer_names`.

    Raises:
        OptimizerError: It needs a package or a device that is not there.
    """
    groups = layer_groups(model)
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    parameters: list[dict[str, Any]] = []
    for above, group in zip(range(len(groups) - 1, -1, -1), groups, strict=True):
        learning = [(name, parameter) for name, parameter in group if parameter.requires_grad]
        decaying = [p for name, p in learning if p.ndim > 1 and name not in exempt]
        others = [p for name, p in learning if p.ndim <= 1 or name in exempt]
        for members, decay in ((decaying, weight_decay), (others, 0.0)):
            if members:
                parameters.append({"params": members, "lr": max_lr * lr_mult**above, "weight_decay": decay})
    if name == "adamw" or not decoupled:
        # One pass over each weight: a sixth of the time of AdamW's own loop, on a CPU 3 % of a ResNet34's step.
        return torch.optim.Adam(parameters, fused=True, decoupled_weight_decay=decoupled)
    try:
        return create_optimizer_v2(parameters, name, lr=max_lr, weight_decay=weight_decay)
    except (AssertionError, ImportError) as error:
        raise OptimizerError(f"optimizer={name} can't be used here ({first_line(error)}): choose another") from None


def momentum_of(group: dict[str, Any]) -> float:
    """Returns the momentum of an optimizer's parameter group, Adam's first beta, or 0 where it has none."""
    return group["betas"][0] if "betas" in group else group.get("momentum", 0.0)


def make_one_cycle(
    optimizer: torch.optim.Optimizer,
    total_steps: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
) -> OneCycleLR:
    """Returns a one-cycle schedule (Smith 2018) for every group's rate; momentum, if any, cycles against it.

    The rate rises to each group's own `lr` in the first `pct_start` of `total_steps` and falls to nearly
    nothing in the rest, along cosines.
    """
    if total_steps > 1:
        # The rise needs two steps: torch divides by zero where it has exactly one.
        pct_start = max(pct_start, min(2, total_steps - 0.5) / total_steps)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=not optimizer.defaults.keys().isdisjoint(("betas", "momentum")),
    )


@dataclass(frozen=True)
class Answer:
    """The loss and the correct predictions of a batch of training pictures.

    Attributes:
        loss: A scalar that has gradients.
        right: How many predictions are correct, for mixed pictures about the one that weighs more; a scalar, too.
        pictures: How many pictures the batch has.
    """

    loss: torch.Tensor
    right: torch.Tensor
    pictures: int


class Objective:
    """Gives the loss of a model on a batch."""

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        """Takes the settings.

        Args:
            num_classes: Outputs of the model.
            label_smoothing: 0 to 1.
            mixup: Alpha of the Beta distribution of mixup (Zhang 2018); 0 for never.
            cutmix: The same of CutMix (Yun 2019); with both, either comes with probability 1/2.
            class_weights: float32 of shape (classes,), or None for all alike.
        """
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self.mixup = (
            Mixup(mixup_alpha=mixup, cutmix_alpha=cutmix, label_smoothing=0.0, num_classes=num_classes)
            if mixup or cutmix
            else None
        )

    def __call__(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int) -> Answer:
        """Runs the model.

        Args:
            model: Gives logits of shape (batch, classes).
            images: float32 of shape (batch, 3, height, width), which mixing changes in place; or their features.
            labels: int64 of shape (batch,).
            seed: Decides how pictures are mixed, so that a resumed run mixes as an uninterrupted one.
        """
        targets = self.targets(images, labels, seed)
        logits = model(images)
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        total = F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing, reduction="sum")
        truth = labels if targets.ndim == 1 else targets.argmax(1)
        # Not torch's mean, which divides by the batch's weights: a batch that is split would have another loss.
        return Answer(total / len(labels), (logits.detach().argmax(1) == truth).sum(), len(labels))

    def without_mixing(self) -> "Objective":
        """Returns the same for cached features, which have no pictures any more that could be mixed."""
        plain = copy(self)
        plain.mixup = None
        return plain

    def targets(self, images: torch.Tensor, labels: torch.Tensor, seed: int) -> torch.Tensor:
        """Mixes pictures in place, if they are to be mixed.

        Returns:
            The share of each class in each picture, float32 of shape (batch, classes); the labels themselves where
            nothing is mixed.
        """
        if self.mixup is None:
            return labels
        # timm draws from numpy's global generator, and pairs pictures: of an odd number the last stays as it is.
        np.random.seed(seed % 2**32)
        even = len(labels) // 2 * 2
        _, targets = self.mixup(images[:even], labels[:even])
        return torch.cat([targets, F.one_hot(labels[even:], targets.shape[1]).to(targets)])


def rareness(labels: Sequence[int], num_classes: int) -> torch.Tensor:
    """Returns a weight per class, inverse to its number of pictures; their mean over all pictures is 1."""
    counts = torch.bincount(torch.tensor(labels), minlength=num_classes)
    return len(labels) / (num_classes * counts.float())
