"""What comes before a commit: which files go by LFS, and where their bytes are put."""

import base64
import fnmatch
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.minihub.answers import RefusedError
from tests.minihub.repository import Repository
from tests.minihub.storage import ObjectStore

LARGEST_REGULAR = 10 << 20
EVERYWHERE = (
    "7z arrow avro bin bz2 ckpt ftz gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth "
    "rar safetensors tar tflite tgz wasm xz zip zst"
)
IN_DATASETS = "aac bmp flac gif jpeg jpg mp3 mp4 ogg pcm png raw sam tiff wav webm webp mds"


def default_attributes(kind: str) -> bytes:
    """The `.gitattributes` of a new repository."""
    endings = f"{EVERYWHERE} {IN_DATASETS}" if kind == "datasets" else EVERYWHERE
    globs = [*(f"*.{ending}" for ending in endings.split()), "*tfevents*"]
    return "".join(f"{glob} filter=lfs diff=lfs merge=lfs -text\n" for glob in globs).encode()


def upload_modes(repository: Repository, commit: str, payload: dict[str, Any]) -> Response:
    """Tells for each file of a coming commit how to upload it and what is there already."""
    attributes = _rules(repository.text(commit, ".gitattributes"))
    large = [rule.split()[0] for rule in attributes if "filter=lfs" in rule]
    ignored = _rules(payload.get("gitIgnore") or repository.text(commit, ".gitignore"))
    files = []
    for file in payload["files"]:
        path = file["path"]
        entry = repository.files(commit).get(path)
        binary = b"\0" in base64.b64decode(file.get("sample", ""))
        lfs = file["size"] > LARGEST_REGULAR or binary or any(_matches(path, glob) for glob in large)
        files.append(
            {
                "path": path,
                "uploadMode": "lfs" if lfs else "regular",
                "oid": entry and (entry["sha256"] if entry["lfs"] else entry["oid"]),
                "shouldIgnore": any(_matches(path, glob) for glob in ignored),
            }
        )
    return JSONResponse({"files": files, "commitOid": commit})


def batch(request: Request, repository: Repository, store: ObjectStore, payload: dict[str, Any]) -> Response:
    """The LFS batch API: an object that the repository has needs no upload."""
    multipart = "multipart" in payload.get("transfers", [])
    objects: list[dict[str, Any]] = []
    in_parts = False
    for asked in payload["objects"]:
        answer = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in repository.state["lfs"]:
            upload = store.upload_action(
                repository, asked["oid"], asked["size"], hub=str(request.base_url), multipart=multipart
            )
            verify = {"href": str(request.url).replace("/batch", "/verify"), "header": {}}
            answer["actions"] = {"upload": upload, "verify": verify}
            in_parts = in_parts or bool(upload["header"])
        objects.append(answer)
    content = {"transfer": "multipart" if in_parts else "basic", "objects": objects}
    return JSONResponse(content, media_type="application/vnd.git-lfs+json")


def verify(repository: Repository, payload: dict[str, Any]) -> Response:
    if repository.state["lfs"].get(payload["oid"]) != payload["size"]:
        raise RefusedError(404, "LFS object not uploaded")
    return JSONResponse({})


def _rules(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _matches(path: str, pattern: str) -> bool:
    """Whether a line of .gitattributes or .gitignore means a file: the simple cases."""
    pattern = pattern.strip().strip("/")
    parts = path.split("/")
    heads = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatch.fnmatchcase(part, pattern) for part in parts + heads)
