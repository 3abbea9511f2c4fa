"""What a client sent, as rows: read within limits, and refused with one sentence where it is no request.

Rules:
- Nothing beyond `MOST_BYTES` is read into memory, whatever the client says about its size.
- JSON is JSON: NaN, Infinity, broken UTF-8 and nesting without end are refused.
- What is wrong with one row of many is no reason to refuse the others.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson

from lockstep.errors import Refused

ARROW: Final = "application/vnd.apache.arrow.stream"
MOST_ROWS: Final = 10_000
MOST_BYTES: Final = 8 * 1024 * 1024
_ARROW: Final = ARROW.encode()
_SHAPES: Final = 'Send a row as an object of column names and values, or {"rows": [a row, …]}.'
_WORDS: Final = {str: "a text", bool: "a bool", int: "a number", float: "a number", list: "a list", type(None): "null"}

Row = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RequestRefused(Refused):
    """The request as a whole can't be answered; `status` is HTTP's word for why."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


class Gone(Exception):
    """The client hung up before it had said all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The rows of a request. `is_one`: a single row, whose answer stands alone; `bad`: place → why it is no row."""

    rows: list[Row]
    is_one: bool
    bad: dict[int, str] = field(default_factory=dict)


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        RequestRefused: it is too large, or is said to be neither JSON nor Arrow.
        Gone: the client hung up.
    """
    kind = headers.get(b"content-type")
    if kind is not None and kind != b"application/json" and not is_arrow(headers):
        _check_kind(kind)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Compressed bodies are not taken; leave Content-Encoding out."
        )
    size = headers.get(b"content-length", b"0")
    if size.isdigit() and int(size) > MOST_BYTES:
        raise _too_large(f"has {int(size):,} bytes")
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and message["type"] == "http.request" and len(body) <= MOST_BYTES:
        return body
    return await _read_on(message, receive)


def is_arrow(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is said to be an Arrow IPC stream."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == _ARROW


async def _read_on(message: Message, receive: Receive) -> bytes:
    parts: list[bytes] = []
    left = MOST_BYTES
    while True:
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        left -= len(part)
        if left < 0:
            raise _too_large("is larger")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


def _check_kind(kind: bytes) -> None:
    word, _, options = kind.lower().partition(b";")
    charset = options.partition(b"charset=")[2].strip(b' "')
    if word.strip() != b"application/json" or charset not in (b"", b"utf-8", b"utf8"):
        shown = kind[:80].decode("ascii", "replace")
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {shown} is not taken; send JSON in UTF-8 with Content-Type: application/json, or {ARROW}.",
        )


def _too_large(what: str) -> RequestRefused:
    return RequestRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body {what}; at most {MOST_BYTES:,} bytes are read. Send the rows in several requests.",
    )


def rows_of(body: bytes) -> Asked:
    """The rows that a body holds: one, or many.

    Raises:
        RequestRefused: it is no JSON, or has another shape.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {error}. {_SHAPES}") from None
    if not isinstance(found, dict):
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, f"The body is {_word(found)}. {_SHAPES}")
    rows = found.get("rows")
    if not isinstance(rows, list):
        if len(found) == 1 and "rows" in found:
            raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, f'"rows" is {_word(rows)}, not a list. {_SHAPES}')
        return Asked(rows=[found], is_one=True)
    if len(found) > 1:
        others = ", ".join(f'"{name[:40]}"' for name in list(found)[:3] if name != "rows")
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, f'Beside "rows" there is {others}. {_SHAPES}')
    if not 0 < len(rows) <= MOST_ROWS:
        raise RequestRefused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f'"rows" holds {len(rows):,} rows; between 1 and {MOST_ROWS:,} are decided in one request.',
        )
    bad = {
        place: f"a row is an object of column names and values, this is {_word(row)}"
        for place, row in enumerate(rows)
        if not isinstance(row, dict)
    }
    return Asked(rows=[row if isinstance(row, dict) else {} for row in rows] if bad else rows, is_one=False, bad=bad)


def _word(value: object) -> str:
    return _WORDS.get(type(value), "an object")
