"""The model card: README.md of a model folder, rendered from the folder's files."""

import json
import re
from pathlib import Path
from typing import Any

import timm
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from model_folder.facts import plain, read_examples, read_metrics, read_pair
from model_folder.folder import LEARNED, ONNX

FORMATS = "formats.json"
"""The sizes of the files that answer, in bytes, and how model.int8.onnx compares with model.onnx."""
TEMPLATE = Path(__file__).with_name("card_template.md")
PLACEHOLDER = "PATH_OR_HUB_ID"
_MEASURED = "`python -m train cross-validate … folds=source` measures how many it names rightly."


def render_card(
    folder: Path, repo_id: str | None = None, space_id: str | None = None, dataset_id: str | None = None
) -> str:
    """Returns the card of a model folder: config.json, recipe.yaml and, once there, metrics.json, in words.

    Args:
        folder: The model folder.
        repo_id: Its id on the Hub, so that the snippets can be copied as they are.
        space_id: The Space that shows it.
        dataset_id: The dataset's id on the Hub, for a model that was trained on a folder.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    data, metrics = config["training_data"], read_metrics(folder)
    test = metrics.get("test")
    data["id"] = data["id"] or dataset_id
    name = card_name(config)
    base_model = _base_model(recipe)
    examples = read_examples(folder)
    metadata = ModelCardData(
        model_name=name,
        library_name="timm",
        pipeline_tag="image-classification",
        license=license_of(data["licenses"]),
        base_model=base_model,
        datasets=[data["id"]] if data["id"] else None,
        tags=["timm", "transformers", "image-classification", "nritya", *(["drawings"] if data["drawings"] else [])],
        metrics=["accuracy", "f1"] if test else None,
        eval_results=_eval_results(test) if test else None,
        widget=[
            {"src": f"https://huggingface.co/{repo_id}/resolve/main/examples/{e['file']}", "example_title": e["label"]}
            for e in examples
        ]
        if repo_id and examples
        else None,
    )
    card = ModelCard.from_template(
        metadata,
        template_path=str(TEMPLATE),
        name=name,
        repo_id=repo_id,
        model_id=repo_id or PLACEHOLDER,
        timm_id=f"hf-hub:{repo_id}" if repo_id else f"local-dir:{PLACEHOLDER}",
        space_id=space_id or "SPACE_ID_OR_ADDRESS",
        has_onnx=(folder / ONNX).is_file(),
        formats=_read_formats(folder),
        config=config,
        data=data,
        recipe=recipe,
        origin=escaped(recipe.get("weights_origin") or "weights of its author's own"),
        base_model=base_model,
        test=test,
        pair=read_pair(test, config["label_names"]) if test else None,
        headline=headline(metrics, data["drawings"]),
        validation=config["validation"],
        examples=examples,
        learned=len((folder / LEARNED).read_text().split()) if (folder / LEARNED).is_file() else 0,
        figures=sorted(path.name for path in (folder / "figures").glob("*.png")),
    )
    return str(card)


def headline(metrics: dict[str, Any], drawings: bool = False) -> str:
    """Returns what a stranger should expect of a model on pictures of their own, and what that rests on.

    Args:
        metrics: metrics.json; empty for a model that was never judged.
        drawings: Whether it has learned from drawings, of which there is only one source.
    """
    folds, test = metrics.get("folds"), metrics.get("test")
    if folds:
        *parts, total = folds["scores"]["kept"]
        low, high = total["accuracy_interval"]
        worst, best = (choose(parts, key=lambda part: part["accuracy"]) for choose in (min, max))
        column, dataset = escaped(folds["column"]), escaped(folds["dataset"])
        return (
            f"**On pictures of another {column} than those it has learned from, {total['accuracy']:.1%} are named "
            f"rightly** (95 % interval {low:.1%} – {high:.1%}, {total['pictures']} pictures of “{dataset}”, "
            f"{folds['date']}): a model per {column} was trained by this recipe on all the others and judged on this "
            f"one, from {worst['accuracy']:.1%} ({escaped(worst['fold'])}) to {best['accuracy']:.1%} "
            f"({escaped(best['fold'])})."
        )
    if test and test.get("elsewhere"):
        low, high = test["accuracy_interval"]
        return (
            f"**On pictures from elsewhere, {test['accuracy']:.1%} are named rightly** (95 % interval {low:.1%} – "
            f"{high:.1%}, {test['pictures']} pictures): none of the test pictures is from a source that the model has "
            "learned from."
        )
    if drawings:
        return ""
    if not test:
        return f"**Nobody knows yet what it is worth on pictures from elsewhere.** {_MEASURED}"
    shared = "They share sources" if test.get("elsewhere") is False else "Not all sources are known"
    return (
        f"**These figures are for pictures like those it has learned from.** {shared}, and of pictures from elsewhere "
        f"it will name fewer rightly. {_MEASURED}"
    )


def escaped(text: object) -> str:
    """Returns text that others wrote, in one line, with nothing in it that Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_\[\]<>#|&~$])", r"\\\1", plain(str(text)))


def write_card(folder: Path) -> None:
    """Writes `folder/README.md`."""
    (folder / "README.md").write_text(render_card(folder), encoding="utf-8")


def card_name(config: dict[str, Any]) -> str:
    """Returns what a model is called, from its config.json."""
    return f"{config['architecture']} for {config['training_data']['name']}"


def _read_formats(folder: Path) -> dict[str, Any]:
    """Returns formats.json without the files that are no longer there; empty where there is none."""
    if not (folder / FORMATS).is_file():
        return {}
    formats = json.loads((folder / FORMATS).read_text(encoding="utf-8"))
    formats["files"] = {file: facts for file, facts in formats["files"].items() if (folder / file).is_file()}
    return formats


def _base_model(recipe: dict[str, Any]) -> str | None:
    if previous := recipe.get("init_from"):
        # A folder's name says nothing to others.
        return None if Path(previous).is_dir() else previous.partition("@")[0]
    if not recipe["pretrained"] or recipe["weights"]:
        return None
    return timm.get_pretrained_cfg(recipe["architecture"]).hf_hub_id


def license_of(pictures: dict[str, int]) -> str:
    """Returns the licence of a model from those of its training pictures, as counted in config.json."""
    # Weights are derived from the pictures: where the rights to one are unknown, no free licence can be promised.
    return "other" if {"unknown", "other"} & pictures.keys() else "apache-2.0"


def _eval_results(test: dict[str, Any]) -> list[EvalResult]:
    low, high = test["accuracy_interval"]
    common = {
        "task_type": "image-classification",
        "dataset_type": test["dataset_id"] or "imagefolder",
        "dataset_name": test["dataset"],
        "dataset_split": "test",
    }
    interval = {"interval_95": [round(low, 4), round(high, 4)], "pictures": test["pictures"]}
    return [
        EvalResult(
            **common,
            metric_type="accuracy",
            metric_name=f"accuracy (95 % interval {low:.1%} – {high:.1%}, {test['pictures']} pictures)",
            metric_value=round(test["accuracy"], 4),
            metric_args=interval,
        ),
        EvalResult(**common, metric_type="f1", metric_name="macro F1", metric_value=round(test["macro_f1"], 4)),
    ]
