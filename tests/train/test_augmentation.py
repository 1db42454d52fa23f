import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from train.augmentation import RandomView, Shrink, apply_seeded, train_transform
from train.loaders import pixel_transform
from train.recipe import Recipe

SIDE = 64
STILL: dict[str, Any] = {"p_affine": 0.0, "p_lighting": 0.0}


def _recipe(**settings: Any) -> Recipe:
    return Recipe(dataset="dances", output_dir=Path("run"), image_size=SIDE, **settings)


def _config(recipe: Recipe) -> dict[str, Any]:
    return {
        "input_size": (3, SIDE, SIDE), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": recipe.crop_mode,
        "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
    }  # fmt: skip


def _augment(picture: Image.Image, count: int = 1, **settings: Any) -> torch.Tensor:
    """Returns views of a picture, float32 of shape (count, 3, SIDE, SIDE), from 0 to 255."""
    recipe = _recipe(**settings)
    shrunk = Shrink(recipe, _config(recipe))(picture)
    transform = train_transform(recipe, _config(recipe), SIDE)
    views = torch.stack([apply_seeded(transform, shrunk, seed) for seed in range(count)])
    assert (views.dtype, views.shape) == (torch.uint8, (count, SIDE, SIDE, 3))
    return views.permute(0, 3, 1, 2).float()


def _half_white(size: tuple[int, int] = (128, 128)) -> Image.Image:
    """White above black: however it is cropped, mirrored, turned a little or lit, light stays above."""
    picture = Image.new("RGB", size, "black")
    picture.paste("white", (0, 0, size[0], size[1] // 2))
    return picture


def _noise(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))


def test_the_defaults_are_those_of_fastai() -> None:
    bounds = ("min_scale", "max_rotate", "max_zoom", "max_warp", "p_affine", "max_lighting", "p_lighting")
    assert [getattr(_recipe(), name) for name in bounds] == [1.0, 10.0, 1.1, 0.2, 0.75, 0.2, 0.75]


@pytest.mark.parametrize("settings", [{}, {"min_scale": 0.4}, {"crop_mode": "squash", "min_scale": 0.2}])
def test_fine_lines_of_a_wide_photograph_stay(settings: dict[str, Any]) -> None:
    # 16:9, with lines that are four pixels apart where its height is SIDE: evaluation sees them.
    height, width = 9 * 40, 16 * 40
    period = 4 * height / SIDE
    levels = 127.5 + 100 * np.sin(2 * np.pi * (np.arange(width) + 0.5) / period)
    picture = Image.fromarray(np.broadcast_to(levels[None, :, None], (height, width, 3)).astype(np.uint8))
    recipe = _recipe()
    seen = pixel_transform(_config(recipe))(picture).float().std()
    views = _augment(picture, 30, **settings, max_warp=0.0, p_lighting=0.0)[:, :, 16:48, 16:48]
    # A random crop of another shape may draw them together by a third.
    assert float(views.std((1, 2, 3)).mean()) > 0.85 * seen


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(200, 150), (90, 260), (50, 40), (130, 130)])
def test_without_augmentation_a_picture_is_the_one_that_is_evaluated(crop_mode: str, size: tuple[int, int]) -> None:
    picture = _noise(size)
    recipe = _recipe(crop_mode=crop_mode, **STILL)
    expected = pixel_transform(_config(recipe))(picture).permute(2, 0, 1).float()
    views = _augment(picture, 400 if crop_mode == "center" else 8, crop_mode=crop_mode, **STILL)
    # torchvision enlarges a tensor and Pillow an image to within two of 255 levels.
    same = ((views - expected).abs() <= 2).flatten(1).all(1)
    mirrored = ((views - expected.flip(-1)).abs() <= 2).flatten(1).all(1)
    assert same.any()
    assert mirrored.any()
    # A square that is cut from a longer picture is cut at any place, in the middle, too.
    assert crop_mode == "center" or (same | mirrored).all()


@pytest.mark.parametrize("settings", [{}, {"min_scale": 0.4}, {"crop_mode": "border"}])
def test_training_never_turns_a_dancer_upside_down(settings: dict[str, Any]) -> None:
    views = _augment(_half_white(), 60, **settings)
    assert (views[:, :, :16].mean((1, 2, 3)) >= views[:, :, -16:].mean((1, 2, 3))).all()


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(900, 4), (3, 400), (1, 1), (20, 20)])
def test_every_shape_becomes_a_square(crop_mode: str, size: tuple[int, int]) -> None:
    _augment(_half_white(size), 2, crop_mode=crop_mode)
    _augment(_half_white(size), 2, crop_mode=crop_mode, min_scale=0.3)


def test_half_of_all_pictures_are_mirrored() -> None:
    picture = Image.new("RGB", (64, 64), "black")
    picture.paste("white", (0, 0, 32, 64))
    left = _augment(picture, 300, **STILL)[..., :16].mean((1, 2, 3)) > 128
    assert float(left.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_a_square_is_cut_at_random_places_from_end_to_end() -> None:
    picture = Image.fromarray(np.broadcast_to(np.arange(192, dtype=np.uint8)[None, :, None], (64, 192, 3)).copy())
    views = _augment(picture, 200, **STILL)
    assert float(views.min()) <= 2
    assert float(views.max()) >= 189
    assert len({float(level) for level in views.mean((1, 2, 3))}) > 50


def test_a_crop_keeps_its_share_and_shows_no_more_than_the_picture() -> None:
    # Red grows to the right and green downwards, so the corners of a crop say where it was.
    ramp = np.linspace(0, 255, 400)
    pixels = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], 9.0), -1).round().astype(np.uint8)
    views = _augment(Image.fromarray(pixels), 200, min_scale=0.4, **STILL)
    width = (views[:, 0, 32, -1] - views[:, 0, 32, 0]).abs() * SIDE / (SIDE - 1) / 255
    height = (views[:, 1, -1, 32] - views[:, 1, 0, 32]) * SIDE / (SIDE - 1) / 255
    area = width * height
    assert float(area.min()) == pytest.approx(0.4, abs=0.03)
    assert float(area.max()) == pytest.approx(1, abs=0.06)
    assert 0.72 < float((width / height).min()) < 0.85
    assert 1.18 < float((width / height).max()) < 1.38


@pytest.mark.parametrize("min_scale", [1.0, 0.4])
def test_nothing_that_was_there_is_enlarged(min_scale: float) -> None:
    recipe = _recipe(min_scale=min_scale)
    side = Shrink(recipe, _config(recipe)).side
    # The smallest crop, of the most extreme shape, zoomed in as far as may be.
    smallest = side * (min_scale * 3 / 4) ** 0.5 if min_scale < 1 else side
    assert smallest / recipe.max_zoom >= SIDE


def test_a_small_picture_is_stored_as_it_is() -> None:
    for settings in ({}, {"min_scale": 0.4}, {"crop_mode": "squash"}, {"crop_mode": "border"}):
        recipe = _recipe(**settings)
        picture = _noise((60, 41))
        assert np.array_equal(Shrink(recipe, _config(recipe))(picture), np.asarray(picture))


class TestRandomView:
    def _corners(self, **bounds: float) -> list[list[tuple[float, float]]]:
        only = {"max_rotate": 0.0, "max_zoom": 1.0, "max_warp": 0.0, "p_affine": 1.0, **bounds}
        view = RandomView(_recipe(**only), SIDE, (0, 0, 0))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return [view.sample_corners() for _ in range(300)]

    def test_a_turn_keeps_the_corners_distances(self) -> None:
        angles = []
        for corners in self._corners(max_rotate=10):
            vectors = torch.tensor(corners)
            torch.testing.assert_close(vectors.norm(dim=1), torch.full((4,), 2**0.5))
            angles.append(float(torch.rad2deg(torch.atan2(vectors[2, 1], vectors[2, 0]))) - 45)
        assert -10 <= min(angles) < -9
        assert 9 < max(angles) <= 10

    def test_a_zoom_stays_within_the_picture(self) -> None:
        sides = []
        for corners in self._corners(max_zoom=1.1):
            assert all(abs(x) <= 1 + 1e-6 and abs(y) <= 1 + 1e-6 for x, y in corners)
            sides.append(corners[1][0] - corners[0][0])
        assert min(sides) == pytest.approx(2 / 1.1, abs=0.01)
        assert max(sides) == pytest.approx(2, abs=0.01)

    def test_a_tilt_moves_opposite_edges_about_their_middles(self) -> None:
        growth = []
        for top_left, top_right, bottom_right, bottom_left in self._corners(max_warp=0.2):
            for one, other in ((top_left[0], top_right[0]), (bottom_left[0], bottom_right[0])):
                assert one == -other
                growth.append(other)
        assert 0.8 <= min(growth) < 0.82
        assert 1.18 < max(growth) <= 1.2

    def test_each_comes_with_its_probability(self) -> None:
        corners = self._corners(max_rotate=10, p_affine=0.3)
        still = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
        assert sum(points == still for points in corners) / len(corners) == pytest.approx(0.7, abs=0.1)

    def test_the_picture_lands_where_the_corners_say(self) -> None:
        # A photograph of its own coordinates, from -1 to 1, so every pixel says where it was looked for.
        x = (2 * np.arange(200) + 1) / 200 - 1
        pixels = np.stack(np.broadcast_arrays(x[None, :], x[:, None], 0 * x[:, None]), -1)
        corners = [(-0.9, -0.7), (0.8, -0.95), (0.7, 0.9), (-0.95, 0.6)]
        view = RandomView(_recipe(), SIDE, (0, 0, 0))
        picture = torch.from_numpy((127.5 + 127.5 * pixels).round().astype(np.uint8)).permute(2, 0, 1)
        seen = view.transform(picture, {"box": (0, 0, 200, 200), "corners": corners}) / 127.5 - 1
        for (row, column), point in zip(((0, 0), (0, -1), (-1, -1), (-1, 0)), corners, strict=True):
            # The middle of a pixel lies half a pixel within the square.
            assert seen[:2, row, column].tolist() == pytest.approx(point, abs=0.04)

    def test_beyond_the_picture_lies_the_mean_colour_but_not_within(self) -> None:
        turned: dict[str, Any] = {
            "max_zoom": 1.0,
            "max_warp": 0.0,
            "max_rotate": 30,
            "p_affine": 1.0,
            "p_lighting": 0.0,
        }
        corners = _augment(Image.new("RGB", (64, 64), "white"), 20, **turned)[:, :, 0, 0]
        assert {128, 255} >= set(corners.flatten().tolist()) > {255}
        # What a square is cut from goes on beyond it.
        tall = _augment(Image.new("RGB", (64, 640), "white"), 20, **turned)
        wide = _augment(Image.new("RGB", (64, 64), "white"), 20, **turned)
        assert float((tall == 128).sum()) < 0.8 * float((wide == 128).sum())


def test_the_border_has_the_mean_colour() -> None:
    views = _augment(Image.new("RGB", (90, 30), "white"), **STILL, crop_mode="border")
    assert float((views == 128).float().mean()) == pytest.approx(2 / 3, abs=0.02)


def test_light_changes_within_its_bounds() -> None:
    grey = Image.new("RGB", (64, 64), (100, 100, 100))
    for bound in (0.2, 0.6):
        # Of an even grey, contrast changes nothing.
        levels = _augment(grey, 60, p_affine=0.0, max_lighting=bound, p_lighting=1.0).mean((1, 2, 3)) / 100 - 1
        assert float(levels.abs().max()) == pytest.approx(bound, abs=0.1)


def test_contrast_spreads_about_the_mean() -> None:
    spreads = _augment(_half_white(), 40, p_affine=0.0, p_lighting=1.0, max_lighting=0.4).std((1, 2, 3))
    assert float(spreads.min()) < 0.8 * float(_augment(_half_white(), **STILL).std())


def test_a_rectangle_is_erased_with_the_mean_colour() -> None:
    views = _augment(Image.new("RGB", (64, 64), "white"), 20, random_erasing=1.0, **STILL)
    assert set(views.flatten().tolist()) == {128, 255}
    erased = (views == 128).float().mean((1, 2, 3))
    assert 0 < float(erased.min()) <= float(erased.max()) < 0.45


def test_what_is_random_follows_from_the_seed_alone() -> None:
    recipe = _recipe(min_scale=0.4, random_erasing=0.5)
    transform = train_transform(recipe, _config(recipe), SIDE)
    picture = Shrink(recipe, _config(recipe))(_noise((100, 80)))
    before = torch.random.get_rng_state()
    views = [apply_seeded(transform, picture, seed) for seed in (1, 2, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(views[0], views[2])
    assert torch.equal(views[0], apply_seeded(pickle.loads(pickle.dumps(transform)), picture, 1))
    assert not torch.equal(views[0], views[1])
