"""The story of `train static`: a model folder becomes a page that needs no server, only a place for its files."""

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
from files.atomic import atomic_folder
from files.paths import command_line
from model_folder.about import describe, shown_name
from model_folder.facts import (
    plain,
    read_confusions,
    read_crop,
    read_dances,
    read_examples,
    read_metrics,
    read_threshold,
)
from model_folder.folder import INT8_ONNX, ONNX, ModelFolder, ModelFolderError, open_model_folder
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import ReferenceFeatures, open_reference
from model_folder.reference_pictures import ReferencePicture, open_pictures

REFERENCE_FILE = "reference.safetensors"


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
    told = [
        _told_of_picture(picture, dances[picture.label].name if picture.label in dances else "")
        for picture in pictures
    ]
    jpegs = b"".join(picture.jpeg or b"" for picture in pictures)
    return save(
        {"features": reference.features.astype(np.float16), "jpegs": np.frombuffer(jpegs, np.uint8)},
        {"pictures": json.dumps(told, ensure_ascii=False, separators=(",", ":"))},
    )


def _told_of_picture(picture: ReferencePicture, name: str) -> dict[str, str | int]:
    credit = ", ".join(filter(None, (plain(of, _LONGEST_CREDIT) for of in (picture.author, picture.license))))
    shown = picture.jpeg is not None
    return {
        "name": name or plain(picture.label),
        "credit": credit if shown else "",
        "url": picture.source_url if shown else "",
        "bytes": len(picture.jpeg or b""),
    }


ROOT = Path(__file__).parents[2]
_PAGE = Path(__file__).with_name("assets")
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
        "threshold": asdict(read_threshold(config)),
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


BUILD = re.compile(r"build-[0-9a-f]{16}")


class Numbers(StrEnum):
    """What a model computes in."""

    FLOAT = "float"
    INT8 = "int8"


@dataclass(frozen=True)
class Site:
    """A page that was written.

    Attributes:
        path: The folder.
        files: How many it has.
        megabytes: Of the model and what comes with it, as a visitor fetches them.
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
        model: A model folder or Hub id.
        out: The folder to write.
        numbers: Which of the model folder's ONNX files answers; None for the quantised one where there is one.
        package: The archive of ONNX Runtime Web, for those without a network.

    Raises:
        ModelFolderError: `model` is no model folder, or has no ONNX file, or one or a reference not to be trusted.
        HubError: It can't be fetched.
        WebOperatorsError: A browser can't run it.
        WebRuntimeError: What runs it can't be had.
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


def make_site(folder: ModelFolder, numbers: Numbers | None = None, package: Path | None = None) -> Files:
    """Returns the content of a site by path, once it is sure that browsers can run the model.

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
    return site_files(folder, network, reference, runtime_files(package))


def choose_network(folder: ModelFolder, numbers: Numbers | None) -> Path:
    """Chooses the ONNX file that answers.

    Raises:
        ModelFolderError: There is none, or not the one that was asked for.
    """
    names = {Numbers.INT8: INT8_ONNX, Numbers.FLOAT: ONNX}
    there = {kind: folder.path / name for kind, name in names.items() if (folder.path / name).is_file()}
    if not there:
        raise ModelFolderError(
            f"{folder.name} has no {ONNX}, which a page without a server needs: fit it again with an architecture that"
            " can be exported (`fit` says why one can't)"
        )
    if numbers and numbers not in there:
        raise ModelFolderError(f"{folder.name} has no {names[numbers]}: --model {next(iter(there))} can be had")
    return there[numbers] if numbers else next(iter(there.values()))


def is_site(folder: Path) -> bool:
    """Tells whether a folder holds what `static` writes and nothing else."""
    names = {path.name for path in folder.iterdir()} - {"index.html", "service_worker.js"}
    return (folder / "index.html").is_file() and len(names) == 1 and BUILD.fullmatch(names.pop()) is not None
