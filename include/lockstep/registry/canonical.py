"""One way to write a value as bytes, so that equal values have equal hashes.

Rules:
- Keys are sorted, there is no white space, text is UTF-8, NaN and infinity are refused (JSON has none).
"""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:  # noqa: ANN401  any JSON value
    """The value as canonical JSON.

    Raises:
        ValueError: the value holds NaN or infinity.
        TypeError: the value holds something that JSON can't say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_of(data: bytes) -> str:
    """The SHA-256 of the bytes, in hex (64 characters)."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:  # noqa: ANN401  any JSON value
    """The SHA-256 of the value's canonical JSON, in hex."""
    return sha256_of(canonical_json(value))
