"""The model card: README.md of a model folder, written from what the folder holds."""

import json
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

TEMPLATE = Path(__file__).with_name("card_template.md")


def write_card(folder: Path) -> Path:
    """Writes `folder/README.md` from config.json, recipe.yaml and, once there, metrics.json."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    metrics = read_metrics(folder)
    data = config["training_data"]
    name = f"{config['architecture']} for {data['name']}"
    test = metrics.get("test")
    metadata = ModelCardData(
        model_name=name,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=[
            "timm",
            "transformers",
            "image-classification",
            "nritya",
            *(["drawings"] if data["drawings"] else []),
        ],
        metrics=["accuracy", "f1"] if test else None,
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type="image-classification",
                dataset_name=test["dataset"],
                dataset_split="test",
                metric_type=kind,
                metric_value=round(test[value], 4),
            )
            for kind, value in (("accuracy", "accuracy"), ("f1", "macro_f1"))
        ]
        if test
        else None,
    )
    card = ModelCard.from_template(
        metadata,
        template_path=str(TEMPLATE),
        name=name,
        config=config,
        data=data,
        recipe=recipe,
        test=test,
        validation=config["validation"],
        has_confusion_matrix=(folder / "figures" / "confusion_matrix_test.png").exists(),
    )
    path = folder / "README.md"
    card.save(path)
    return path


def read_metrics(folder: Path) -> dict[str, Any]:
    """Returns metrics.json, a table by split, or an empty one."""
    path = folder / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
