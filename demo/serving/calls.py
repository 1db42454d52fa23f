"""What a call of the page may hold: looked at before Gradio acts on it.

Gradio takes a file as a JSON object with a `path`. It would fetch addresses, and does not look where a path leads when
the object lacks its `meta`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.serving.upload_folder import UploadFolder
from demo.words import ENGLISH, LANGUAGES

NAME = r"[A-Za-z0-9_-]{1,64}"
NO_ADDRESSES = (
    "This page opens no addresses. Give the picture itself: as a data: URL, or upload it to /gradio_api/upload and "
    "give the address or path that it gets there."
)
_FUNCTION = re.compile(rf"/gradio_api/(?:call|run|call/(?P<v2>v2))/(?P<name>{NAME})/?")
_UPLOADED = re.compile(r"https?://[^/]+(?:/.*)?/gradio_api/file=(?P<path>/.+)")
# Levels of lists and objects; Gradio walks through them by recursion.
_DEEPEST = 24
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class CallError(ValueError):
    """A call that is refused; `str` says why.

    Attributes:
        status: Of the HTTP answer.
    """

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


def checked_call(path: str, body: bytes, page: Any, uploads: UploadFolder) -> tuple[bytes, str | None]:
    """Checks a call of one of the page's functions.

    Args:
        path: Where it was sent.
        body: JSON, as it came.
        page: The `gr.Blocks`.
        uploads: Where every file must lie.

    Returns:
        The body to go on with, where addresses of uploaded files are paths, and the session that it names.

    Raises:
        CallError: No JSON, no such function, values that its inputs can't take, a file that nobody has uploaded.
    """
    call = _parsed(body)
    if not isinstance(call, dict):
        raise CallError("A call is a JSON object.")
    sent_to = _FUNCTION.fullmatch(path)
    function = _function(page, sent_to["name"] if sent_to else None, call)
    by_name = sent_to is not None and sent_to["v2"]
    given = _given_by_name(page, function, call) if by_name else _given_in_order(function, call)
    _check_files(call, uploads)
    for name, block, value in given:
        _check_value(name, block, value)
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


def _given_by_name(page: Any, function: Any, call: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    endpoint = page.get_api_info()["named_endpoints"].get(f"/{function.api_name}")
    if endpoint is None:
        raise CallError("There is no such endpoint.", 404)
    asked = {parameter["parameter_name"]: parameter for parameter in endpoint["parameters"]}
    missing = [name for name, p in asked.items() if name not in call and not p.get("parameter_has_default")]
    if missing or set(call) - set(asked):
        raise CallError(f"This endpoint takes {', '.join(asked) or 'nothing'}.")
    blocks = [block for block in function.inputs if not block.skip_api]
    return [(name, block, call[name]) for name, block in zip(asked, blocks, strict=True) if name in call]


def _given_in_order(function: Any, call: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    _check_envelope(call)
    blocks, values = function.inputs, call["data"]
    if len(values) != len(blocks):
        # Programs leave out what only the page knows.
        blocks = [block for block in blocks if not block.skip_api]
    if len(values) != len(blocks):
        raise CallError(f"data has {len(values)} values: {len(blocks)} are taken.")
    return [(f"data[{index}]", *pair) for index, pair in enumerate(zip(blocks, values, strict=True))]


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


def _check_files(value: Any, uploads: UploadFolder) -> None:
    for file in _inside(value):
        path = file.get("path") if isinstance(file, dict) else None
        if path is None:
            continue
        if isinstance(path, str) and (uploaded := _UPLOADED.fullmatch(path)):
            file["path"] = path = uploaded["path"]
        if isinstance(path, str) and _ADDRESS.match(path):
            raise CallError(NO_ADDRESSES)
        if not isinstance(path, str) or not uploads.holds(path):
            raise CallError(LANGUAGES[ENGLISH]("gone"))


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
        raise CallError(f"{name} is not what {block.get_block_name()} takes.") from None


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
