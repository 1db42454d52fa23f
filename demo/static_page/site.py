"""A model folder becomes a site: a page that needs no server, only a place for its files (`train static`).

All but two files of a site lie in a folder that is named after their content, `build-...`: a visitor never gets files
of two builds.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from safetensors.numpy import save

from demo.static_page.runtime import BINARY, check_operators, runtime_files
from demo.words import LANGUAGES, languages_of
from files.atomic import atomic_folder
from files.paths import command_line
from model_folder.about import describe, shown_name
from model_folder.facts import (
    plain,
    read_confusions,
    read_crop,
    read_dances,
    read_examples,
    read_int8_agreement,
    read_metrics,
    read_pair,
    read_prediction_sets,
    read_threshold,
)
from model_folder.folder import INT8_ONNX, ONNX, ModelFolder, ModelFolderError, open_model_folder
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import ReferenceFeatures, open_reference
from model_folder.reference_pictures import ReferencePicture, open_pictures

REFERENCE_FILE = "reference.safetensors"
_ASSETS = Path(__file__).with_name("assets")
# Visitors open the one; the other, a service worker, answers for the files beside it only.
_OUTSIDE = ("index.html", "service_worker.js")
_BUILD = re.compile(r"build-[0-9a-f]{16}")
# Shared with app.py's page.
_DEMO = Path(__file__).parents[1]
_STYLE, _FAVICON = _DEMO / "page.css", _DEMO / "serving/favicon.svg"
_LONGEST_CREDIT = 80

Files = dict[str, Path | bytes]


class Numbers(StrEnum):
    """What a model computes in."""

    FLOAT = "float"
    INT8 = "int8"


@dataclass(frozen=True)
class Site:
    """A site that was written.

    Attributes:
        path: The folder.
        files: How many it has.
        megabytes: Of the model, its runtime and its reference, as a visitor fetches them.
    """

    path: Path
    files: int
    megabytes: float

    def __str__(self) -> str:
        """Returns the lines that the command ends with."""
        return (
            f"{self.path}: {self.files} files; a visitor fetches {self.megabytes:.1f} MB once, then nothing\n"
            f"Look at it: {command_line('python', '-m', 'http.server', '--directory', self.path)}"
        )


def write_site(model: str, out: Path, numbers: Numbers | None, package: Path | None) -> Site:
    """Writes a site; the folder appears whole, by rename, and replaces an earlier one.

    Args:
        model: A model folder, the run that it lies in, or a Hub id.
        out: The folder to write.
        numbers: Which of the model folder's ONNX files answers; None for the int8 one where there is one.
        package: The archive of ONNX Runtime Web, for those without a network.

    Raises:
        ModelFolderError: `model` is no model folder, has no ONNX file, or is not to be trusted.
        HubError: It can't be fetched.
        WebOperatorsError: A browser can't run it.
        WebRuntimeError: ONNX Runtime Web can't be had.
        OutputFolderError: `out` holds something else, or can't be written.
    """
    with atomic_folder(out, is_site) as draft:
        files = make_site(open_model_folder(model, for_torch=False), numbers, package)
        for name, content in files.items():
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                place.write_bytes(content)
            else:
                shutil.copyfile(content, place)
        heavy = sum(
            (draft / name).stat().st_size for name in files if name.endswith((".onnx", BINARY, REFERENCE_FILE))
        )
    return Site(out, len(files), heavy / 1e6)


def is_site(folder: Path) -> bool:
    """Tells whether a folder holds what `write_site` writes and nothing else."""
    names = {path.name for path in folder.iterdir()} - set(_OUTSIDE)
    return (folder / "index.html").is_file() and len(names) == 1 and _BUILD.fullmatch(names.pop()) is not None


def make_site(folder: ModelFolder, numbers: Numbers | None = None, package: Path | None = None) -> Files:
    """Returns the content of a site by path, after checking that browsers can run the model.

    Raises:
        ModelFolderError, WebOperatorsError, WebRuntimeError: As `write_site`.
    """
    network = choose_network(folder, numbers)
    _, features, *_ = open_onnx(folder, 1, network.name).get_outputs()
    check_operators(network)
    reference = open_reference(folder)
    if reference and features.shape != [reference.features.shape[1]]:
        raise ModelFolderError(
            f"{folder.name} is not to be trusted: {network.name} gives features of shape {features.shape}, its"
            f" reference has {reference.features.shape[1]} for a picture"
        )
    return site_files(folder, network, features.shape[0], reference, runtime_files(package))


def choose_network(folder: ModelFolder, numbers: Numbers | None) -> Path:
    """Chooses the ONNX file that answers.

    Raises:
        ModelFolderError: There is none, or not the one that was asked for.
    """
    names = {Numbers.INT8: INT8_ONNX, Numbers.FLOAT: ONNX}
    present = {kind: folder.path / name for kind, name in names.items() if (folder.path / name).is_file()}
    if not present:
        raise ModelFolderError(
            f"{folder.name} has no {ONNX}, which a page without a server needs: fit it again with an architecture that"
            " can be exported (`fit` says why one can't)"
        )
    if numbers and numbers not in present:
        raise ModelFolderError(f"{folder.name} has no {names[numbers]}: --model {next(iter(present))} can be had")
    return present[numbers] if numbers else next(iter(present.values()))


def site_files(
    folder: ModelFolder, network: Path, width: int, reference: ReferenceFeatures | None, runtime: Mapping[str, bytes]
) -> Files:
    """Returns the content of a site by path, the same for the same model folder.

    Args:
        folder: The model folder.
        network: Its ONNX file that answers.
        width: How many features it gives for a picture.
        reference: Features of its training pictures; None where the folder has none.
        runtime: What runs it, from `runtime_files`.

    Raises:
        ModelFolderError: Its metrics, its examples or its training pictures are damaged.
    """
    files: Files = {
        path.name: path
        for path in sorted(_ASSETS.iterdir())
        if path.suffix in (".js", ".css") and path.name not in _OUTSIDE
    }
    files |= {"answer.css": _STYLE, "favicon.svg": _FAVICON}
    files |= {f"runtime/{name}": content for name, content in runtime.items() if name != BINARY}
    # app.py's words and those of this page alone.
    dances = read_dances(folder.config)
    for language, words in languages_of(dances).items():
        own = json.loads((_ASSETS / "words" / f"{language}.json").read_text(encoding="utf-8"))
        told = {"dances": [asdict(dance) for dance in words.tell(dances).values()]} if words.dances else {}
        files[f"words/{language}.json"] = _json({**words.texts, **own, **told})
    try:
        facts, examples = _facts(folder, network.name)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ModelFolderError(
            f"{folder.name} has a damaged metrics.json, examples.json or formats.json ({error})"
        ) from None
    files |= {f"examples/{file}": folder.path / "examples" / file for file in examples}
    facts |= {
        "languages": list(LANGUAGES),
        "model": {
            "file": network.name,
            "bytes": network.stat().st_size,
            # What a visitor has taught one model means nothing to another.
            "sha256": hashlib.sha256(network.read_bytes()).hexdigest(),
            "features": width,
        },
        "runtime": {"file": f"runtime/{BINARY}", "bytes": len(runtime[BINARY])},
        "reference": None,
        # A visitor's device keeps these from the start; the model and its runtime are kept as they are fetched.
        "files": [quote(file) for file in ("site.json", *files) if not file.endswith((".txt", "/LICENSE"))],
    }
    files |= {network.name: network, f"runtime/{BINARY}": runtime[BINARY]}
    if reference:
        content = files[REFERENCE_FILE] = reference_file(folder, reference)
        limits = {"k": reference.k, "threshold": reference.threshold}
        facts["reference"] = {"file": REFERENCE_FILE, "bytes": len(content), **limits}
    files["site.json"] = _json(facts)
    build = f"build-{_fingerprint(files)}"
    outside = {
        name: Template((_ASSETS / name).read_text(encoding="utf-8")).safe_substitute(build=build).encode()
        for name in _OUTSIDE
    }
    return {**outside, **{f"{build}/{name}": content for name, content in files.items()}}


def _facts(folder: ModelFolder, network: str) -> tuple[dict[str, Any], list[str]]:
    """Returns what the page reads of a model folder, for site.json, and the files of its example pictures."""
    config, test = folder.config, read_metrics(folder.path).get("test", {})
    dances = read_dances(config)
    confusions: list[dict[str, Any] | None] = [None] * len(folder.label_names)
    for label, confused in read_confusions(test, folder.label_names).items():
        others = [{"name": dances[other].name, "count": count} for other, count in confused.others]
        # By number: an object of JavaScript has a "constructor" already.
        confusions[folder.label_names.index(label)] = {"pictures": confused.pictures, "others": others}
    sets, pair = read_prediction_sets(config, test), read_pair(test, folder.label_names)
    about = describe(
        shown_name(folder), config, test, folder.repo_id, folder.revision, network, read_int8_agreement(folder.path)
    )
    examples, files = [], []
    for entry in read_examples(folder.path):
        file = entry["file"]
        if Path(file).name != file or not (folder.path / "examples" / file).is_file():
            continue
        files.append(file)
        credit = _credit(entry.get("author"), entry.get("license"))
        name = dances[entry["label"]].name if entry["label"] in dances else plain(entry["label"])
        examples.append({"file": quote(f"examples/{file}"), "name": name, "credit": credit})
    facts = {
        "dances": [asdict(dance) for dance in dances.values()],
        "confusions": confusions,
        "pair": pair and {**asdict(pair), "dances": [folder.label_names.index(label) for label in pair.labels]},
        "threshold": asdict(read_threshold(config)),
        "sets": sets and asdict(sets),
        "crop": asdict(read_crop(config)),
        "drawings": about.drawings,
        "about": {
            **asdict(about),
            "test_key": about.test_key,
            "file_key": about.file_key,
            "file_values": about.file_values,
        },
        "examples": examples,
    }
    return facts, files


def reference_file(folder: ModelFolder, reference: ReferenceFeatures) -> bytes:
    """Returns a file of the safetensors format, the same for the same model folder.

    Its tensors are `features`, each of length 1, float16 of shape (pictures, features), and `jpegs`, uint8: the small
    copies, one after the other. Its metadata have `pictures`, JSON with an object per picture, in the order of the
    features: name of the dance, credit, url, and how many `bytes` of `jpegs` are its copy. Where the licence lets none
    be shared, these are 0, and credit and url are empty. Without pictures in the model folder the list is empty.

    Raises:
        ModelFolderError: The folder's pictures are damaged or hostile.
    """
    dances = read_dances(folder.config)
    pictures = open_pictures(folder, len(reference.features))
    entries = [
        _reference_entry(picture, dances[picture.label].name if picture.label in dances else "")
        for picture in pictures
    ]
    jpegs = b"".join(picture.jpeg or b"" for picture in pictures)
    return save(
        {"features": reference.features.astype(np.float16), "jpegs": np.frombuffer(jpegs, np.uint8)},
        {"pictures": json.dumps(entries, ensure_ascii=False, separators=(",", ":"))},
    )


def _reference_entry(picture: ReferencePicture, name: str) -> dict[str, str | int]:
    shared = picture.jpeg is not None
    return {
        "name": name or plain(picture.label),
        "credit": _credit(picture.author, picture.license) if shared else "",
        "url": picture.source_url if shared else "",
        "bytes": len(picture.jpeg or b""),
    }


def _credit(author: Any, license_id: Any) -> str:
    return ", ".join(filter(None, (plain(text, _LONGEST_CREDIT) for text in (author, license_id))))


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _fingerprint(files: Files) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        content = files[name]
        data = content if isinstance(content, bytes) else content.read_bytes()
        whole.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    return whole.hexdigest()[:16]
