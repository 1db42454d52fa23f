import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from demo.answering import Answering
from demo.models.model import load_model
from train.data import load_images
from train.predict import COLUMNS, PhotosError, predict

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def few(photos: Path, tmp_path: Path) -> Path:
    """Nine pictures in two sub-folders, one of them with an alpha channel, one grey, two that are damaged."""
    folder = tmp_path / "photos"
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))[:32:5]):
        place = folder / ("even" if number % 2 == 0 else "odd") / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    with Image.open(folder / "even" / "0.jpg") as image:
        image.convert("RGBA").save(folder / "even" / "alpha.png")
        image.convert("L").save(folder / "odd" / "grey.png")
    (folder / "odd" / "cut.jpg").write_bytes((folder / "odd" / "1.jpg").read_bytes()[:500])
    (folder / "odd" / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("no picture, and not called one")
    return folder


def test_answers_are_those_of_the_page(comparing_folder: Path, few: Path) -> None:
    answers = predict(comparing_folder, few, num_workers=0)
    assert list(answers.columns) == list(COLUMNS)
    assert answers["file"].tolist() == sorted(answers["file"], key=lambda file: Path(file).parts)
    readable = answers[answers["error"].isna()]
    assert len(answers) - len(readable) == 2
    page = Answering(load_model(str(comparing_folder)))
    for row in readable.itertuples():
        answered = page.answer(few / row.file)
        ranked = sorted(answered.probs.items(), key=lambda entry: -entry[1])
        assert (row.label, row.second) == (ranked[0][0], ranked[1][0])
        assert [row.probability, row.second_probability] == pytest.approx([ranked[0][1], ranked[1][1]], abs=1e-4)
        assert row.ood_distance == pytest.approx(answered.nearest.distances.mean(), abs=1e-3)
        assert row.abstains == (row.probability < page.threshold.value)
        assert row.ood == (answered.verdict.kind == "unlike")


def test_a_picture_that_can_not_be_decoded_says_why(model_folder: Path, few: Path) -> None:
    answers = predict(str(model_folder), few, num_workers=0, batch_size=4).set_index("file")
    faults = answers[answers["error"].notna()]
    assert faults["error"].to_dict() == {
        "odd/cut.jpg": "damaged or truncated (Truncated File Read)",
        "odd/text.jpg": "not an image",
    }
    assert faults.drop(columns="error").isna().all(axis=None)


def test_a_list_of_files_and_the_split_of_a_dataset(model_folder: Path, few: Path, dataset_folder: Path) -> None:
    files = [few / "odd" / "1.jpg", few / "even" / "0.jpg"]
    listed = predict(model_folder, files, num_workers=0)
    assert listed["file"].tolist() == list(map(str, files))
    alone = predict(model_folder, few / "odd" / "1.jpg", num_workers=0)
    # One picture at a time and two together: sums in another order.
    pd.testing.assert_frame_equal(alone, listed[:1], rtol=1e-3)
    answers = predict(model_folder, dataset_folder, split="validation", num_workers=0)
    rows = load_images(str(dataset_folder)).split("validation")
    assert answers["file"].tolist() == rows["sha256"]
    assert answers["error"].isna().all()


def test_a_model_without_a_reference_knows_no_distance(model_folder: Path, few: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(model_folder, tmp_path / "model")
    config = json.loads((bare / "config.json").read_text())
    for key in ("unlike", "ood"):
        config.pop(key, None)
    config["reject_threshold"] = {"score": "max_probability", "value": 0.9}
    (bare / "config.json").write_text(json.dumps(config))
    (bare / "reference_features.safetensors").unlink()
    answers = predict(bare, few / "even", num_workers=0)
    assert answers[["ood", "ood_distance"]].isna().all(axis=None)
    assert (answers["abstains"] == (answers["probability"] < 0.9)).all()


@pytest.mark.parametrize(
    ("names", "split", "message"),
    [
        (["empty"], "test", r"empty has no photograph \(\.avif, \.bmp"),
        (["dances/README.md", "nothing.jpg"], "test", r"nothing\.jpg is not there: give photographs"),
        (
            ["dances"],
            "holdout",
            r"dances has no split 'holdout': choose one by split=\.\.\., it has train, validation",
        ),
    ],
)
def test_what_there_is_no_answer_for(
    model_folder: Path, dataset_folder: Path, names: list[str], split: str, message: str
) -> None:
    (dataset_folder.parent / "empty").mkdir(exist_ok=True)
    with pytest.raises(PhotosError, match=message):
        predict(model_folder, [dataset_folder.parent / name for name in names], split=split, num_workers=0)


def test_the_command_writes_a_table(cli: Cli, model_folder: Path, few: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "answers.csv"
    code, said, err = cli("train", "predict", model_folder, few, "--out", out, "num_workers=0")
    assert code == 0, err
    table = pd.read_csv(out)
    assert list(table.columns) == list(COLUMNS)
    assert "odd/text.jpg: not an image\n" in err
    assert f"{len(table) - 2} of {len(table)} pictures answered" in said
    assert said.endswith(f"{out}: {len(table)} rows\nNext: MODEL_ID={model_folder} python app.py\n")
    counts = {line.split()[0]: int(line.split()[1]) for line in said.splitlines()[1:-3]}
    assert counts == table["label"].value_counts().to_dict()

    parquet = tmp_path / "answers.parquet"
    assert cli("train", "predict", model_folder, few, "--out", parquet, "num_workers=0")[0] == 0
    same = pd.read_parquet(parquet)
    assert same["label"].isna().tolist() == table["label"].isna().tolist()
    np.testing.assert_allclose(same["probability"], table["probability"], atol=1e-6)
    code, said, _ = cli("train", "predict", model_folder, few / "even", "--out", "-", "num_workers=0")
    assert said.startswith(",".join(COLUMNS))
    assert code == 0


def test_where_no_picture_can_be_decoded_the_exit_code_is_1(
    cli: Cli, model_folder: Path, few: Path, tmp_path: Path
) -> None:
    code, said, err = cli("train", "predict", model_folder, few / "odd" / "text.jpg", "--out", tmp_path / "a.csv")
    assert code == 1
    assert "0 of 1 pictures answered" in said
    assert err.count("not an image") == 1


def test_mistakes(refused: Callable[..., str], model_folder: Path, few: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "a.csv")
    assert "there are no PHOTOS" in refused("train", "predict", model_folder, "batch_size=4", *out)
    assert "did you mean num_workers?" in refused("train", "predict", model_folder, few, "num_worker=4", *out)
    assert not (tmp_path / "a.csv").exists()
    assert f"--out {tmp_path} is a folder" in refused("train", "predict", model_folder, few, "--out", tmp_path)
