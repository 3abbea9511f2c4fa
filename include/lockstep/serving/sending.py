"""Answers, sent as thinly as ASGI allows."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson

from lockstep.serving.body import Receive, Send

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
JSON: Final = b"application/json"


def json_of(document: object) -> bytes:
    """A document as JSON. What JSON has no word for, as NaN, is null."""
    return orjson.dumps(document, option=_OPTIONS)


async def send_json(send: Send, status: int, document: object, headers: Mapping[str, str] | None = None) -> int:
    """Answer with a document, and give the status back."""
    return await send_bytes(send, status, json_of(document), JSON, headers)


async def send_bytes(
    send: Send, status: int, body: bytes, kind: bytes, headers: Mapping[str, str] | None = None
) -> int:
    """Answer with bytes of that Content-Type, and give the status back."""
    every = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if headers:
        every += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})
    return status
