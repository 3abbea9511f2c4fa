"""The git commit of the code that runs, for a job's record."""

import os
import subprocess
from pathlib import Path
from typing import Final

COMMIT_VARIABLE: Final = "LOCKSTEP_COMMIT"
_SECONDS: Final = 5.0


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
