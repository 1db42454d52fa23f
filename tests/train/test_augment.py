import dataclasses
import random

import pytest
import torch
from PIL import Image

from train.augmentation import Augmentation, Augmenter, square_side, square_transform

CONFIG = {
    "input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0, "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}  # fmt: skip
STILL = Augmentation(p_affine=0.0, p_lighting=0.0)


def _change(
    picture: Image.Image, augmentation: Augmentation, crop_mode: str = "squash", seeds: int = 1
) -> torch.Tensor:
    square = square_transform(CONFIG, square_side(32, augmentation.min_scale))(picture)
    aspect = picture.width / picture.height
    changes = torch.stack([augmentation.draw(crop_mode, aspect, seed) for seed in range(seeds)])
    return Augmenter(CONFIG)(square.expand(seeds, -1, -1, -1), changes)


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
    images = _change(_half_white(), augmentation, seeds=50)
    assert (images[:, :, :8].mean((1, 2, 3)) >= images[:, :, -8:].mean((1, 2, 3))).all()


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(90, 40), (40, 90), (20, 20)])
def test_every_shape_becomes_a_square(crop_mode: str, size: tuple[int, int]) -> None:
    images = _change(_half_white(size), Augmentation(), crop_mode, seeds=2)
    assert (images.shape, images.dtype) == ((2, 3, 32, 32), torch.float32)


def test_a_picture_that_nothing_happens_to_is_the_one_that_is_judged() -> None:
    picture = Image.effect_noise((50, 40), 90).convert("RGB")
    square = square_transform(CONFIG, 32)(picture).float() / 127.5 - 1
    # Mirrored or not.
    left, right = square, square.flip(-1)
    for image in _change(picture, STILL, seeds=6):
        assert min((image - left).abs().max(), (image - right).abs().max()) < 1e-4


def test_half_of_all_pictures_are_mirrored() -> None:
    picture = Image.new("RGB", (64, 64), "black")
    picture.paste("white", (0, 0, 32, 64))
    left = _change(picture, STILL, seeds=200)[..., :16].mean((1, 2, 3)) > 0.5
    assert float(left.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_crop_modes_differ_as_in_judging() -> None:
    picture = Image.new("RGB", (90, 30), "white")
    grey = {
        mode: float((_change(picture, STILL, mode) < 0.9).float().mean()) for mode in ("squash", "border", "center")
    }
    # Only the border mode shows something that is not the picture: two thirds of grey.
    assert grey == {"squash": 0.0, "border": pytest.approx(2 / 3, abs=0.05), "center": 0.0}


def test_a_picture_is_cut_at_random_places() -> None:
    picture = Image.new("RGB", (96, 32), "black")
    picture.paste("white", (48, 0, 96, 32))
    levels = _change(picture, STILL, "center", seeds=10).mean((1, 2, 3))
    assert len({round(float(level), 2) for level in levels}) > 3


@pytest.mark.parametrize("aspect", [0.3, 1.0, 1.6, 4.0])
def test_a_crop_keeps_its_share_and_the_shape_of_things(aspect: float) -> None:
    views = [
        Augmentation(min_scale=0.4, p_affine=0.0).draw("squash", aspect, seed)[:9].view(3, 3) for seed in range(300)
    ]
    areas = [float(abs(view[0, 0]) * view[1, 1]) for view in views]
    # How wide a crop is, measured in pixels, for its height.
    shapes = [float(abs(view[0, 0]) * aspect / view[1, 1]) for view in views]
    assert all(3 / 4 - 1e-4 <= shape <= 4 / 3 + 1e-4 for shape in shapes)
    assert all(area <= 1 for area in areas)
    if 3 / 4 <= aspect <= 4 / 3:
        assert min(areas) == pytest.approx(0.4, abs=0.02)
    # It never leaves the picture.
    for view in views:
        for axis in (0, 1):
            assert abs(float(view[axis, 2])) + abs(float(view[axis, axis])) <= 1 + 1e-5


class TestWarp:
    def _draw(self, **bounds: float) -> list[list[tuple[float, float]]]:
        kept = {"max_rotate": 0.0, "max_zoom": 1.0, "max_warp": 0.0, "p_affine": 1.0}
        return [Augmentation(**{**kept, **bounds}).draw_corners(random.Random(seed)) for seed in range(200)]

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

    def test_the_picture_lands_where_the_corners_say(self) -> None:
        seeing = Augmentation(max_zoom=1.3, max_warp=0.3, max_rotate=20, p_affine=1.0, p_lighting=0.0)
        chance = random.Random(3)
        mirrored = chance.random() < 0.5
        drawn = seeing.draw_corners(chance)
        view = seeing.draw("squash", 1.0, 3)[:9].view(3, 3)
        for corner, (x, y) in zip(((-1, -1), (1, -1), (1, 1), (-1, 1)), drawn, strict=True):
            to = view @ torch.tensor([*corner, 1.0])
            torch.testing.assert_close(to[:2] / to[2], torch.tensor([-x if mirrored else x, y]))

    def test_beyond_the_picture_lies_the_mean_colour(self) -> None:
        turned = Augmentation(max_zoom=1.0, max_warp=0.0, max_rotate=30, p_affine=1.0, p_lighting=0.0)
        images = _change(Image.new("RGB", (32, 32), "white"), turned, seeds=5)
        assert images[:, :, 16, 16].min() > 0.99
        assert any(float(image[0, 0, 0].abs()) < 1e-6 for image in images)


def test_light_changes_within_its_bounds() -> None:
    grey = Image.new("RGB", (32, 32), (128, 128, 128))
    for bound in (0.2, 0.6):
        augmentation = Augmentation(p_affine=0.0, max_lighting=bound, p_lighting=1.0)
        # Of an even grey, contrast changes nothing.
        levels = _change(grey, augmentation, seeds=60).mean((1, 2, 3))
        assert float(levels.abs().max()) == pytest.approx(bound, abs=0.1)


def test_contrast_spreads_about_the_mean() -> None:
    lit = dataclasses.replace(STILL, p_lighting=1.0)
    spreads = _change(_half_white(), dataclasses.replace(lit, max_lighting=0.4), seeds=40).std((1, 2, 3))
    plain = float(_change(_half_white(), STILL).std())
    assert float(spreads.min()) < 0.8 * plain


def test_a_rectangle_is_blotted_out() -> None:
    images = _change(Image.new("RGB", (32, 32), "white"), dataclasses.replace(STILL, random_erasing=1.0), seeds=20)
    # Zero is the mean of the pictures that the weights were made from.
    blotted = (images.abs() < 1e-3).float().mean((1, 2, 3))
    assert ((images.abs() < 1e-3) | ((images - 1).abs() < 1e-3)).all()
    assert 0 < float(blotted.min()) <= float(blotted.max()) < 0.45


def test_a_batch_is_as_its_pictures_one_by_one() -> None:
    augmentation = Augmentation(min_scale=0.4, random_erasing=0.5)
    squares = torch.randint(0, 256, (7, 3, 40, 40), dtype=torch.uint8)
    changes = torch.stack([augmentation.draw("squash", 1.3, seed) for seed in range(7)])
    together = Augmenter(CONFIG)(squares, changes)
    for number in range(7):
        assert torch.equal(
            Augmenter(CONFIG)(squares[number : number + 1], changes[number : number + 1])[0], together[number]
        )
