import json
import logging
import re
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from tests.judged import some_predictions, some_rows, write_judged, write_page
from train.predict import load_model
from train.predictions import Predictions
from train.report import report as report_module
from train.report.report import choose_gallery, choose_pairs, write_report


def _predictions(labels: list[int], answers: list[int], confidence: list[float]) -> Predictions:
    probs = np.array([[sure if n == answer else (1 - sure) / 2 for n in range(3)] for answer, sure in
                      zip(answers, confidence, strict=True)])  # fmt: skip
    return Predictions([""] * len(labels), np.array(labels), np.log(probs).astype(np.float32), ["a", "b", "c"])


def test_every_cell_gets_a_picture_before_any_gets_a_second() -> None:
    predictions = _predictions(
        labels=[0, 0, 0, 0, 1, 1, 2], answers=[0, 0, 0, 0, 0, 0, 1], confidence=[0.9, 0.8, 0.7, 0.6, 0.99, 0.98, 0.5]
    )
    assert choose_gallery(predictions, 3) == [4, 6, 3]
    assert choose_gallery(predictions, 4) == [4, 5, 6, 3]
    assert sorted(choose_gallery(predictions, 100)) == list(range(7))


def test_pairs_are_the_worst_mistake_and_the_surest_right_answer_of_a_class() -> None:
    predictions = _predictions(
        labels=[0, 0, 0, 0, 1, 2], answers=[1, 2, 0, 0, 1, 0], confidence=[0.6, 0.9, 0.7, 0.95, 0.8, 0.99]
    )
    assert choose_pairs(predictions, 9) == [(5, None), (1, 3), (None, 4)]
    assert choose_pairs(predictions, 1) == [(5, None)]


def test_what_is_written_and_what_of_it_holds_pictures(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    rows, names = some_rows(dataset_folder)
    page = write_page(tmp_path, rows, names, load_model(str(model_folder))[0])
    assert page == tmp_path / "report" / "index.html"
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "metrics.json",
        "predictions.parquet",
        *(f"figures/{kind}_test.png" for kind in ("confusion_matrix", "per_class", "reliability", "risk_coverage")),
        *(f"report/{name}" for name in ("index.html", "credits.json", "top_losses_test.jpg", "grad_cam_test.jpg")),
    }
    for name in ("top_losses_test.jpg", "grad_cam_test.jpg"):
        with Image.open(tmp_path / "report" / name) as image:
            assert image.width > 1000
    credits = json.loads((tmp_path / "report" / "credits.json").read_text())["index.html"]
    assert {credit["sha256"] for credit in credits} == set(rows["sha256"])
    assert all(credit["may_be_passed_on"] for credit in credits)


def test_the_figures_of_the_training_are_shown(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("training", "lr_finder-stage2", "learning_curve"):
        Image.new("RGB", (8, 8)).save(tmp_path / "figures" / f"{name}.png")
    rows, names = some_rows(dataset_folder)
    page = write_page(tmp_path, rows, names, load_model(str(model_folder))[0]).read_text()
    titles = re.findall(r'role="region" aria-label="([^"]*)"><img class="\w*" src="data:image/png', page)
    assert titles == ["Training curves", "Learning-rate finder", "Learning curve"]


def test_another_split_has_a_page_of_its_own(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    rows, names = some_rows(dataset_folder)
    few = rows.select(range(6))
    model, folder = load_model(str(model_folder))
    write_judged(tmp_path, "validation", some_predictions(names, few["label"], few["sha256"]))
    page = write_report(tmp_path, few, "validation", model, folder.config)
    assert page.name == "validation.html"
    assert (tmp_path / "report" / "grad_cam_validation.jpg").exists()
    assert set(json.loads((tmp_path / "report" / "credits.json").read_text())) == {"validation.html"}


def test_of_a_larger_split_the_most_telling_pictures_are_shown(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "MOST_IN_GALLERY", 10)
    rows, names = some_rows(dataset_folder)
    text = write_page(tmp_path, rows, names, load_model(str(model_folder))[0]).read_text()
    assert f"10 of the {len(rows)} pictures are in this page" in text
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert len(data["pictures"]) == 10
    assert len({(p["label"], p["answer"]) for p in data["pictures"]}) == 10


def test_a_thousand_pictures_stay_below_fifteen_megabytes(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    rows, names = some_rows(dataset_folder)
    page = write_page(tmp_path, rows, names, load_model(str(model_folder))[0])
    data = json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])
    sizes = [len(json.dumps(picture)) for picture in data["pictures"]]
    assert report_module.MOST_IN_GALLERY * sum(sizes) / len(sizes) < 13_000_000


def test_without_a_map_the_report_goes_without_grad_cam(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, names = some_rows(dataset_folder)
    model, _ = load_model(str(model_folder))
    model.feature_info = [{"module": "global_pool", "num_chs": 96, "reduction": 32}]
    with caplog.at_level(logging.WARNING):
        text = write_page(tmp_path, rows, names, model).read_text()
    assert "the report goes without Grad-CAM: the last layer gives" in caplog.text
    assert "Where it looks" not in text
    assert not (tmp_path / "report" / "grad_cam_test.jpg").exists()


def test_pictures_without_a_licence_are_said_to_stay_here(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    rows, names = some_rows(dataset_folder)
    bare = rows.remove_columns([name for name in rows.column_names if name not in ("image", "label", "sha256")])
    text = write_page(tmp_path, bare, names, load_model(str(model_folder))[0]).read_text()
    assert f"{len(rows)} of the pictures in it have no licence" in text


def test_a_model_of_another_make_is_not_calibrated_and_answers_always(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    rows, names = some_rows(dataset_folder)
    model, _ = load_model(str(model_folder))
    write_judged(tmp_path, "test", some_predictions(names, rows["label"], rows["sha256"]))
    table = json.loads((tmp_path / "metrics.json").read_text())
    del table["test"]["calibrated_from"], table["test"]["reject"]
    (tmp_path / "metrics.json").write_text(json.dumps(table))
    config = {"architecture": "test_resnet", "label_names": names}
    text = write_report(tmp_path, rows, "test", model, config).read_text()
    assert "before calibration" not in text
    assert "When it may abstain" not in text


def test_the_map_tells_sources_apart(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    rows, names = some_rows(dataset_folder)
    place = datasets.ClassLabel(names=["commons", "flickr"])
    sources = [number % 2 for number in range(len(rows))]
    rows = rows.remove_columns("source").add_column("source", sources).cast_column("source", place)
    page = write_page(tmp_path, rows, names, load_model(str(model_folder))[0]).read_text()
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["map"]["sources"] == ["commons", "flickr"]
    assert [dot[3] for dot in data["map"]["training"]] == sources
    assert {dot[2] for dot in data["map"]["judged"]} == {0, 1}
    assert '<option value="source">source</option>' in page
