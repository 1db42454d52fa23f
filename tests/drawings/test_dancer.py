import math
import random
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from drawings.canvas import Canvas, Frame, arc, resample, smooth
from drawings.costumes import COLOURS, COSTUMES, Costume
from drawings.dancer import dress, paint_marks, tone
from drawings.figure import ANKLE, SHIN, SIGNS, THIGH, draw_hand, knee_between
from drawings.ornaments import MARKS, both
from drawings.places import PLACES, draw_place, light

COSTUME_ROWS = [costume for rows in COSTUMES.values() for _, costume in rows]


def test_smooth_passes_through_its_control_points():
    points = np.array([(0.0, 0.0), (4.0, 2.0), (6.0, -1.0), (9.0, 3.0)])
    assert np.allclose(smooth(points)[::6], points)
    assert np.allclose(smooth(points, closed=True)[::6], points)


def test_resample_spaces_points_evenly():
    steps = np.hypot(*np.diff(resample([(0, 0), (1, 0), (10, 0)], 6), axis=0).T)
    assert np.allclose(steps, 2.0)


def test_a_turned_frame_moves_features_and_keeps_them_on_the_head():
    assert np.allclose(Frame(0, 0).at([(2.4, 0.0)]), [(2.4, 0.0)])
    assert 2.4 < Frame(0, 0, turn=0.8).at([(2.4, 0.0)])[0, 0] < 6.2


def test_a_flipped_frame_changes_sides_and_keeps_heights():
    frame = Frame(1.0, 2.0, 0.0, flip=-1)
    assert frame.point(3.0, 4.0) == pytest.approx((-2.0, 6.0))
    assert np.allclose(frame.at([(3.0, 4.0)]), [(-2.0, 6.0)])


def test_a_mirrored_canvas_draws_on_the_other_side():
    left, right = (Image.new("RGB", (80, 40)) for _ in range(2))
    Canvas(left, 1.0, (40.0, 20.0), mirrored=True).dot((20.0, 0.0), 4.0, (255, 255, 255))
    Canvas(right, 1.0, (40.0, 20.0)).dot((20.0, 0.0), 4.0, (255, 255, 255))
    assert left.getpixel((20, 20)) == right.getpixel((60, 20)) == (255, 255, 255)


def test_pleats_fill_the_panel():
    image = Image.new("RGB", (60, 60))
    canvas = Canvas(image, 1.0, (30.0, 55.0))
    canvas.pleats(arc(0, 50, 5, 5, 180, 360), arc(0, 20, 20, 20, 180, 360), (200, 40, 40), 8)
    assert image.getpixel((30, 40))[0] > 80


@pytest.mark.parametrize("side", [-1, 1])
def test_a_turned_out_knee_keeps_the_lengths_of_the_bones(side):
    hip, ankle = (side * 4.6, 35.0), (side * 4.5, ANKLE)
    knee = knee_between(hip, ankle, side, 1.0)
    assert math.dist(hip, knee) == pytest.approx(THIGH)
    assert math.dist(knee, ankle) == pytest.approx(SHIN)


@pytest.mark.parametrize("side", [-1, 1])
def test_knees_turn_outwards_on_both_sides(side):
    assert knee_between((side * 4.6, 35.0), (side * 4.5, ANKLE), side, 1.0)[0] * side > 10


@pytest.mark.parametrize("sign", SIGNS)
def test_every_hand_sign_leaves_a_mark(sign):
    image = Image.new("RGB", (60, 60))
    draw_hand(Canvas(image, 4.0, (20.0, 30.0)), Frame(0, 0), sign, (200, 150, 110), flip=False, dye=False)
    assert np.asarray(image).any(axis=-1).sum() > 150


def test_half_of_a_shape_is_mirrored_without_doubling_points_on_the_axis():
    (mark,) = both("head blob gold", 0.3, (0, 2), (1, 0), (0, -2))
    assert mark.points.tolist() == [[0, 2], [1, 0], [0, -2], [-1, 0]]


def test_every_mark_is_worn_or_held_by_somebody():
    worn = chain.from_iterable(chain(*c.head, c.worn, *c.props) for c in COSTUME_ROWS)
    assert set(worn) | {"hair behind", "features", "musician", "sleeves", "brass lamp"} == set(MARKS)


@pytest.mark.parametrize("costume", COSTUME_ROWS)
def test_every_colour_of_a_costume_has_a_name(costume: Costume):
    colours = dict.fromkeys(
        [*COLOURS, *costume.colours, "skin", "main", "contrast", "blouse", "face", "legs", "flower"]
    )
    colours = dict.fromkeys(colours, (1, 2, 3))
    names = [mark.colour for name in chain(*costume.head, costume.worn, *costume.props) for mark in MARKS[name]]
    for cloth in chain(*costume.lower):
        names += [cloth.cloth, *(band[-1] for band in cloth.bands)]
    names += chain.from_iterable(drape[-2:] for drape in costume.drapes)
    for name in (*names, *costume.blouse):
        assert len(tone(colours, name)) == 3


@pytest.mark.parametrize("dance", COSTUMES)
def test_dancers_stay_inside_their_box(dance):
    for seed in range(8):
        dancer = dress(dance, random.Random(seed))
        left, bottom, right, top = dancer.box()
        image = Image.new("RGB", (360, 320), (1, 2, 3))
        dancer.paint(Canvas(image, 2.0, (180.0, 290.0)))
        rows, columns = np.nonzero((np.asarray(image) != (1, 2, 3)).any(axis=-1))
        assert (290 - rows.min()) / 2 <= top + 5
        assert (290 - rows.max()) / 2 >= bottom - 3
        assert (columns.min() - 180) / 2 >= left - 6
        assert (columns.max() - 180) / 2 <= right + 6


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_side_bun_is_on_the_dancers_left_in_every_picture(mirrored):
    # Her left is the picture's right.
    dancer = dress("mohiniyattam", random.Random(5))
    image = Image.new("RGB", (400, 400), (90, 90, 90))
    canvas = Canvas(image, 3.0, (200.0, 360.0), mirrored)
    (bun,) = dancer.frames(mirrored)["side"]
    paint_marks(canvas, bun, MARKS["side bun"], dancer.colours)
    _, columns = np.nonzero((np.asarray(image) != 90).any(axis=-1))
    assert columns.mean() > canvas.pixels([(bun.x, bun.y)])[0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("horizon", [-5.0, 60.0, 400.0])
def test_places_take_any_horizon(place, horizon):
    for seed in range(6):
        assert draw_place(random.Random(seed), (90, 120), horizon, place).size == (90, 120)


def test_light_keeps_size_and_is_repeatable():
    image = Image.new("RGB", (70, 50), (180, 160, 140))
    first, second = (light(image, random.Random(5), (0.5, 0.4)) for _ in range(2))
    assert first.size == image.size
    assert first.tobytes() == second.tobytes()
