"""Answers with an ETag: what nobody needs again is neither made nor sent.

Rules:
- An answer is made once for all who would get the same, and not again before something that it depends on has changed.
- The ETag is the hash of the answer: where a change elsewhere leaves it as it was, the browser keeps what it has.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from fastapi import Request, Response

from lockstep.registry import sha256_of
from lockstep_airflow.ui.kept import Kept

_MOST: Final = 64 << 20  # bytes of answers that are kept
_HEADERS: Final = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
_KEY: Final = 500  # bytes that go with each
_made: Final = Kept[tuple[str, bytes]](_MOST, lambda one: len(one[1]) + _KEY)


def answer(request: Request, version: tuple[Any, ...], make: Callable[[], Any]) -> Response:
    """The answer to a request; `version` names all that it depends on, beside its address."""
    # a hash, since what all groups depend on is long, and would be kept with each short answer
    key = sha256_of(repr((request.url.path, sorted(request.query_params.multi_items()), version)).encode())
    etag, content = _made.made(key, lambda: _written(make()))
    headers = {**_HEADERS, "ETag": etag}
    if _knows(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def _written(value: Any) -> tuple[str, bytes]:  # noqa: ANN401  JSON values
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return f'"{sha256_of(content)[:32]}"', content


def _knows(request: Request, etag: str) -> bool:
    """Whether the browser says that it has this answer; a proxy that compresses makes the tag a weak one."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return etag in given
