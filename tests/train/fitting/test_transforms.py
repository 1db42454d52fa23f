import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from train.fitting.data import load_images
from train.fitting.transforms import Augmentation, RandomWarp, train_transform

CONFIG = {
    "input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash",
    "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
}  # fmt: skip
STILL = Augmentation(p_affine=0.0, p_lighting=0.0)


def _half_white(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """White above black: however it is cropped, mirrored, turned a little or lit, light stays above."""
    picture = Image.new("RGB", size, "black")
    picture.paste("white", (0, 0, size[0], size[1] // 2))
    return picture


def test_the_defaults_are_those_of_fastai() -> None:
    defaults = dataclasses.asdict(Augmentation())
    assert defaults == {
        "min_scale": 1.0, "max_rotate": 10.0, "max_zoom": 1.1, "max_warp": 0.2, "p_affine": 0.75, "max_lighting": 0.2,
        "p_lighting": 0.75, "random_erasing": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(min_scale=0.4)])
def test_training_never_turns_a_dancer_upside_down(augmentation: Augmentation) -> None:
    transform = train_transform(CONFIG, augmentation)
    torch.manual_seed(0)
    for _ in range(50):
        tensor = transform(_half_white())
        assert tensor[:, :8].mean() >= tensor[:, -8:].mean()


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(90, 40), (40, 90), (20, 20)])
def test_every_shape_becomes_a_square(crop_mode: str, size: tuple[int, int]) -> None:
    tensor = train_transform({**CONFIG, "crop_mode": crop_mode}, Augmentation())(_half_white(size))
    assert (tensor.shape, tensor.dtype) == ((3, 32, 32), torch.float32)


def test_crop_modes_differ_as_in_judging() -> None:
    torch.manual_seed(0)
    picture = Image.new("RGB", (90, 30), "white")
    black = {}
    for mode in ("squash", "border", "center"):
        black[mode] = float((train_transform({**CONFIG, "crop_mode": mode}, STILL)(picture) < 0.9).float().mean())
    # Only the border mode shows something that is not the picture: two thirds of grey.
    assert black == {"squash": 0.0, "border": pytest.approx(2 / 3, abs=0.05), "center": 0.0}


def test_a_picture_is_cut_at_random_places(dataset_folder: Path) -> None:
    picture = Image.new("RGB", (96, 32), "black")
    picture.paste("white", (48, 0, 96, 32))
    transform = train_transform({**CONFIG, "crop_mode": "center"}, STILL)
    torch.manual_seed(0)
    assert len({round(float(transform(picture).mean()), 2) for _ in range(10)}) > 3


class TestWarp:
    def _draw(self, **bounds: float) -> list[list[tuple[float, float]]]:
        torch.manual_seed(0)
        kept = {"max_rotate": 0.0, "max_zoom": 1.0, "max_warp": 0.0, "p_affine": 1.0}
        warp = RandomWarp(Augmentation(**{**kept, **bounds}), [0, 0, 0])
        return [warp.draw_corners() for _ in range(200)]

    def test_a_turn_keeps_the_corners_distances(self) -> None:
        angles = []
        for corners in self._draw(max_rotate=10):
            vectors = torch.tensor(corners)
            torch.testing.assert_close(vectors.norm(dim=1), torch.full((4,), 2**0.5))
            angles.append(float(torch.rad2deg(torch.atan2(vectors[2, 1], vectors[2, 0]))) - 45)
        assert -10 <= min(angles) < -8
        assert 8 < max(angles) <= 10

    def test_a_zoom_stays_within_the_picture(self) -> None:
        sides = []
        for corners in self._draw(max_zoom=1.1):
            assert all(abs(x) <= 1 + 1e-6 and abs(y) <= 1 + 1e-6 for x, y in corners)
            sides.append(corners[1][0] - corners[0][0])
        assert min(sides) == pytest.approx(2 / 1.1, abs=0.01)
        assert max(sides) == pytest.approx(2, abs=0.01)

    def test_a_tilt_moves_opposite_edges_about_their_middles(self) -> None:
        for top_left, top_right, bottom_right, bottom_left in self._draw(max_warp=0.2):
            for one, other in ((top_left[0], top_right[0]), (bottom_left[0], bottom_right[0])):
                assert one == -other
                assert 0.8 <= other <= 1.2

    def test_each_comes_with_its_probability(self) -> None:
        still = sum(corners == self._draw(p_affine=0)[0] for corners in self._draw(max_rotate=10, p_affine=0.3))
        assert still / 200 == pytest.approx(0.7, abs=0.1)

    def test_nothing_to_do_leaves_the_picture_alone(self) -> None:
        image = torch.randint(0, 256, (3, 9, 7), dtype=torch.uint8)
        assert RandomWarp(STILL, [0, 0, 0])(image) is image

    def test_the_picture_lands_where_the_corners_say(self) -> None:
        # Turned by 10 degrees at most, the middle stays where it is.
        image = torch.zeros(3, 33, 33, dtype=torch.uint8)
        image[:, 15:18, 15:18] = 255
        warped = RandomWarp(Augmentation(max_zoom=1.0, max_warp=0.0, p_affine=1.0), [9, 9, 9])(image)
        assert warped[:, 16, 16].min() > 200
        assert (warped[:, 0, 0] == 9).all() or (warped[:, 0, -1] == 9).all()


def test_light_changes_within_its_bounds() -> None:
    grey = Image.new("RGB", (32, 32), (128, 128, 128))
    for bound, farthest in ((0.2, 0.2), (0.6, 0.6)):
        transform = train_transform(CONFIG, Augmentation(p_affine=0.0, max_lighting=bound, p_lighting=1.0))
        torch.manual_seed(0)
        # Of an even grey, contrast changes nothing.
        levels = [float(transform(grey).mean()) for _ in range(60)]
        assert max(map(abs, levels)) == pytest.approx(farthest, abs=0.1)


def test_a_rectangle_is_blotted_out() -> None:
    white = Image.new("RGB", (32, 32), "white")
    still = dataclasses.replace(STILL, random_erasing=1.0)
    tensor = train_transform(CONFIG, still)(white)
    # Zero is the mean of the pictures that the weights were made from.
    assert set(tensor.unique().tolist()) == {0.0, 1.0}


def test_no_two_epochs_show_a_picture_alike(dataset_folder: Path) -> None:
    from train.fitting.batches import TransformedImages

    images = TransformedImages(
        load_images(str(dataset_folder)).split("train"), train_transform(CONFIG, Augmentation()), seed=8
    )
    views = []
    for epoch in (0, 1, 0):
        images.set_epoch(epoch)
        views.append(images[0][0])
    assert torch.equal(views[0], views[2])
    assert not torch.equal(views[0], views[1])
