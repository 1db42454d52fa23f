"""The Spaces that show a model: app.py as it is, with just the packages that this model needs; or a static page."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from huggingface_hub import SpaceCard, SpaceCardData

ROOT = Path(__file__).parents[2]
MODEL_ID_FILE = "MODEL_ID"
PARTS = ("demo", "files", "hub", "model_folder", "pictures")
# How a model without a model.onnx answers; transformers asks for timm and torchvision without our naming them.
_THROUGH_TRANSFORMERS = "demo/models/through_transformers.py"
_TORCH = {"timm", "torch", "torchvision", "transformers"}


def space_files(model_id: str, training_data: dict[str, Any], has_onnx: bool) -> dict[str, Path | bytes]:
    """Returns the content of a Space by path.

    Args:
        model_id: The model on the Hub that it shows.
        training_data: As in the model folder's config.json.
        has_onnx: The model answers without torch, which does not go along.
    """
    parts = sorted(
        path for part in PARTS for path in (ROOT / part).rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "app.py", *parts)}
    if has_onnx:
        del files[_THROUGH_TRANSFORMERS]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    modules = [path for path in files.values() if path.suffix == ".py"]
    requirements = cut_requirements(pinned, modules, has_onnx)
    versions = {_canonical(pin): pin.split("==")[1] for pin in requirements.split()}
    program = {"sdk": "gradio", "sdk_version": versions["gradio"], "python_version": "3.11", "app_file": "app.py"}
    return {
        **files,
        "requirements.txt": requirements.encode(),
        "README.md": _card(model_id, training_data, **program).encode(),
        MODEL_ID_FILE: f"{model_id}\n".encode(),
    }


def cut_requirements(requirements: str, modules: list[Path], has_onnx: bool) -> str:
    """Returns the pinned lines of a requirements file that some modules need.

    Args:
        requirements: Text with lines such as `pillow==12.3.0   # why`.
        modules: Python files, whose imports decide.
        has_onnx: What has to do with torch is not needed, whoever imports it.
    """
    imported: set[str] = set()
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported = imported - _TORCH if has_onnx else imported | _TORCH
    of_import = packages_distributions()
    needed = {_canonical(d) for name in imported - sys.stdlib_module_names for d in of_import.get(name, [])}
    pins = [line.split("#")[0].strip() for line in requirements.splitlines() if "==" in line]
    return "\n".join(pin for pin in pins if _canonical(pin) in needed) + "\n"


def _canonical(pin: str) -> str:
    """Returns the name of a package, without its extras and version, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=]", pin)[0]).lower()


def static_space_card(model_id: str, training_data: dict[str, Any]) -> str:
    """Returns the card, README.md, of a static Space, whose other files are a site."""
    return _card(model_id, training_data, sdk="static", app_file="index.html")


def _card(model_id: str, training_data: dict[str, Any], **program: Any) -> str:
    data = SpaceCardData(
        title="Nritya",
        emoji="💃",
        colorFrom="red",
        colorTo="yellow",
        **program,
        models=[model_id],
        datasets=[training_data["id"]] if training_data["id"] else None,
        license="apache-2.0",
        short_description="Which classical dance of India is this?",
    )
    kind = "drawings of dancers, not photographs" if training_data["drawings"] else "photographs of dancers"
    text = f"Shows what [{model_id}](https://huggingface.co/{model_id}) sees in a picture. It was trained on {kind}."
    return str(SpaceCard(f"---\n{data.to_yaml()}\n---\n\n# Nritya\n\n{text}\n"))
