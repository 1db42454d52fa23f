from pathlib import Path

import pytest

from train.fitting.recipe import Recipe
from train.settings import SettingsError, load_settings

NEEDED = ["dataset=d", "output_dir=o"]


def _recipe(tmp_path: Path, text: str, *words: str) -> Recipe:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    return load_settings(Recipe, file, [*NEEDED, *words])


def test_words_win_over_the_file(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, "epochs: 3\nseed: 1\n", "epochs=5")
    assert (recipe.epochs, recipe.seed, recipe.output_dir) == (5, 1, Path("o"))


def test_traps_of_yaml_are_known(tmp_path: Path) -> None:
    # PyYAML reads 1e-3 as text and no as False.
    recipe = _recipe(tmp_path, "max_lr: 1e-3\nmixed_precision: no\nweights: null\n")
    assert (recipe.max_lr, recipe.mixed_precision, recipe.weights) == (1e-3, "no", None)


def test_all_faults_are_listed_together(tmp_path: Path) -> None:
    text = "epoch: 3\nimage_size: huge\nlabel_smoothing: 1.5\ncrop_mode: circle\nzzz: 1\n"
    with pytest.raises(SettingsError) as error:
        _recipe(tmp_path, text, "seed")
    message = str(error.value)
    assert "recipe.yaml: 6 faults" in message
    for fault in (
        "epoch: unknown key; did you mean epochs?",
        "image_size=huge: input should be a valid integer",
        "label_smoothing=1.5: input should be less than 1",
        "crop_mode=circle: input should be 'center', 'squash' or 'border'",
        "zzz: unknown key; known: dataset, output_dir",
        "seed: expected key=value",
    ):
        assert fault in message


def test_missing_keys_say_how_to_give_them() -> None:
    with pytest.raises(SettingsError, match=r"dataset: missing; add dataset=\.\.\.\n  output_dir: missing"):
        load_settings(Recipe, None, [])


@pytest.mark.parametrize(
    ("text", "message"), [("- 1\n", "holds a list: expected"), ("a: [", "is not YAML"), (None, "can't be read")]
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "r.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings(Recipe, file, NEEDED)


def test_nothing_to_train_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both 0: nothing to train"):
        _recipe(tmp_path, "epochs: 0\nfreeze_epochs: 0\n")


def test_every_recipe_of_the_project_loads() -> None:
    files = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert len(files) == 3
    for file in files:
        recipe = load_settings(Recipe, file, NEEDED)
        assert load_settings(Recipe, None, [f"{k}={v}" for k, v in recipe.model_dump(mode="json").items()]) == recipe
