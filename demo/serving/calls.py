"""What a call of the page may hold: looked at before Gradio acts on it.

Gradio takes a file as a JSON object with a `path`. It would fetch addresses, and does not look where a path leads when
the object lacks its `meta`. A picture may come as a data: URL, too: here it becomes an uploaded file.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import DataHandler, Request

import gradio as gr

from demo.reading.upload import MAX_BYTES
from demo.serving.bodies import MAX_CALL
from demo.serving.upload_folder import UploadFolder
from demo.telling.many import MOST
from demo.words import ENGLISH, LANGUAGES

NAME = r"[A-Za-z0-9_-]{1,64}"
NO_ADDRESSES = (
    "This page opens no addresses. Give the picture itself: as a data: URL, or upload it to /gradio_api/upload and "
    "give the address or path that it gets there."
)
NO_PICTURE = "This is no picture: give a file (in Python: gradio_client.handle_file(PATH)) or a data: URL."
_FUNCTION = re.compile(rf"/gradio_api/(?:call|run|call/(?P<v2>v2))/(?P<name>{NAME})/?")
_UPLOADED = re.compile(r"https?://[^/]+(?:/.*)?/gradio_api/file=(?P<path>/.+)")
# Levels of lists and objects; Gradio walks through them by recursion.
_DEEPEST = 24
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DATA_URL = re.compile(r"data:", re.IGNORECASE)
# Components that take pictures.
_FILES = (gr.Image, gr.File)
_LONG_DATA_URL = re.compile(rb'"data:[^"]{1000,}"', re.IGNORECASE)


class CallError(ValueError):
    """A call that is refused; `str` says why.

    Attributes:
        status: Of the HTTP answer.
        parameter: What is wrong, as the endpoint's documentation calls it.
    """

    def __init__(self, message: str, status: int = 422, parameter: str = "call") -> None:
        super().__init__(message)
        self.status, self.parameter = status, parameter

    @property
    def detail(self) -> str | list[dict[str, Any]]:
        """What the HTTP answer tells; at status 422 Gradio's clients look for a sentence in such a list alone."""
        if self.status != 422:
            return str(self)
        fault = {"is_valid": False, "parameter_name": self.parameter, "message": str(self)}
        return [{"__type__": "validate", **fault}]


def checked_call(path: str, body: bytes, page: Any, uploads: UploadFolder) -> tuple[bytes, str | None]:
    """Checks a call of one of the page's functions.

    Args:
        path: Where it was sent.
        body: JSON, as it came.
        page: The `gr.Blocks`.
        uploads: Where every file must lie.

    Returns:
        The body to go on with, where data: URLs and addresses of uploaded files are paths; the session that it names.

    Raises:
        CallError: No JSON, no such function, values that its inputs can't take, a file that nobody has uploaded.
    """
    # Only pictures may make it long: a nest of lists would fill the memory.
    if len(body) > MAX_CALL and len(_LONG_DATA_URL.sub(b"", body)) > MAX_CALL:
        raise CallError(f"A call has at most {MAX_CALL:,} bytes beside its data: URLs.", 413)
    call = _parsed(body)
    if not isinstance(call, dict):
        raise CallError("A call is a JSON object.")
    sent_to = _FUNCTION.fullmatch(path)
    function = _function(page, sent_to["name"] if sent_to else None, call)
    by_name = sent_to is not None and sent_to["v2"]
    values, given = _given_by_name(page, function, call) if by_name else _given_in_order(function, call)
    for key, name, block in given:
        values[key] = _with_files(name, block, values[key], uploads)
        _check_files(name, values[key], uploads)
        _check_value(name, block, values[key])
    _check_files("call", call, uploads)
    return _written(call), None if by_name else call.get("session_hash")


def checked_message(body: bytes) -> dict[str, Any] | None:
    """Checks what an MCP client sends, and returns the answer to a call that is refused.

    Raises:
        CallError: It is no JSON.
    """
    message = _parsed(body)
    if not isinstance(message, dict):
        raise CallError("A message is a JSON object.")
    texts = [text for text in _inside(message.get("params")) if isinstance(text, str)]
    if not any(_ADDRESS.match(text) and not _UPLOADED.fullmatch(text) for text in texts):
        return None
    result = {"content": [{"type": "text", "text": NO_ADDRESSES}], "isError": True}
    return {"jsonrpc": "2.0", "id": message.get("id"), "result": result}


def _parsed(body: bytes) -> Any:
    try:
        value = json.loads(body)
        # Neither NaN nor half a character: no answer could repeat them.
        _written(value)
    except (ValueError, RecursionError):
        raise CallError("This is no JSON.", 400) from None
    return value


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _function(page: Any, name: str | None, call: dict[str, Any]) -> Any:
    index = call.get("fn_index")
    if name is not None and index is None:
        found = next((function for function in page.fns.values() if function.api_name == name), None)
    else:
        found = page.fns.get(index) if type(index) is int else None
    # Those without `fn` are the browser's own.
    if found is None or found.fn is None:
        raise CallError("There is no such endpoint.", 404)
    return found


def _given_by_name(page: Any, function: Any, call: dict[str, Any]) -> tuple[Any, list[tuple[Any, str, Any]]]:
    """Returns what holds the values, and where in it, under which name and for which component each one is."""
    endpoint = page.get_api_info()["named_endpoints"].get(f"/{function.api_name}")
    if endpoint is None:
        raise CallError("There is no such endpoint.", 404)
    asked = {parameter["parameter_name"]: parameter for parameter in endpoint["parameters"]}
    missing = [name for name, p in asked.items() if name not in call and not p.get("parameter_has_default")]
    if missing or set(call) - set(asked):
        raise CallError(f"This endpoint takes {', '.join(asked) or 'nothing'}.")
    blocks = [block for block in function.inputs if not block.skip_api]
    return call, [(name, name, block) for name, block in zip(asked, blocks, strict=True) if name in call]


def _given_in_order(function: Any, call: dict[str, Any]) -> tuple[Any, list[tuple[Any, str, Any]]]:
    _check_envelope(call)
    values = call["data"]
    named = list(zip(function.input_parameter_names, function.inputs, strict=True))
    if len(values) != len(named):
        # Programs leave out what only the page knows.
        named = [(name, block) for name, block in named if not block.skip_api]
    if len(values) != len(named):
        raise CallError(f"data has {len(values)} values: {len(named)} are taken.")
    return values, [(index, name or f"data[{index}]", block) for index, (name, block) in enumerate(named)]


def _check_envelope(call: dict[str, Any]) -> None:
    session = call.get("session_hash")
    sound = (
        isinstance(call.get("data"), list)
        and (session is None or (isinstance(session, str) and re.fullmatch(NAME, session)))
        and all(isinstance(call.get(key), int | None) for key in ("fn_index", "trigger_id"))
        and isinstance(call.get("event_id"), str | None)
        and isinstance(call.get("simple_format"), bool | None)
        and isinstance(call.get("event_data"), dict | None)
        # Gradio's own word between its parts.
        and not call.get("batched")
    )
    if not sound:
        raise CallError("A call has data (a list) and may have session_hash, fn_index, trigger_id and event_data.")


def _with_files(name: str, block: Any, value: Any, uploads: UploadFolder) -> Any:
    """Returns a value for a component, in which files that came as text are JSON objects with a path."""
    if not isinstance(block, _FILES):
        return value
    if not (isinstance(block, gr.File) and isinstance(value, list)):
        return _with_path(name, value, uploads)
    if len(value) > MOST and any(_text_of(file) is not None for file in value):
        raise CallError(f"{len(value)} files are too many: send {MOST} at a time.", parameter=name)
    return [_with_path(name, file, uploads) for file in value]


def _with_path(name: str, file: Any, uploads: UploadFolder) -> Any:
    text = _text_of(file)
    if text is None:
        return file
    if _DATA_URL.match(text):
        path = uploads.add(_decoded(name, text))
    elif _UPLOADED.fullmatch(text) or _ADDRESS.match(text) or uploads.holds(text):
        path = text
    else:
        raise CallError(NO_PICTURE, parameter=name)
    orig_name = file.get("orig_name") if isinstance(file, dict) else None
    return {"path": path, "orig_name": orig_name, "meta": {"_type": "gradio.FileData"}}


def _text_of(file: Any) -> str | None:
    """Returns a file that came as text, or as a JSON object around a data: URL."""
    if isinstance(file, str):
        return file
    text = (file.get("path") or file.get("url")) if isinstance(file, dict) else None
    return text if isinstance(text, str) and _DATA_URL.match(text) else None


def _decoded(name: str, url: str) -> bytes:
    try:
        content = DataHandler().data_open(Request(url)).read()
    except ValueError:
        raise CallError("This data: URL can't be decoded: give one in base64.", parameter=name) from None
    if len(content) > MAX_BYTES:
        raise CallError(LANGUAGES[ENGLISH]("too_heavy"), parameter=name)
    return content


def _check_files(name: str, value: Any, uploads: UploadFolder) -> None:
    for file in _inside(value):
        path = file.get("path") if isinstance(file, dict) else None
        if path is None:
            continue
        if isinstance(path, str) and (uploaded := _UPLOADED.fullmatch(path)):
            file["path"] = path = uploaded["path"]
        if isinstance(path, str) and _ADDRESS.match(path):
            raise CallError(NO_ADDRESSES, parameter=name)
        if not isinstance(path, str) or not uploads.holds(path):
            raise CallError(LANGUAGES[ENGLISH]("gone"), parameter=name)


def _check_value(name: str, block: Any, value: Any) -> None:
    model = getattr(block, "data_model", None)
    if value is None or block.stateful:
        return
    try:
        # As Gradio will, which answers an exception here with a page of traceback in the log.
        if model is not None:
            model.model_validate(value, context={"validate_meta": True})
        else:
            block.preprocess(value)
    except (ValueError, TypeError, LookupError, AttributeError, gr.Error):
        fault = NO_PICTURE if isinstance(block, _FILES) else f"This is not what {block.get_block_name()} takes."
        raise CallError(fault, parameter=name) from None


def _inside(value: Any) -> Iterator[Any]:
    """Gives a JSON value and all values within it; raises a `CallError` for a nest that no call of ours needs."""
    level = [value]
    for _ in range(_DEEPEST):
        yield from level
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not level:
            return
    raise CallError("This is nested too deeply.")
