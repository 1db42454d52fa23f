from pathlib import Path

import pytest

from train.recipe import Recipe, SettingsError, load_settings

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


def test_half_way_from_nowhere_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"wise_ft goes half-way .* set freeze_epochs, or init_from"):
        _recipe(tmp_path, "wise_ft: 0.5\nfreeze_epochs: 0\n")
    assert _recipe(tmp_path, "wise_ft: 0.5\nfreeze_epochs: 0\ninit_from: a\n").wise_ft == 0.5


@pytest.mark.parametrize(("word", "sizes"), [("96,128", (96, 128)), ("[64]", (64,)), ("[]", ()), ("", ())])
def test_lists_are_given_in_one_word(tmp_path: Path, word: str, sizes: tuple[int, ...]) -> None:
    assert _recipe(tmp_path, "", f"image_sizes={word}").image_sizes == sizes
    assert _recipe(tmp_path, "image_sizes: [32, 64]\n").image_sizes == (32, 64)


def test_rates_are_numbers_or_auto(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, "freeze_max_lr: auto\n", "max_lr=3e-4")
    assert (recipe.freeze_max_lr, recipe.max_lr) == ("auto", 3e-4)
    with pytest.raises(SettingsError) as error:
        _recipe(tmp_path, "freeze_max_lr: fast\n", "max_lr=-1", "image_sizes=96,9", "class_balance=both")
    for fault in (
        "freeze_max_lr=fast: should be a number above 0, or auto",
        "max_lr=-1: should be a number above 0, or auto",
        "image_sizes.1=9: input should be greater than or equal to 32",
        "class_balance=both: input should be 'weights' or 'sampling'",
    ):
        assert fault in str(error.value)


def test_optimizers_are_named_as_timm_names_them(tmp_path: Path) -> None:
    assert _recipe(tmp_path, "", "optimizer=lamb").optimizer == "lamb"
    with pytest.raises(SettingsError, match=r"optimizer=admw: timm has no such optimizer; try .*\badamw\b"):
        _recipe(tmp_path, "", "optimizer=admw")


@pytest.mark.parametrize(("word", "value"), [("auto", "auto"), ("true", True), ("False", False)])
def test_the_layout_is_given_or_measured(tmp_path: Path, word: str, value: object) -> None:
    assert _recipe(tmp_path, "", f"channels_last={word}").channels_last == value
    with pytest.raises(SettingsError, match=r"channels_last=last: input should be 'auto', True or False"):
        _recipe(tmp_path, "", "channels_last=last")


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        _recipe(tmp_path, "", "init_from=runs/first/model", "weights=w.safetensors", "epochs=0", "freeze_epochs=0")
    message = str(error.value)
    assert "init_from and weights both say where to start from: give one of them" in message
    assert "both 0: nothing to train" in message
    assert "dataset" not in message
    with pytest.raises(SettingsError) as error:
        _recipe(tmp_path, "", "streaming=true", "feature_views=4", "class_balance=sampling")
    message = str(error.value)
    assert "streaming and feature_views don't go together: set feature_views=0, or freeze_epochs=0" in message
    assert "a stream can't be sampled by class: set class_balance=weights, or leave streaming away" in message
    assert _recipe(tmp_path, "", "streaming=true", "feature_views=4", "freeze_epochs=0").streaming


def test_every_recipe_of_the_project_loads() -> None:
    files = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
    assert len(files) == 5
    for file in files:
        recipe = load_settings(Recipe, file, NEEDED)
        assert load_settings(Recipe, None, [f"{k}={v}" for k, v in recipe.model_dump(mode="json").items()]) == recipe


def test_a_home_folder_in_words_and_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("architecture: resnet18\ndataset: ~/dances\noutput_dir: ~/first\n")
    assert load_settings(Recipe, recipe, []).dataset == str(tmp_path / "home" / "dances")
    settings = load_settings(Recipe, recipe, ["dataset=user/dances", "output_dir=~/second"])
    assert (settings.dataset, settings.output_dir) == ("user/dances", tmp_path / "home" / "second")
