"""MLflow's registry as a peer, in a virtual environment of its own that is made when it is first needed.

Rules:
- The version is pinned. (`mlflow==3.18.0` can't be installed: the index has no `mlflow-skinny` of that number.)
- The process stays alive for all rounds, so that its import time (seconds) counts for nothing.
- Nothing of it is imported here.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
PINNED = "mlflow==3.17.2"
FOLDER = Path(".cache/bench-mlflow")
INSTALL = f"uv venv {FOLDER} && uv pip install --python {FOLDER}/bin/python {PINNED}"
PATIENCE = 180.0  # seconds for making the environment


class PeerMissing(Exception):
    """The environment is not there and can't be made."""


def python() -> Path:
    """The Python of MLflow's environment, which is made if need be.

    Raises:
        PeerMissing: it can't be made; the message is the line that would.
    """
    folder = ROOT / FOLDER
    found = folder / "bin" / "python"
    if _has_pinned(found):
        return found
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    make: list[list[str]] = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        if uv
        else [sys.executable, "-m", "venv", str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(found), PINNED]
        if uv
        else [str(found), "-m", "pip", "install", "--quiet", PINNED],
    ]
    try:
        for command in make:
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissing(
            f"MLflow is not there and can't be installed ({type(error).__name__}); by hand: {INSTALL}"
        ) from None
    return found


def _has_pinned(interpreter: Path) -> bool:
    name, _, version = PINNED.partition("==")
    code = f"from importlib.metadata import version; print(version({name!r}))"
    try:
        said = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return said.strip() == version


class Mlflow:
    """A process that does one thing per line: `round`, `half` (hangs after two aliases) or `aliases`."""

    def __init__(self, interpreter: Path, folder: Path, models: int) -> None:
        folder.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [interpreter, Path(__file__).with_name("mlflow_child.py"), folder, str(models)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()  # it has made its tables and models

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def ask(self, what: str) -> dict[str, Any]:
        """Have it do something, and wait for its answer."""
        if self._process.stdin is None:
            raise AssertionError("unreachable")
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """End it as the operating system would (-9)."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"The MLflow process ended with {self._process.wait()}.")
        return dict(json.loads(line))
