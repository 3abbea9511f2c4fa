"""What a job's record says of its code and of its log: the git commit, and an address without secrets."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

COMMIT_VARIABLE: Final = "LOCKSTEP_COMMIT"
_SECONDS: Final = 5.0
_SECRET: Final = re.compile(r"(?i)auth|code|credential|jwt|^key$|(api|access).?key|passw|pwd|secret|session|sig|token")


def commit_of(folder: Path) -> str:
    """The commit that a folder is at, with `-dirty` where files differ from it; empty if that is not known.

    An image without git says its commit by the variable LOCKSTEP_COMMIT.
    """
    told = os.environ.get(COMMIT_VARIABLE)
    if told:
        return told
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(  # noqa: S603  a fixed command
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def public_address(log: str) -> str:
    """The address of a log as it may stand in an entry: without user, password, and what in its query may be a secret.

    A path, or whatever else is no URL, stays as it is.
    """
    if "://" not in log:
        return log
    try:
        parts = urlsplit(log)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return ""
    kept = [(name, value) for name, value in query if not _SECRET.search(name)]
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return (plain if kept == query else plain._replace(query=urlencode(kept))).geturl()
