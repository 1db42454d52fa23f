"""ONNX Runtime Web: its files, fetched from npm's registry once, and the check that it can run a model."""

import base64
import gzip
import hashlib
import os
import tarfile
from io import BytesIO
from pathlib import Path

import httpx2
import onnx
import onnxruntime
from onnx import TensorProto
from tqdm import tqdm

from files.atomic import atomic_write, only_writer
from files.errors import UserError
from files.paths import home_folder

VERSION = "1.30.0"
# Of the package's archive, as the registry and every package-lock.json have it.
_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
_REGISTRY = "https://registry.npmjs.org"
_MODULE, _BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
BINARY = f"{_BINARY}.gz"
"""The runtime itself, compressed to a quarter; the page unpacks it, so that no server need compress files."""
# The package has no licence file; the Python package of the same project has.
_LICENSES = ("LICENSE", "ThirdPartyNotices.txt")


class WebRuntimeError(UserError):
    """The package of ONNX Runtime Web can't be had, or is not the pinned one."""


def runtime_files(package: Path | None) -> dict[str, bytes]:
    """Returns the files of ONNX Runtime Web that a page needs to compute on the visitor's CPU, by name.

    Args:
        package: The archive as `npm pack` gives it, for those without a network; None to take it from the user's
            cache, or to fetch it from npm's registry.

    Raises:
        WebRuntimeError: It can't be had, or is not the pinned version.
    """
    content = _read(package) if package else _cached_or_fetched()
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        module, binary = (archive.extractfile(f"package/dist/{name}") for name in (_MODULE, _BINARY))
        assert module is not None, "the checksum is that of an archive that holds it"
        assert binary is not None, "the checksum is that of an archive that holds it"
        # No time in the header: the same package gives the same bytes.
        files = {_MODULE: module.read(), BINARY: gzip.compress(binary.read(), mtime=0)}
    licenses = Path(onnxruntime.__file__).parent
    return {**files, **{name: (licenses / name).read_bytes() for name in _LICENSES}}


def _read(package: Path) -> bytes:
    try:
        content = package.read_bytes()
    except OSError as error:
        raise WebRuntimeError(f"{package} can't be read ({error.strerror}): {_remedy()}") from None
    if not _is_pinned(content):
        raise WebRuntimeError(f"{package} is not onnxruntime-web {VERSION} (its checksum differs): {_remedy()}")
    return content


def _cached_or_fetched() -> bytes:
    cached = Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "nritya" / _ARCHIVE
    if cached.is_file() and _is_pinned(content := cached.read_bytes()):
        return content
    url = f"{_registry()}/onnxruntime-web/-/{_ARCHIVE}"
    content = _fetch(url)
    if not _is_pinned(content):
        raise WebRuntimeError(f"{url} gave something else (its checksum differs): {_remedy()}")
    cached.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(cached, timeout=-1), atomic_write(cached) as draft:
        draft.write_bytes(content)
    return content


def _registry() -> str:
    """Returns the registry that npm would ask: by its environment variable, the user's .npmrc, or the public one."""
    environment = {key.lower(): value for key, value in os.environ.items()}
    if registry := environment.get("npm_config_registry"):
        return registry.rstrip("/")
    settings = Path(environment.get("npm_config_userconfig") or home_folder() / ".npmrc")
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.is_file() else []
    stated = [value for key, _, value in (line.partition("=") for line in lines) if key.strip() == "registry"]
    return stated[-1].strip().rstrip("/") if stated else _REGISTRY


def _fetch(url: str) -> bytes:
    content = bytearray()
    try:
        with httpx2.stream("GET", url, follow_redirects=True, timeout=30) as response:
            response.raise_for_status()
            total = int(response.headers.get("Content-Length", 0)) or None
            with tqdm(desc=_ARCHIVE, total=total, unit="B", unit_scale=True, leave=False) as bar:
                for piece in response.iter_bytes():
                    content += piece
                    bar.update(len(piece))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WebRuntimeError(f"{url} can't be fetched ({what}): {_remedy()}") from None
    return bytes(content)


def _is_pinned(content: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(content).digest()).decode() == _INTEGRITY


def _remedy() -> str:
    return f"run `npm pack onnxruntime-web@{VERSION}` where there is a network, and give --onnxruntime-web {_ARCHIVE}"


# Newer operator sets, and types for which JavaScript has no numbers: of the 1,884 models by which onnx 1.23.2 tests
# single operators, these rules find all that onnxruntime 1.32.0 opens and the WebAssembly of onnxruntime-web 1.30.0
# does not, but for Attention over a window and Where of int8, which no network for pictures has.
_NEWEST = {"": 26, "ai.onnx.ml": 5, "com.microsoft": 1}
_UNKNOWN_TYPES = {
    TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E5M2FNUZ, TensorProto.INT2, TensorProto.UINT2, TensorProto.COMPLEX64, TensorProto.COMPLEX128,
}  # fmt: skip


class WebOperatorsError(UserError):
    """A model runs here and would not run in a browser."""


def check_operators(file: Path) -> None:
    """Checks that a model that ONNX Runtime opens uses nothing that its build for browsers lacks.

    Raises:
        WebOperatorsError: Names what is lacking.
    """
    model = onnx.load(file)
    used = {node.domain if node.domain != "ai.onnx" else "" for node in model.graph.node}
    faults = [
        f"operator set {entry.domain or 'ai.onnx'} {entry.version}"
        for entry in model.opset_import
        if entry.domain in used and entry.version > _NEWEST.get(entry.domain, 0)
    ]
    faults += sorted(f"numbers of type {TensorProto.DataType.Name(code)}" for code in _types(model) & _UNKNOWN_TYPES)
    if faults:
        lacking = ", ".join(dict.fromkeys(faults))
        raise WebOperatorsError(
            f"{file} can't run in a browser: onnxruntime-web {VERSION} lacks {lacking}. Fit the model again"
        )


def _types(model: onnx.ModelProto) -> set[int]:
    tensors = {tensor.data_type for tensor in model.graph.initializer}
    casts = {entry.i for node in model.graph.node if node.op_type == "Cast" for entry in node.attribute}
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return tensors | casts | {value.type.tensor_type.elem_type for value in values}
