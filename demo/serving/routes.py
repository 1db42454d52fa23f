"""Which of Gradio's routes there are for visitors, and what they may ask of them.

What is not listed here is not there: Gradio's proxy, its screen recordings, monitoring, deep links, run history,
component functions, and whatever it will have next.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

from demo.serving.calls import NAME
from demo.serving.upload_folder import UploadFolder

UPLOAD = "/gradio_api/upload"
"""Takes files."""
CALL = re.compile(rf"/gradio_api/(?:queue/join|(?:call|call/v2|run)/{NAME}/?)")
"""Take a call of one of the page's functions."""
MCP = re.compile(r"/gradio_api/mcp/?(?:http/?)?")
"""Take messages of MCP clients."""
FILE = re.compile(r"/gradio_api/file=(?P<path>/.+)", re.DOTALL)
"""Give a file."""
STREAM = "/gradio_api/queue/data"
"""Gives the answers of a session."""

_READ = re.compile(
    rf"/|/config/?|/theme\.css|/favicon\.ico|/pwa_icon|/manifest\.json|/robots\.txt|/(?:assets|static)(?:/[\w.@~+-]{{1,120}}){{1,6}}"
    rf"|/gradio_api/(?:info/?|openapi\.json|startup-events|app_id/?|theme\.css|queue/status|upload_progress"
    rf"|heartbeat/{NAME}|mcp/?|mcp/http/?|mcp/schema)"
)
_ANSWER = re.compile(rf"/gradio_api/call/(?:v2/)?{NAME}/(?P<event>{NAME})")
_SMALL = re.compile(r"/gradio_api/(?:cancel|reset/?)")
_RANGE = re.compile(rb"bytes=\d{1,12}-")


def may_post(path: str) -> bool:
    """Tells whether anything may be sent to a path."""
    return path == UPLOAD or any(route.fullmatch(path) for route in (CALL, _SMALL, MCP))


def may_read(path: str, scope: Scope, uploads: UploadFolder) -> bool:
    """Tells whether a path is there to be read: one of Gradio's, an uploaded file, an answer that is waited for."""
    if file := FILE.fullmatch(path):
        return uploads.holds(file["path"])
    answer = _ANSWER.fullmatch(path)
    if answer or path == STREAM:
        queue = scope["app"].get_blocks()._queue
        asked = answer["event"] if answer else query_of(scope).get("session_hash", "")
        # Gradio notices only after it has begun to answer.
        return _session(queue, asked) in queue.pending_messages_per_session
    return bool(_READ.fullmatch(path))


def without_oddities(scope: Scope) -> Scope:
    """Returns a request to read something without what Gradio gets wrong about it."""
    # Gradio splits a range at every hyphen, and sends the request's own headers back with it.
    kept = [(name, value) for name, value in scope["headers"] if name != b"range" or _RANGE.fullmatch(value)]
    # It knows neither pages that are not there nor links into them.
    query = {name: value for name, value in query_of(scope).items() if name not in ("page", "deep_link")}
    if scope["path"].rstrip("/").endswith("/info"):
        # Of a page that is named it tells everybody anew how to call it; else it tells all what the first one is told,
        # by whatever name he called this host.
        query["page"] = ""
    return dict(scope, headers=kept, query_string=urlencode(query).encode())


def query_of(scope: Scope) -> dict[str, str]:
    """Returns what stands behind the question mark of a request's address."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _session(queue: Any, asked: str) -> str:
    """Returns the session of an event, or what was asked for where that is a session itself."""
    if event := queue.event_ids_to_events.get(asked):
        return event.session_hash
    waiting = queue.pending_event_ids_session.items()
    return next((session for session, events in waiting if asked in events), asked)
