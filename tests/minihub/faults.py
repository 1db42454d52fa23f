"""Faults on demand and the log of requests.

`POST /_faults` takes one fault or a list of them, `GET` shows what is left of them, `DELETE` clears them. `GET /_log`
lists every request that was served on either socket, `DELETE` empties it. A fault's `status` is one of

- a number: that answer instead of the work, with `headers` (`{"Retry-After": "1"}`); a 429 without any has those of
  the Hub's own limiter, which asks to wait for a second;
- `drop`: cuts the connection within the body, after `bytes` of it (half of it where not given);
- `lose`: does the work, then cuts the connection before answering;
- `corrupt`: flips one byte at `bytes` (in the middle where not given), of an upload as it comes, else of the answer;
- `slow`: lets the answer trickle, `bytes` of it (a tenth where not given) every `delay` seconds; of an upload, takes
  every chunk `delay` seconds late;
- none: only waits for `delay` seconds.

`match` is a regular expression searched in `METHOD /path?query`; `skip` lets that many matches pass by first, and
`next` says how many get it.
"""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.minihub.answers import RefusedError, not_found

LIMITER = {"RateLimit": '"api";r=0;t=1', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
STATUSES = ("drop", "lose", "corrupt", "slow")


@dataclass
class Fault:
    """One fault; see the top of this module."""

    next: int = 1
    status: int | str | None = None
    match: str = ""
    skip: int = 0
    bytes: int | None = None
    delay: float = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.status, str) and self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}; it is a number or one of {', '.join(STATUSES)}")


class FaultBook:
    """The faults to come and the requests that came."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.log: list[dict[str, Any]] = []

    def take(self, line: str) -> Fault:
        """The fault for a request, which has one fewer left then; an empty one if none is due."""
        for fault in self.faults:
            if fault.next > 0 and re.search(fault.match, line):
                if fault.skip <= 0:
                    fault.next -= 1
                    return fault
                fault.skip -= 1
        return Fault()

    async def control(self, request: Request) -> Response:
        match request.method, request.url.path:
            case "POST", "/_faults":
                asked = await request.json()
                try:
                    self.faults += [Fault(**fault) for fault in (asked if isinstance(asked, list) else [asked])]
                except (TypeError, ValueError) as error:
                    raise RefusedError(400, f"no fault: {error}") from error
            case "DELETE", "/_faults":
                self.faults.clear()
            case "GET", "/_log":
                return JSONResponse(self.log)
            case "DELETE", "/_log":
                self.log.clear()
            case method, path if (method, path) != ("GET", "/_faults"):
                raise not_found()
        return JSONResponse([asdict(fault) for fault in self.faults])
