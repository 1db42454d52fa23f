import hashlib
import subprocess
import sys

import imagehash
import numpy as np
import pytest
from PIL import Image

from dataset_card.drawing.picture import DANCES, draw_picture

PER_DANCE = 15


@pytest.fixture(scope="module")
def pictures() -> dict[str, list[Image.Image]]:
    return {dance: [draw_picture(dance, 8, index) for index in range(PER_DANCE)] for dance in DANCES}


def test_there_are_eight_dances_in_order():
    assert len(DANCES) == 8
    assert list(DANCES) == sorted(DANCES)


def test_sizes_mode_and_both_orientations(pictures):
    for dance, images in pictures.items():
        assert all(image.mode == "RGB" for image in images), dance
        assert all(256 <= side <= 640 for image in images for side in image.size), dance
        assert any(image.width > image.height for image in images), dance
        assert any(image.width < image.height for image in images), dance


def test_every_picture_has_contrast(pictures):
    for dance, images in pictures.items():
        for index, image in enumerate(images):
            assert np.asarray(image.convert("L")).std() > 8, (dance, index)


def test_same_arguments_same_pixels_whatever_was_drawn_before(pictures):
    for dance in DANCES:
        draw_picture(dance, 3, 0)
        assert draw_picture(dance, 8, 4).tobytes() == pictures[dance][4].tobytes()


def test_same_pixels_in_another_process_with_another_string_hash(pictures):
    program = (
        "import hashlib\nfrom dataset_card.drawing.picture import draw_picture\n"
        "print(hashlib.sha256(draw_picture('odissi', 8, 2).tobytes()).hexdigest())"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == hashlib.sha256(pictures["odissi"][2].tobytes()).hexdigest()


def test_seed_index_and_dance_each_change_the_picture():
    one = draw_picture("kathak", 8, 0)
    others = (draw_picture("kathak", 9, 0), draw_picture("kathak", 8, 1), draw_picture("odissi", 8, 0))
    assert all(other.size != one.size or other.tobytes() != one.tobytes() for other in others)


def test_an_unknown_dance_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown dance 'chhau'; known are bharatanatyam, kathak,"):
        draw_picture("chhau", 8, 0)


def test_pictures_of_one_dance_are_no_near_duplicates(pictures):
    for dance, images in pictures.items():
        hashes = np.stack([imagehash.phash(image, hash_size=16).hash.ravel() for image in images])
        distance = (hashes[:, None] != hashes[None]).sum(axis=-1)
        assert distance[np.triu_indices(len(images), 1)].min() > 40, dance


def test_mean_colour_does_not_give_the_dance_away(pictures):
    means = np.array([[np.asarray(i).reshape(-1, 3).mean(axis=0) for i in images] for images in pictures.values()])
    hits = 0
    for dance in range(len(DANCES)):
        for index in range(PER_DANCE):
            centroids = means.mean(axis=1)
            centroids[dance] = np.delete(means[dance], index, axis=0).mean(axis=0)
            hits += int(np.argmin(((centroids - means[dance, index]) ** 2).sum(axis=1)) == dance)
    assert hits / (len(DANCES) * PER_DANCE) < 0.45
