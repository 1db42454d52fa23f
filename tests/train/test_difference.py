import numpy as np
import pytest

from train.compare import paired_difference


def _right(*spans: tuple[int, bool]) -> np.ndarray:
    return np.concatenate([np.full(count, value) for count, value in spans])


def test_mcnemar_of_a_case_done_by_hand() -> None:
    # 2 against 10 of 12 on which they part: 2 * (1 + 12 + 66) / 2**12.
    first = _right((60, True), (2, True), (10, False), (28, False))
    second = _right((60, True), (2, False), (10, True), (28, False))
    difference = paired_difference(first, second, None)
    assert (difference.only_first, difference.only_second) == (2, 10)
    assert difference.p_value == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert difference.value == pytest.approx(0.08)
    low, high = difference.interval
    assert 0 < low < 0.08 < high < 0.16
    assert not difference.is_noise
    assert difference.verdict("a", "b") == "b is better, and by more than chance explains."
    turned = paired_difference(second, first, None)
    assert turned.verdict("b", "a") == "b is better, and by more than chance explains."


def test_a_small_difference_is_noise() -> None:
    difference = paired_difference(_right((30, True), (10, False)), _right((33, True), (7, False)), None)
    assert difference.p_value == 0.25
    assert difference.verdict("a", "b").startswith("This difference is noise: as far as these pictures can tell, b is")


def test_what_copies_say_counts_once() -> None:
    first = _right((60, True), (2, True), (10, False), (28, False))
    second = _right((60, True), (2, False), (10, True), (28, False))
    groups = [str(number) for number in range(62)] + ["the ten"] * 10 + [str(number) for number in range(72, 100)]
    difference = paired_difference(first, second, groups)
    assert difference.over == "groups of near-duplicates"
    assert difference.interval[0] < 0
    assert difference.is_noise


def test_two_that_answer_alike() -> None:
    answers = _right((3, True), (1, False))
    difference = paired_difference(answers, answers, None)
    assert (difference.value, difference.p_value, difference.interval) == (0, 1, (0, 0))
    assert difference.verdict("a", "b") == "No difference: a and b are right and wrong on the same pictures."
