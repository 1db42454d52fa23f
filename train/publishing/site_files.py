"""The files of a page without a server: its program, the model, what it is written in, and what runs the model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from model_folder.about import describe, shown_name
from model_folder.facts import plain, read_confusions, read_crop, read_dances, read_threshold
from model_folder.folder import ModelFolder, ModelFolderError
from model_folder.reference_features import ReferenceFeatures
from train.publishing.card import read_examples, read_metrics
from train.publishing.site_reference import REFERENCE_FILE, reference_file
from train.publishing.web_runtime import BINARY

ROOT = Path(__file__).parents[2]
_PAGE = Path(__file__).with_name("site")
# The two that may not lie in a folder of their content's name: one is what visitors open, and a service worker
# answers for what lies beside it.
_OUTSIDE = ("index.html", "service_worker.js")
# Of app.py's page, which this one looks and speaks like.
_FACE, _FAVICON, _WORDS = ROOT / "demo/page.css", ROOT / "demo/serving/favicon.svg", ROOT / "demo/words"
_LONGEST_CREDIT = 80

Files = dict[str, Path | bytes]


def site_files(
    folder: ModelFolder, network: Path, reference: ReferenceFeatures | None, runtime: Mapping[str, bytes]
) -> Files:
    """Returns the content of a site by path, the same for the same model folder.

    All but two files lie in a folder that is named after their content: a visitor never gets files of two builds.

    Args:
        folder: The model folder.
        network: Its ONNX file that answers.
        reference: What training pictures look like to it; None where the folder does not tell.
        runtime: What runs it, as `runtime_files` gives it.

    Raises:
        ModelFolderError: What it tells of its test, its examples or its training pictures is damaged.
    """
    page: Files = {path.name: path for path in sorted(_PAGE.iterdir()) if path.suffix in (".js", ".css")}
    page |= {"answer.css": _FACE, "favicon.svg": _FAVICON}
    page |= {f"runtime/{name}": content for name, content in runtime.items() if name != BINARY}
    languages = sorted(path.stem for path in (_PAGE / "words").glob("*.json"))
    page |= {f"words/{language}.json": _words(language) for language in languages}
    try:
        told = _told(folder)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ModelFolderError(f"{folder.name} has a damaged metrics.json or examples.json ({error})") from None
    page |= {f"examples/{file}": folder.path / "examples" / file for file in told.pop("files")}
    for name in _OUTSIDE:
        page.pop(name, None)
    told |= {
        "languages": languages,
        "model": {"file": network.name, "bytes": network.stat().st_size},
        "runtime": {"file": f"runtime/{BINARY}", "bytes": len(runtime[BINARY])},
        "reference": None,
        # What a visitor's device keeps from the start; the model and what comes with it are kept as they come.
        "files": [quote(file) for file in ("site.json", *page) if not file.endswith((".txt", "/LICENSE"))],
    }
    page |= {network.name: network, f"runtime/{BINARY}": runtime[BINARY]}
    if reference:
        content = page[REFERENCE_FILE] = reference_file(folder, reference)
        limits = {"k": reference.k, "threshold": reference.threshold}
        told["reference"] = {"file": REFERENCE_FILE, "bytes": len(content), **limits}
    page["site.json"] = _json(told)
    build = f"build-{_fingerprint(page)}"
    outside = {
        name: Template((_PAGE / name).read_text(encoding="utf-8")).safe_substitute(build=build).encode()
        for name in _OUTSIDE
    }
    return {**outside, **{f"{build}/{name}": content for name, content in page.items()}}


def _told(folder: ModelFolder) -> dict[str, Any]:
    """Returns what a model folder tells a page, and its example pictures as `files`."""
    config, test = folder.config, read_metrics(folder.path).get("test", {})
    dances = read_dances(config)
    confusions = {
        label: {
            "pictures": found.pictures,
            "others": [{"name": dances[other].name, "count": count} for other, count in found.others],
        }
        for label, found in read_confusions(test, folder.label_names).items()
    }
    about = describe(shown_name(folder), config, test, folder.repo_id, folder.revision)
    offered = [entry for entry in read_examples(folder.path) if _is_there(folder.path / "examples", entry["file"])]
    examples = []
    for entry in offered:
        credit = [plain(entry.get(key), _LONGEST_CREDIT) for key in ("author", "license")]
        name = dances[entry["label"]].name if entry["label"] in dances else plain(entry["label"])
        file = quote(f"examples/{entry['file']}")
        examples.append({"file": file, "name": name, "credit": ", ".join(filter(None, credit))})
    return {
        "dances": [asdict(dance) for dance in dances.values()],
        "confusions": confusions,
        "threshold": read_threshold(config),
        "crop": asdict(read_crop(config)),
        "drawings": about.drawings,
        "about": {**asdict(about), "test_key": about.test_key},
        "examples": examples,
        "files": [entry["file"] for entry in offered],
    }


def _is_there(folder: Path, name: str) -> bool:
    return Path(name).name == name and (folder / name).is_file()


def _words(language: str) -> bytes:
    """Returns app.py's words and those that only this page says."""
    files = (folder / f"{language}.json" for folder in (_PAGE / "words", _WORDS))
    own, shared = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    return _json({**shared, **own})


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _fingerprint(files: Files) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        content = files[name]
        data = content if isinstance(content, bytes) else content.read_bytes()
        whole.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    return whole.hexdigest()[:16]
