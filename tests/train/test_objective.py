import numpy as np
import pytest
import torch
import torch.nn.functional as F

from train.optim import Objective, rareness

LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


class _Model(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def _images() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_without_settings_it_is_cross_entropy() -> None:
    images = _images()
    answer = Objective(3)(_Model(), images, LABELS, seed=0)
    logits = _Model()(images)
    assert answer.loss == F.cross_entropy(logits, LABELS)
    assert (answer.right, answer.pictures) == (int((logits.argmax(1) == LABELS).sum()), 6)


@pytest.mark.parametrize("settings", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_mixing_follows_from_the_seed(settings: dict[str, float]) -> None:
    objective = Objective(3, **settings)
    seen = []
    for seed, elsewhere in ((1, 5), (1, 6), (2, 5)):
        np.random.seed(elsewhere)
        images = _images()
        targets = objective.targets(images, LABELS, seed)
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        seen.append((images, targets))
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][0], seen[2][0])


def test_mixed_targets_are_the_pictures_shares() -> None:
    images = torch.stack([torch.full((3, 8, 8), float(label)) for label in (0, 1)])
    targets = Objective(2, mixup=0.8).targets(images, torch.tensor([0, 1]), seed=3)
    torch.testing.assert_close(images[:, 0, 0, 0], targets[:, 1])
    assert 0 < targets[0, 1] < 1


def test_of_an_odd_number_the_last_stays_as_it_is() -> None:
    images, before = _images()[:5], _images()
    targets = Objective(3, mixup=0.8).targets(images, LABELS[:5], seed=3)
    assert torch.equal(images[4], before[4])
    assert targets[4].tolist() == [0, 1, 0]
    assert not torch.equal(images[0], before[0])


def test_rare_classes_weigh_more() -> None:
    weights = rareness([0, 0, 0, 1], 2)
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0]))
    images, labels = _images()[:4, :2], torch.tensor([0, 0, 0, 1])
    weighted = Objective(2, class_weights=weights)(_Model(), images, labels, seed=0).loss
    each = F.cross_entropy(_Model()(images), labels, reduction="none")
    torch.testing.assert_close(weighted, (each[:3].mean() + each[3]) / 2)


def test_smoothing_acts_on_mixed_targets_too() -> None:
    losses = [
        Objective(3, label_smoothing=smoothing, mixup=0.4)(_Model(), _images(), LABELS, seed=1).loss
        for smoothing in (0.0, 0.2)
    ]
    assert losses[0] != losses[1]
