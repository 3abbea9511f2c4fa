"""A path of an object stays below the registry's root, and means the same in every store.

Rules:
- Names are separated by one "/", and none of them leads up, is empty, or holds what a store or a shell would read
  otherwise.
- It fits into every store: file systems and clouds have limits.
"""

from typing import Final

from lockstep.errors import UsageError

LONGEST_PATH: Final = 900  # bytes; clouds allow 1024, of which a prefix takes some
LONGEST_NAME: Final = 230  # bytes; file systems allow 255, of which an unfinished file takes some


def check_path(path: str) -> None:
    """Refuse a path that could lead elsewhere, or that some store could not take.

    Raises:
        UsageError: it is not allowed, or too long.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(char in path for char in "\\#") or not path.isprintable():
        raise UsageError(
            f'Object path {path!r} is not allowed: names are separated by one "/" and hold no "..", "\\", "#" or'
            " control character."
        )
    if len(path.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise UsageError(
            f'Object path "{path[:40]}…" is too long; allowed are {LONGEST_PATH} bytes, and {LONGEST_NAME} for each'
            " name in it."
        )
