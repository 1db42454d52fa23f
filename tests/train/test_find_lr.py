import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from train.fit import fit
from train.recipe import Recipe, load_settings

DEBUG = Path(__file__).parents[2] / "recipes" / "debug.yaml"


def _words(dataset: Path, output: Path, *words: str) -> list[object]:
    return [DEBUG, f"dataset={dataset}", f"output_dir={output}", *words]


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def test_a_folder_where_a_rate_was_looked_for_holds_the_same_run_afterwards(
    cli: Callable[..., tuple[int, str, str]], dataset_folder: Path, run_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, said, _ = cli("train", "lr-find", *_words(dataset_folder, run))
    assert code == 0
    assert said.startswith("stage 1: ")
    assert f"The curve: {run / 'figures' / 'lr_finder-stage1.png'}" in said
    assert set(_files(run)) == {"lr_finder.json", "figures/lr_finder-stage1.png"}
    found = json.loads((run / "lr_finder.json").read_text())["stage1"]
    assert set(found) == {"rates", "losses", "suggestion", "reason"}

    code, _, err = cli("train", "fit", *_words(dataset_folder, run))
    assert code == 0, err
    one, other = _weights(run), _weights(run_folder)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_before_stage_2_it_starts_from_the_checkpoint_and_the_run_goes_on(
    cli: Callable[..., tuple[int, str, str]], dataset_folder: Path, run_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert cli("train", "fit", *_words(dataset_folder, run, "epochs=0"))[0] == 0
    before = _files(run)
    code, said, _ = cli("train", "lr-find", *_words(dataset_folder, run))
    assert code == 0
    assert said.startswith("stage 2: ")
    after = _files(run)
    assert set(after) - set(before) == {"lr_finder.json", "figures/lr_finder-stage2.png"}
    assert all(after[name] == content for name, content in before.items())

    # Stage 2 has not begun: how it goes is still free. What comes out is what one command gives.
    assert cli("train", "fit", *_words(dataset_folder, run, "resume_from_checkpoint=true"))[0] == 0
    one, other = _weights(run), _weights(run_folder)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_on_a_finished_model(
    cli: Callable[..., tuple[int, str, str]], dataset_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    before = _files(model_folder)
    words = _words(dataset_folder, tmp_path / "next", f"init_from={model_folder}", "freeze_epochs=0")
    code, said, _ = cli("train", "lr-find", *words)
    assert code == 0
    assert said.startswith("stage 2: ")
    assert _files(model_folder) == before
    curve = json.loads((tmp_path / "next" / "lr_finder.json").read_text())["stage2"]
    # It begins at the loss of a model that has learned, not of a new one.
    fresh = tmp_path / "fresh"
    cli("train", "lr-find", *_words(dataset_folder, fresh, "freeze_epochs=0"))
    other = json.loads((fresh / "lr_finder.json").read_text())["stage2"]
    assert curve["losses"][0] != other["losses"][0]


def test_before_passes_over_features_it_looks_at_features(
    cli: Callable[..., tuple[int, str, str]], dataset_folder: Path, tmp_path: Path
) -> None:
    code, said, err = cli("train", "lr-find", *_words(dataset_folder, tmp_path / "run", "feature_views=3"))
    assert code == 0, err
    assert "\nstage 1: freeze_max_lr=" in said
    assert said.startswith("feature_l2=")
    assert set(_files(tmp_path / "run")) == {"lr_finder.json", "figures/lr_finder-stage1.png"}


def test_a_folder_with_something_else_is_left_alone(
    refused: Callable[..., str], dataset_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").touch()
    assert "exists and is no run" in refused("train", "lr-find", *_words(dataset_folder, tmp_path))
    assert set(_files(tmp_path)) == {"thesis.txt"}


def test_a_run_of_another_architecture(refused: Callable[..., str], dataset_folder: Path, run_folder: Path) -> None:
    words = _words(dataset_folder, run_folder, "architecture=test_vit")
    assert "holds a run of test_resnet, not of test_vit: set architecture=test_resnet" in refused(
        "train", "lr-find", *words
    )


@pytest.fixture(scope="module")
def two_colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What even a frozen backbone of random weights can tell apart: reds and blues."""
    folder = tmp_path_factory.mktemp("colours")
    chance = np.random.default_rng(0)
    for split, number in (("train", 8), ("validation", 2)):
        for channel, name in ((0, "red"), (2, "blue")):
            for index in range(number):
                pixels = chance.integers(0, 90, (32, 32, 3), np.uint8)
                pixels[..., channel] += 150
                path = folder / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return folder


class TestAuto:
    def _recipe(self, dataset: Path, output: Path, *words: str) -> Recipe:
        return load_settings(Recipe, DEBUG, [f"dataset={dataset}", f"output_dir={output}", *words])

    def test_the_rate_that_was_found_is_the_one_that_is_used(
        self, two_colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from train import checkpoint as keeper

        words = ("freeze_max_lr=auto", "max_lr=auto", "freeze_epochs=2", "batch_size=8", "image_size=32")
        whole = fit(self._recipe(two_colours, tmp_path / "whole", *words))
        table = json.loads(whole.lr_finder.read_text())
        records = [json.loads(line) for line in whole.metrics.read_text().splitlines()]
        for stage in (1, 2):
            reached = max(record["max_lr"] for record in records if record["stage"] == stage)
            assert reached == pytest.approx(table[f"stage{stage}"]["suggestion"])

        # Stopped within a stage, a run takes its rate from the checkpoint: nothing is looked for again.
        save = keeper.save_checkpoint

        def stop_after(folder: Path, name: str, state: dict[str, Any]) -> Path:
            path = save(folder, name, state)
            if path.stem == "stage1-epoch001":
                raise KeyboardInterrupt
            return path

        monkeypatch.setattr(keeper, "save_checkpoint", stop_after)
        with pytest.raises(KeyboardInterrupt):
            fit(self._recipe(two_colours, tmp_path / "run", *words))
        monkeypatch.undo()
        shutil.rmtree(tmp_path / "run" / "figures")
        fit(self._recipe(two_colours, tmp_path / "run", *words, "resume_from_checkpoint=true"))
        figures = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
        assert figures == {"training.png", "lr_finder-stage2.png"}
        one, other = _weights(tmp_path / "run"), _weights(tmp_path / "whole")
        assert all(torch.equal(one[name], other[name]) for name in other)

    def test_no_suggestion_is_an_error_and_a_number_mends_it(
        self,
        cli: Callable[..., tuple[int, str, str]],
        refused: Callable[..., str],
        dataset_folder: Path,
        tmp_path: Path,
    ) -> None:
        # Nothing can be learned where every label is as likely as any other.
        words = _words(dataset_folder, tmp_path / "run", "label_smoothing=0.999", "epochs=1")
        message = refused("train", "fit", *words, "freeze_max_lr=auto")
        assert "freeze_max_lr=auto finds no rate: the loss falls nowhere" in message
        assert "go on with freeze_max_lr=NUMBER resume_from_checkpoint=true" in message
        assert (tmp_path / "run" / "figures" / "lr_finder-stage1.png").exists()

        number = (*words, "freeze_max_lr=1e-3", "resume_from_checkpoint=true")
        assert cli("train", "fit", *number)[0] == 0
        # From here on the rates are what they were.
        assert "freeze_max_lr: 0.001 there, 0.002 now" in refused("train", "fit", *number, "freeze_max_lr=2e-3")
