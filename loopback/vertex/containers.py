"""Containers of loopback: processes of their own with what an image holds, and no more of this machine than that.

Rules:
- A container sees the variables of its specification, those of its image, and what the service adds; none of ours.
- Its Python is that of `loopback/install.py`: the lock of training containers, without Airflow and Beam. The core lies
  beside it.
- It is a group of processes, which ends as a whole: first asked, then made to. What it says is kept line by line.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from loopback.install import CONTAINER

CORE: Final = Path(__file__).resolve().parents[2] / "include/lockstep"
GRACE: Final = 10.0  # seconds between being asked to end and being ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What lies in an image: programs, variables, and what runs when a specification says nothing.

    Attributes:
        core: whether Lockstep's core is installed in it; Google's own images do not hold it.
    """

    programs: Path = CONTAINER / "bin"
    variables: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    core: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a container said."""

    at: datetime
    text: str


class Container:
    """A process that runs as a container would; `folder` is its home."""

    def __init__(self, image: Image, command: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lines: list[Line] = []
        self.log = folder / "log"
        self.folder = folder
        self.image = image
        self.command = [*(command or image.command)]
        self.variables = {
            "PATH": os.pathsep.join([str(image.programs), "/usr/bin", "/bin"]),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            # which of OpenBLAS's kernels is right is the processor's matter, not the image's; each rounds otherwise
            **{name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")},
            "PYTHONUNBUFFERED": "1",
            **_core(image, folder),
            **image.variables,
            **variables,
        }
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self._lock = Lock()  # of the moment between being started and having a process

    @property
    def pid(self) -> int | None:
        """Of its first process, once that runs."""
        return self._process.pid if self._process else None

    def run(self, command: Sequence[str] = ()) -> int:
        """Run to the end, and say the exit status; below zero is a signal's number."""
        self.start(command)
        return self.wait()

    def start(self, command: Sequence[str] = ()) -> None:
        """Start, and read what it says."""
        with self._lock:
            if not self._ended:
                self._start(command)

    def _start(self, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command or self.command,
                cwd=self.folder,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            self.say(f"exec failed: {error}")
            return
        self._reads = Thread(target=self._read, args=(self._process,), daemon=True)
        self._reads.start()

    def wait(self) -> int:
        """Wait for its end."""
        if self._process is None:
            return 127
        status = self._process.wait()
        self._reads.join()
        return status

    def exited(self) -> bool:
        """Whether it has ended."""
        return self._process is None or self._process.poll() is not None

    def say(self, text: str) -> None:
        """Add a line of the service's own to its log."""
        self.lines.append(Line(datetime.now(UTC), text))
        with self.log.open("a", encoding="utf-8") as log:
            log.write(text + "\n")

    def tail(self, size: int = 3000) -> str:
        """The last of what it said."""
        return "\n".join(line.text for line in self.lines)[-size:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Take its machine away, without a word before."""
        with self._lock:
            self._ended = True
        self.signal(signal.SIGKILL)

    def end(self) -> None:
        """Ask it to end, and make it end where it does not."""
        with self._lock:
            self._ended = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self._process.wait()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # children that outlived it

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.say(line.rstrip("\n"))


def _core(image: Image, folder: Path) -> Mapping[str, str]:
    """Lay the core, and nothing else of this project, where its Python looks."""
    if not image.core:
        return {}
    place = folder / "image"
    place.mkdir(exist_ok=True)
    if not (place / CORE.name).exists():
        (place / CORE.name).symlink_to(CORE, target_is_directory=True)
    return {"PYTHONPATH": str(place)}
