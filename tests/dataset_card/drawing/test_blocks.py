import math
import random

import numpy as np
import pytest
from PIL import Image

from dataset_card.drawing.backgrounds import PLACES, draw_background
from dataset_card.drawing.canvas import Canvas, Frame, smooth
from dataset_card.drawing.cloth import arc, pleated, resample
from dataset_card.drawing.face import Turned
from dataset_card.drawing.hands import SIGNS, draw_hand
from dataset_card.drawing.lighting import light
from dataset_card.drawing.picture import LOOKS
from dataset_card.drawing.skeleton import ANKLE, SHIN, THIGH, knee_between


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])


def test_smooth_passes_through_its_control_points():
    points = np.array([(0.0, 0.0), (4.0, 2.0), (6.0, -1.0), (9.0, 3.0)])
    assert np.allclose(smooth(points)[::6], points)
    assert np.allclose(smooth(points, closed=True)[::6], points)


def test_frame_maps_points_and_arrays_alike():
    frame = Frame(3.0, -2.0, 0.4, 1.5)
    assert np.allclose(frame.at([(1.0, 2.0)])[0], frame.point(1.0, 2.0))


def test_a_mirrored_canvas_draws_on_the_other_side():
    left, right = (Image.new("RGB", (80, 40)) for _ in range(2))
    Canvas(left, 1.0, (40.0, 20.0), mirrored=True).dot((20.0, 0.0), 4.0, (255, 255, 255))
    Canvas(right, 1.0, (40.0, 20.0)).dot((20.0, 0.0), 4.0, (255, 255, 255))
    assert left.getpixel((20, 20)) == right.getpixel((60, 20)) == (255, 255, 255)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_turned_out_knee_keeps_the_bones_lengths(side):
    hip, ankle = (side * 4.6, 35.0), (side * 4.5, ANKLE)
    knee = knee_between(hip, ankle, side, 1.0)
    assert distance(hip, knee) == pytest.approx(THIGH)
    assert distance(knee, ankle) == pytest.approx(SHIN)
    assert knee[0] * side > 10


def test_a_knee_towards_the_viewer_stays_between_hip_and_ankle():
    assert knee_between((4.0, 36.0), (4.0, ANKLE), 1, 0.0)[0] == pytest.approx(4.0)


def test_resample_spaces_points_evenly():
    steps = np.hypot(*np.diff(resample([(0, 0), (1, 0), (10, 0)], 6), axis=0).T)
    assert np.allclose(steps, 2.0)


def test_pleats_fill_the_panel():
    image = Image.new("RGB", (60, 60))
    pleated(Canvas(image, 1.0, (30.0, 55.0)), arc((0, 50), 5, 180, 360), arc((0, 20), 20, 180, 360), (200, 40, 40), 8)
    assert image.getpixel((30, 40))[0] > 80


def test_a_turned_face_moves_its_features_and_keeps_them_on_the_head():
    head = Frame(0.0, 0.0)
    assert Turned(head, 0.0).point(2.4, 0.0) == pytest.approx((2.4, 0.0))
    assert 2.4 < Turned(head, 0.8).point(2.4, 0.0)[0] < 6.2


@pytest.mark.parametrize("sign", SIGNS)
def test_every_hand_sign_leaves_a_mark(sign):
    image = Image.new("RGB", (60, 60))
    draw_hand(Canvas(image, 4.0, (20.0, 30.0)), (0.0, 0.0), 0.0, sign, (200, 150, 110), flip=False)
    assert np.asarray(image).any(axis=-1).sum() > 150


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("horizon", [-5.0, 60.0, 400.0])
def test_places_take_any_horizon(place, horizon):
    assert draw_background(random.Random(1), (90, 120), horizon, place).size == (90, 120)


def test_light_keeps_size_and_is_repeatable():
    image = Image.new("RGB", (70, 50), (180, 160, 140))
    first, second = (light(image, random.Random(5), (0.5, 0.4)) for _ in range(2))
    assert first.size == image.size
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("dance", LOOKS)
def test_every_look_draws_inside_its_box(dance):
    for seed in range(4):
        performer = LOOKS[dance](random.Random(seed))
        left, bottom, right, top = performer.box()
        image = Image.new("RGB", (300, 300), (1, 2, 3))
        performer.paint(Canvas(image, 2.0, (150.0, 270.0)))
        rows, columns = np.nonzero((np.asarray(image) != (1, 2, 3)).any(axis=-1))
        assert (270 - rows.min()) / 2 <= top + 6
        assert (270 - rows.max()) / 2 >= bottom - 6
        assert (columns.min() - 150) / 2 >= left - 8
        assert (columns.max() - 150) / 2 <= right + 8
