"""The Space that shows a model: app.py as it is, with just the packages that it imports."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from huggingface_hub import SpaceCard, SpaceCardData

ROOT = Path(__file__).parents[2]
MODEL_ID_FILE = "MODEL_ID"
_PARTS = ("demo", "hub", "pictures")
# transformers loads timm models through these, without app.py naming them.
_UNNAMED = ("timm", "torchvision")


def space_files(model_id: str, training_data: dict[str, Any]) -> dict[str, Path | bytes]:
    """Returns the content of a Space by path.

    Args:
        model_id: The model on the Hub that it shows.
        training_data: As in the model folder's config.json.
    """
    modules = [ROOT / "app.py", *sorted(path for part in _PARTS for path in (ROOT / part).rglob("*.py"))]
    code = {path.relative_to(ROOT).as_posix(): path for path in modules}
    requirements = cut_requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"), list(code.values()))
    return {
        **code,
        "requirements.txt": requirements.encode(),
        "README.md": _card(model_id, training_data, requirements).encode(),
        MODEL_ID_FILE: f"{model_id}\n".encode(),
    }


def cut_requirements(requirements: str, modules: list[Path]) -> str:
    """Returns the pinned lines of a requirements file that some modules need.

    Args:
        requirements: Text with lines such as `pillow==12.3.0   # why`.
        modules: Python files, whose imports decide.
    """
    imported: set[str] = set(_UNNAMED)
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    of_import = packages_distributions()
    needed = {_canonical(d) for name in imported - sys.stdlib_module_names for d in of_import.get(name, [])}
    pins = [line.split("#")[0].strip() for line in requirements.splitlines() if "==" in line]
    return "\n".join(pin for pin in pins if _canonical(pin.split("==")[0]) in needed) + "\n"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _card(model_id: str, training_data: dict[str, Any], requirements: str) -> str:
    pins = dict(pin.split("==") for pin in requirements.split())
    data = SpaceCardData(
        title="Nritya",
        emoji="💃",
        colorFrom="red",
        colorTo="yellow",
        sdk="gradio",
        sdk_version=pins["gradio"],
        python_version="3.11",
        app_file="app.py",
        models=[model_id],
        datasets=[training_data["id"]] if training_data["id"] else None,
        license="apache-2.0",
        short_description="Which classical dance of India is this?",
    )
    kind = "drawings of dancers, not photographs" if training_data["drawings"] else "photographs of dancers"
    text = f"Shows what [{model_id}](https://huggingface.co/{model_id}) sees in a picture. It was trained on {kind}."
    return str(SpaceCard(f"---\n{data.to_yaml()}\n---\n\n# Nritya\n\n{text}\n"))
