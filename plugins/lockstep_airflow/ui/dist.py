"""The files of the web UI, as Vite has built them: known names only, and no folder that could be walked through.

Rules:
- A file is served to users who are logged in. What the address says of its content (`v=`) may be kept for good.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import HTTPException, Request, Response

from lockstep.registry import sha256_of

FOLDER: Final = Path(__file__).parent / "dist"
BUNDLE: Final = "main.js"
ICON: Final = "icon.svg"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json",
                 ".map": "application/json", ".woff2": "font/woff2", ".png": "image/png"}  # fmt: skip
_FOR_GOOD: Final = "private, max-age=31536000, immutable"
_ASK: Final = "private, no-cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A file that was built."""

    content: bytes
    sha256: str
    type: str


@cache
def built() -> dict[str, Built]:
    """Name → file; read once."""
    found = {}
    for path in sorted(FOLDER.glob("*")):
        if path.is_file() and path.suffix in _TYPES:
            content = path.read_bytes()
            found[path.name] = Built(content=content, sha256=sha256_of(content), type=_TYPES[path.suffix])
    return found


def version_of(name: str) -> str:
    """A few characters that change with the content of a file; empty where it was not built."""
    found = built().get(name)
    return found.sha256[:12] if found else ""


def serve(request: Request, name: str) -> Response:
    """A file, or the news that it is still the same."""
    found = built().get(name)
    if found is None:
        raise HTTPException(404, f'The web UI has no file "{name}".')
    etag = f'"{found.sha256}"'
    is_named = request.query_params.get("v", "") == found.sha256[:12]
    headers = {"ETag": etag, "Cache-Control": _FOR_GOOD if is_named else _ASK, "X-Content-Type-Options": "nosniff"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.type, headers=headers)
