"""evidently and whylogs as peers, each in a virtual environment of its own that is made when it is first needed.

Rules:
- The versions are pinned. evidently's metadata allows pandas 3, but it does not import beside it.
- A process answers all its jobs, so that its import time (seconds) counts for nothing.
- Nothing of them is imported here.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.registry.peer import PeerMissing

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600.0  # seconds for making an environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A library, what it needs, and the script that speaks for it."""

    name: str
    packages: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Its environment, below the root of the project."""
        return Path(".cache") / f"bench-{self.name}"

    @property
    def install(self) -> str:
        """The line that makes its environment."""
        packages = " ".join(f"'{one}'" for one in self.packages)
        return f"uv venv {self.folder} && uv pip install --python {self.folder}/bin/python {packages}"

    def python(self) -> Path:
        """The Python of its environment, which is made if need be.

        Raises:
            PeerMissing: it can't be made, or does not import.
        """
        folder = ROOT / self.folder
        found = folder / "bin" / "python"
        if self._is_there(found):
            return found
        uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
        make: list[list[str]] = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
            if uv
            else [sys.executable, "-m", "venv", str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(found), *self.packages]
            if uv
            else [str(found), "-m", "pip", "install", "--quiet", *self.packages],
        ]
        try:
            for command in make:
                subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        except (OSError, subprocess.SubprocessError) as error:
            raise PeerMissing(
                f"{self.name} is not there and can't be installed ({type(error).__name__}); by hand: {self.install}"
            ) from None
        if not self._is_there(found):
            raise PeerMissing(f"{self.name} was installed, but not as pinned; by hand: {self.install}")
        return found

    def _is_there(self, interpreter: Path) -> bool:
        names = [one.partition("[")[0].partition("==")[0] for one in self.packages]
        code = f"from importlib.metadata import version; print(*(version(name) for name in {names!r}))"
        try:
            said = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return False
        return said.split() == [one.rpartition("==")[2] for one in self.packages]

    def answers(self, jobs: Sequence[dict[str, Any]], processors: int) -> list[dict[str, Any]]:
        """Have a process do the jobs, one after the other.

        Raises:
            PeerMissing: as `python`.
            RuntimeError: it ended before it had answered all.
        """
        command = [str(self.python()), str(Path(__file__).with_name(f"{self.name}_child.py"))]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), str(processors))
        given = "".join(f"{json.dumps(job)}\n" for job in jobs)
        ended = subprocess.run(
            command, input=given, env=os.environ | threads, capture_output=True, text=True, check=False
        )
        found = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        if ended.returncode or len(found) != len(jobs):
            raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
        return found


EVIDENTLY = Peer(name="evidently", packages=("evidently==0.7.23", "pandas==2.3.3", "pyarrow==26.0.1"))
WHYLOGS = Peer(name="whylogs", packages=("whylogs[viz]==1.6.4", "pandas==2.3.3", "numpy==1.26.4", "pyarrow==17.0.0"))
