import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from figures import Figure
from model_folder.folder import LEARNED, picture_digest
from model_folder.reference_features import Nearest, ReferenceFeatures
from tests.train.conftest import with_sources
from train.abstention import stated_threshold
from train.data import EmptySplitError, as_numbered, fingerprint, load_images, read_image, split_for_model, values_of
from train.evaluate import Evaluation, comes_from_elsewhere, count_learned, evaluate, summary
from train.export.model_folder import count_sources
from train.loaders import eval_transform
from train.metrics import compute_metrics, score_by
from train.ood import judge_distance, judge_others
from train.predict import load_model
from train.predictions import Predictions, read_predictions, write_predictions
from train.splits import DatasetError


def test_metrics_and_predictions_agree(model_folder: Path) -> None:
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    table = pq.read_table(model_folder / "predictions.parquet", filters=[("split", "=", "test")]).to_pydict()
    assert set(table) == {
        "sha256", "split", "fold", "group", "label", "logits", "probs", "loss", "distances", "nearest",
        "prediction_set",
    }  # fmt: skip
    assert set(table["fold"]) == {0}
    assert all(table["group"])
    names = json.loads((model_folder / "config.json").read_text())["label_names"]
    answers = [names[int(np.argmax(probs))] for probs in table["probs"]]
    right = sum(answer == label for answer, label in zip(answers, table["label"], strict=True))
    assert len(set(table["sha256"])) == metrics["pictures"] == len(answers)
    assert metrics["accuracy"] == right / len(answers)
    low, high = metrics["accuracy_interval"]
    assert low <= metrics["accuracy"] <= high
    np.testing.assert_allclose([sum(probs) for probs in table["probs"]], 1)


def test_the_mirror_image_counts_as_much_as_the_picture(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    result = evaluate(
        str(model_folder), dataset=str(dataset_folder), num_workers=0, tta=True, output_dir=tmp_path / "out"
    )
    assert result["tta"] is True
    model, _ = load_model(str(model_folder))
    transform = eval_transform(timm.data.resolve_model_data_config(model))
    rows = load_images(str(dataset_folder)).split("test")
    with torch.inference_mode():
        views = torch.stack([transform(read_image(rows, index)) for index in range(len(rows))])
        both = torch.stack([model(views), model(views.flip(3))])
    mean = both.softmax(2).mean(0)
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    np.testing.assert_allclose(table["probs"], mean.numpy(), atol=1e-5)
    energy = torch.tensor(table["logits"]).logsumexp(1)
    np.testing.assert_allclose(energy.numpy(), both.logsumexp(2).mean(0).numpy(), atol=1e-4)
    assert json.loads((model_folder / "metrics.json").read_text())["test"]["tta"] is False


def test_every_source_is_judged_and_the_worst_is_named(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    dances, out = (
        with_sources(dataset_folder, tmp_path / "from_three_sources", ["commons", "flickr", ""]),
        tmp_path / "out",
    )
    words = (model_folder, f"dataset={dances}", f"output_dir={out}", "num_workers=0", "--by", "source")
    code, text, err = cli("train", "evaluate", *words)
    assert code == 0, err
    by = json.loads((out / "metrics.json").read_text())["test"]["by"]
    predictions = read_predictions(out / "predictions.parquet", "test")
    rows = load_images(str(dances)).split("test")
    assert by["column"] == "source"
    assert by["values"].keys() == {"commons", "flickr", ""}
    for value, row in by["values"].items():
        right = predictions.right[[source == value for source in rows["source"]]]
        assert (row["pictures"], row["accuracy"]) == (len(right), right.mean())
        low, high = row["accuracy_interval"]
        assert low <= row["accuracy"] <= high
        assert f"{value or '(none)':7}  {len(right):8}  {right.mean():8.1%}  {low:.1%} – {high:.1%}\n" in text
    assert json.loads((out / "metrics.json").read_text())["test"]["elsewhere"] is None
    worst = min(by["values"], key=lambda value: by["values"][value]["accuracy_interval"][1])
    assert f"worst source: {worst or '(none)'}, at most" in text
    page = (out / "report" / "index.html").read_text()
    assert '<h2 id="by-title">Each source</h2>' in page
    assert f"The worst is <strong>{worst or 'none stated'}</strong>" in page


@pytest.mark.parametrize(
    ("learned", "judged", "expected"),
    [
        ([1, 0], [0, 1], False),
        (["a", "b"], ["c"], True),
        ([["a"]], [["a"]], False),
        ([f"https://example.org/{number}" for number in range(60)], ["https://example.org/x"], None),
    ],
)
def test_sources_of_any_kind_are_compared_as_the_model_folder_states_them(
    learned: list[Any], judged: list[Any], expected: bool | None
) -> None:
    trained, rows = (datasets.Dataset.from_dict({"source": values}) for values in (learned, judged))
    if learned == [1, 0]:
        names = datasets.ClassLabel(names=["commons", "flickr"])
        trained, rows = (dataset.cast_column("source", names) for dataset in (trained, rows))
    stated = json.loads(json.dumps({"training_data": {"sources": count_sources(trained)}}))
    assert comes_from_elsewhere(rows, stated) is expected


def test_it_is_told_whether_pictures_come_from_elsewhere() -> None:
    rows = datasets.Dataset.from_dict({"source": ["flickr", "bing"]})
    for learned, expected in (({"commons": 9}, True), ({"commons": 9, "bing": 1}, False), (None, None)):
        assert comes_from_elsewhere(rows, {"training_data": {"sources": learned}}) is expected
    assert comes_from_elsewhere(rows, {}) is None
    unknown = datasets.Dataset.from_dict({"source": ["flickr", ""]})
    assert comes_from_elsewhere(unknown, {"training_data": {"sources": {"commons": 9}}}) is None


def test_a_few_wrong_pictures_are_not_the_worst_group() -> None:
    right = np.array([False] * 2 + [True] * 48 + [False] * 50)
    logits = np.stack([right, ~right], axis=1).astype(np.float32)
    predictions = Predictions([""] * 100, np.zeros(100, int), logits, ["kathak", "odissi"])
    by = score_by(predictions, "source", ["rare"] * 2 + ["frequent"] * 98)
    assert by["values"]["rare"]["accuracy"] == 0
    assert by["worst"] == "frequent"
    assert score_by(predictions, "source", ["one"] * 100)["worst"] is None
    assert "coverage" not in by["values"]["rare"]
    by = score_by(predictions, "source", ["rare"] * 2 + ["frequent"] * 98, cut=0.2)
    assert (by["values"]["rare"]["coverage"], by["values"]["frequent"]["coverage"]) == (1, 1)
    by = score_by(predictions, "source", ["rare"] * 2 + ["frequent"] * 98, cut=0.4)
    assert (by["values"]["rare"]["coverage"], by["values"]["frequent"]["coverage"]) == (0, 48 / 98)
    lines = summary(compute_metrics(predictions) | {"ood": None, "others": None, "by": by}, "test").splitlines()
    assert "source    pictures  accuracy  95 % interval    in the set" in lines
    assert any(line.startswith("rare  ") and line.endswith("        0.0%") for line in lines)


def test_of_thousands_of_groups_those_with_the_most_pictures_are_printed() -> None:
    predictions = Predictions([""] * 50, np.zeros(50, int), np.eye(2)[np.zeros(50, int)], ["kathak", "odissi"])
    metrics = compute_metrics(predictions, None, stated_threshold({})) | {"ood": None, "others": None}
    authors = [f"author {number}" for number in range(25)] * 2
    lines = summary(metrics | {"by": score_by(predictions, "author", authors)}, "test").splitlines()
    assert sum(line.startswith("author ") and "100.0%" in line for line in lines) == 20
    assert "and 5 with fewer pictures, in metrics.json" in lines


def test_pictures_are_told_apart_by_size(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    for number, side in enumerate((100, 300, 500, 1000)):
        save_image(f"photos/{('kathak', 'odissi')[number % 2]}/{number}.png", size=(side, side + 50))
    rows = load_images(str(tmp_path / "photos"), validation=0).split("train")
    assert values_of(rows, "size") == ["below 224 px", "below 896 px", "below 448 px", "896 px and more"]
    assert values_of(rows, "label") == ["kathak"] * 2 + ["odissi"] * 2
    with pytest.raises(DatasetError, match="there is no column author: choose one of label, size"):
        values_of(rows, "author")


def test_another_split_is_added(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    for _ in range(2):
        evaluate(str(folder), Evaluation(dataset=str(dataset_folder), split="validation", num_workers=0))
    assert set(json.loads((folder / "metrics.json").read_text())) == {"test", "validation"}
    splits = pq.read_table(folder / "predictions.parquet")["split"].to_pylist()
    assert {split: splits.count(split) for split in set(splits)} == {"test": 8, "validation": 8}


def test_the_card_says_how_good_it_is_and_that_it_knows_drawings(model_folder: Path) -> None:
    card = ModelCard.load(model_folder / "README.md")
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    assert card.data.library_name == "timm"
    assert "drawings" in card.data.tags
    assert {r.metric_type: r.metric_value for r in card.data.eval_results}["accuracy"] == metrics["accuracy"]
    assert "This model knows drawings, not photographs" in card.text
    assert f"| accuracy | {100 * metrics['accuracy']:.1f} % |" in card.text
    assert "figures/confusion_matrix_test.png" in card.text


def test_metrics_come_from_the_predictions_that_are_there(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    path, words = folder / "predictions.parquet", {"dataset": str(dataset_folder), "reuse_predictions": True}
    before, metrics = path.read_bytes(), json.loads((folder / "metrics.json").read_text())["test"]
    (folder / "metrics.json").unlink()
    again = evaluate(str(folder), **words)
    assert json.loads((folder / "metrics.json").read_text())["test"] == {**metrics, "date": again["date"]}
    assert path.read_bytes() == before
    # Nothing is looked at again, and the order of the rows does not matter.
    answers = read_predictions(path, "test")
    answers = dataclasses.replace(answers.select(np.arange(8)[::-1]), logits=-answers.logits[::-1])
    write_predictions(path, answers)
    turned = evaluate(str(folder), **words)
    assert turned["nll"] != again["nll"]
    assert turned.predictions.sha256 == again.predictions.sha256


def test_predictions_of_other_weights_are_not_taken_for_the_models(
    refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    save_file({**state, "fc.weight": -state["fc.weight"]}, folder / "model.safetensors")
    message = refused("train", "evaluate", folder, f"dataset={dataset_folder}", "reuse_predictions=true")
    assert f"answers on test that other weights than those of {folder} gave: leave reuse_predictions away" in message
    # A file of an earlier version does not name them.
    path = folder / "predictions.parquet"
    write_predictions(path, read_predictions(path, "test"))
    table = pq.read_table(path)
    names = {b"label_names": table.schema.metadata[b"label_names"]}
    pq.write_table(table.replace_schema_metadata(names), path)
    assert evaluate(str(folder), dataset=str(dataset_folder), reuse_predictions=True).metrics["pictures"] == 8


def test_what_it_returns_is_at_hand_in_a_notebook(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    result = evaluate(str(folder), dataset=str(dataset_folder), split="validation", num_workers=0)
    assert repr(result) == (
        f"EvaluationResult({folder}, validation: accuracy {result.accuracy:.1%} of 8 pictures, "
        f"macro F1 {result.macro_f1:.3f})"
    )
    assert result.predictions.right.mean() == result.accuracy == result["accuracy"]
    assert result.report == folder / "report" / "validation.html"
    assert "validation accuracy" in result._repr_html_()
    for plot in (
        result.plot_confusion_matrix, result.plot_per_class, result.plot_reliability, result.plot_risk_coverage,
    ):  # fmt: skip
        assert isinstance(plot(), Figure)
    assert result.metrics.keys() == json.loads((folder / "metrics.json").read_text())["validation"].keys()
    assert result.summary().endswith(f"\nReport: {result.report.resolve().as_uri()}")


def test_pictures_that_the_model_learned_from_are_counted(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    splits = load_images(str(dataset_folder)).splits
    names = [*splits["train"]["sha256"], *splits["test"]["sha256"][:3]]
    digests = sorted(map(picture_digest, names))
    (folder / LEARNED).write_text("".join(f"{digest}\n" for digest in digests))
    words = {"dataset": str(dataset_folder), "num_workers": 0}
    result = evaluate(str(folder), **words)
    assert json.loads((folder / "metrics.json").read_text())["test"]["learned_pictures"] == 3
    assert "3 of these 8 pictures are among those that the model learned from: the figures are too" in result.summary()
    assert evaluate(str(folder), **words, split="validation")["learned_pictures"] == 0
    assert count_learned(["", ""], set(digests)) is None
    assert count_learned(names, set()) is None


def test_every_number_says_what_it_rests_on(model_folder: Path, dataset_folder: Path) -> None:
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    assert metrics["bootstrap"]["over"] == "groups of near-duplicates"
    assert metrics["bootstrap"]["groups"] <= metrics["pictures"] == 8
    assert metrics["fingerprint"] == fingerprint(load_images(str(dataset_folder)).split("test"))
    assert metrics["ece_bins"] == {"kind": "equal width", "count": 10}
    assert (metrics["reject"]["threshold"], metrics["reject"]["promised"]) == (0.5, False)
    assert metrics["reject"]["answered"] == round(8 * metrics["reject"]["coverage"])
    assert metrics["learned_pictures"] == 0
    config = json.loads((model_folder / "config.json").read_text())
    assert metrics["reject"]["reason"] == config["reject_threshold"]["reason"]
    assert metrics["calibrated_from"]["temperature"] == config["calibration"]["temperature"]
    assert metrics["others"] is None


def test_a_run_stands_for_its_model(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "run" / "model")
    result = evaluate(tmp_path / "run", Evaluation(dataset=str(dataset_folder)), reuse_predictions=True)
    assert result.output_dir == folder
    assert result.metrics["pictures"] == 8


def test_labels_in_another_order_are_renumbered(dataset_folder: Path) -> None:
    images = load_images(str(dataset_folder))
    rows = images.split("test")
    turned = images.label_names[::-1]
    renumbered = as_numbered(images, rows, turned, "m")
    names = [images.label_names[number] for number in rows["label"]]
    assert [turned[number] for number in renumbered["label"]] == names


class TestBadInput:
    def test_classes_that_the_model_does_not_know(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "others"
        folder.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="test")
        names = [*rows.features["label"].names[:-1], "tango"]
        rows.cast_column("label", datasets.ClassLabel(names=names)).to_parquet(folder / "test.parquet")
        message = refused("train", "evaluate", model_folder, f"dataset={folder}")
        assert "does not know (tango): it knows bharatanatyam, kathak" in message

    def test_predictions_of_other_pictures(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        fewer = tmp_path / "fewer"
        fewer.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="test")
        rows.select(range(7)).to_parquet(fewer / "test.parquet")
        words = ["train", "evaluate", model_folder, f"dataset={fewer}", "reuse_predictions=true"]
        assert "(0 of 7 have no answer, 0 had another label, 1 answers are to pictures" in refused(*words)
        assert "has no answers on train, only on test" in refused(
            *words[:3], f"dataset={dataset_folder}", *words[4:], "split=train"
        )

    def test_a_split_without_a_picture(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "none"
        folder.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="test")
        rows.to_parquet(folder / "train.parquet")
        rows.select([]).to_parquet(folder / "test.parquet")
        message = refused("train", "evaluate", model_folder, f"dataset={folder}")
        assert message == f"error: {folder} has no picture in test: add some, or remove the split's files"
        images = load_images(str(dataset_folder))
        images = dataclasses.replace(images, splits={"test": images.splits["test"].select([])})
        with pytest.raises(EmptySplitError, match=r"has no picture in test: add some, or choose another split"):
            split_for_model(images, "test", {}, images.label_names, "m")

    def test_a_model_that_gives_no_numbers(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(model_folder, tmp_path / "model")
        before = {name: (folder / name).read_bytes() for name in ("predictions.parquet", "metrics.json")}
        state = load_file(folder / "model.safetensors")
        save_file({**state, "fc.bias": state["fc.bias"] * float("nan")}, folder / "model.safetensors")
        message = refused("train", "evaluate", folder, f"dataset={dataset_folder}", "num_workers=0")
        assert "no numbers (NaN or infinite) for 8 of 8 pictures, first for row 0, sha256 " in message
        assert {name: (folder / name).read_bytes() for name in before} == before

    def test_one_picture_of_each_class_is_judged_with_a_warning(
        self, model_folder: Path, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = evaluate(str(model_folder), dataset=str(dataset_folder), num_workers=0, output_dir=tmp_path / "out")
        assert "has one picture of each of 8 classes only in test: no number from so few says anything" in caplog.text
        assert all(row["recall_interval"][1] - row["recall_interval"][0] > 0.7 for row in result["per_class"].values())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"calibration": {"temperature": 0}},
                "config.json says calibration: {'temperature': 0}: a temperature is",
            ),
            (
                {"reject_threshold": 0.4},
                "config.json has reject_threshold: 0.4: it takes score (max_probability, energy)",
            ),
        ],
    )
    def test_a_config_that_makes_no_sense(
        self,
        refused: Callable[..., str],
        model_folder: Path,
        dataset_folder: Path,
        tmp_path: Path,
        change: dict[str, object],
        message: str,
    ) -> None:
        folder = shutil.copytree(model_folder, tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        assert message in refused("train", "evaluate", folder, f"dataset={dataset_folder}")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("nobody/nothing", "the Hub does not give it: "),
            ("/no/where", "/no/where is neither a folder nor a Hub id"),
        ],
    )
    def test_a_model_that_is_nowhere(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path, name: str, message: str
    ) -> None:
        words = ["train", "evaluate", name, f"dataset={dataset_folder}"]
        assert "say where the results go with output_dir=FOLDER" in refused(*words)
        assert message in refused(*words, f"output_dir={tmp_path / 'out'}")
        assert not (tmp_path / "out").exists()


class TestSummary:
    def _lines(self, value: float, others: np.ndarray | None) -> list[str]:
        labels = np.array([0, 1, 2] * 10)
        answers = np.where(np.arange(30) < 3, (labels + 1) % 3, labels)
        logits = np.linspace(1, 4, 30)[:, None] * np.eye(3)[answers]
        names = ["a", "b", "c"]
        split = Predictions([""] * 30, labels, logits, names)
        threshold = stated_threshold({"reject_threshold": {"score": "max_probability", "value": value}})
        metrics = compute_metrics(split, 1.31, threshold) | {"ood": None, "others": None}
        if others is not None:
            strange = Predictions([""] * len(others), np.zeros(len(others), int), others, names)
            metrics["others"] = judge_others(split, strange, threshold, None, "clutter")
        return summary(metrics, "test").splitlines()

    def test_what_is_printed_says_what_it_rests_on(self) -> None:
        lines = self._lines(0.65, np.full((50, 3), 0.1))
        assert lines[0].split() == ["class", "pictures", "precision", "recall", "F1"]
        assert lines[4].startswith(
            "test accuracy 90.0% of 30 pictures (95 % interval 74.4% – 96.5%), macro F1 0.900 (0."
        )
        assert lines[4].endswith("; intervals over pictures")
        assert lines[5].endswith("without temperature 1.31")
        assert lines[6] == "most confused: a as b (1), b as c (1), c as a (1)"
        assert lines[7].startswith(
            "abstains below a probability of 0.650: answers 86.7%, of which 100.0% are right (95 %"
        )
        assert lines[8].startswith(
            "50 other pictures (clutter): AUROC by max probability 1.00 (0.95 – 1.00), by energy"
        )
        assert lines[8].endswith("; abstains on 100.0% of them")

    def test_what_does_not_help_is_said(self) -> None:
        lines = self._lines(0.65, np.full((50, 3), [9.0, 0, 0]))
        assert lines[7].endswith("; no accuracy was promised")
        assert "none separates them from the classes better than chance; abstains on 0.0% of them" in lines[8]
        assert "0.999: answers none of these pictures" in self._lines(0.999, None)[7]

    def test_false_alarms_are_counted(self) -> None:
        metrics = compute_metrics(Predictions([""] * 3, np.arange(3), 4 * np.eye(3), ["a", "b", "c"]))
        reference = ReferenceFeatures(np.eye(3, dtype=np.float32), 2, 0.5)
        nearest = Nearest(np.array([[0.1, 0.2], [0.4, 0.8], [0.1, 0.3]]), np.zeros((3, 2), int))
        metrics |= {"others": None, "ood": judge_distance(reference, nearest)}
        last = summary(metrics, "test").splitlines()[-1]
        assert last.endswith("at a distance above 0.500: 33.3% false alarms (95 % interval 6.1% – 79.2%)")
        metrics["ood"] = judge_distance(ReferenceFeatures(reference.features, 2, None), nearest)
        assert metrics["ood"]["refused"] == 0
        assert "fewer than 19 validation pictures" in summary(metrics, "test").splitlines()[-1]
