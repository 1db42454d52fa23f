from dataset_card.write.figures import captions


def test_names_are_short_and_in_letters_that_the_font_has() -> None:
    names = ["kathak", "தமிழ்", "Кот", "x" * 41, "עברית", "$\\frac$"]
    assert captions(names) == ["kathak", "class 1", "Кот", "x" * 39 + "…", "class 4", "$\\frac$"]
