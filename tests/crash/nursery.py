"""A process that has imported everything and opened nothing: its children are there at once, and may be killed.

Rules:
- It has no open store and none of a store's threads when it forks, so that a child starts clean.
- A child leaves a mark of what it is doing in memory that outlives it.
- Only children of this process are ended, by their number.

A life is a function `module:name` that takes a `Mark` and its arguments.
"""

import json
import mmap
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

_SIZE = 256
_GLANCE = 0.0002  # seconds between two looks at a mark
_ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
Arguments = Mapping[str, Any]


class Mark:
    """One line in memory that is shared with the process that forked; it says what is being done."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)

    @property
    def text(self) -> str:
        """What was said last; blank until something is."""
        return self._memory[:].rstrip(b"\0").decode()

    def say(self, text: str) -> None:
        """Say what is being done from now on."""
        self._memory[:] = text.encode()[:_SIZE].ljust(_SIZE, b"\0")


class Nursery:
    """The process, seen by a test."""

    def __init__(self, module: str) -> None:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery", module],
            cwd=root,
            env={**os.environ, **_ALONE, "PYTHONPATH": str(root / "include")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def kill(self, life: str, arguments: Arguments, *, at: str, seconds: float) -> str:
        """Let a life run until its mark begins like that, and so many seconds more; kill it, and give its last mark."""
        answer = self._ask({"lives": [(life, arguments)], "at": at, "seconds": seconds})
        assert answer["statuses"] == [-signal.SIGKILL], f"it ended by itself, at {answer['mark']}"
        return str(answer["mark"])

    def run_together(self, lives: Sequence[tuple[str, Arguments]]) -> list[int]:
        """Let several lives run at once to their ends; gives their exit statuses."""
        return list(self._ask({"lives": lives})["statuses"])

    def _ask(self, what: Arguments) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _fork(life: str, arguments: Arguments, mark: Mark) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        module, _, name = life.partition(":")
        getattr(import_module(module), name)(mark, **arguments)
        status = 0
    except BaseException:  # noqa: BLE001  whatever it is, it is printed, and no child goes on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def _live(
    lives: Sequence[tuple[str, Arguments]], at: str | None = None, seconds: float = 0
) -> dict[str, list[int] | str]:
    mark = Mark()
    started = [_fork(life, arguments, mark) for life, arguments in lives]
    if at is not None:
        while not mark.text.startswith(at) and not _has_ended(started[0]):
            time.sleep(_GLANCE)
        time.sleep(seconds)
        os.kill(started[0], signal.SIGKILL)
    return {"statuses": [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started], "mark": mark.text}


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def main() -> None:
    """Import what the lives need, and let those live that the lines on stdin name."""
    import_module(sys.argv[1])
    threads = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")}
    assert not any(name.startswith("tokio") for name in threads), threads
    print("{}", flush=True)  # noqa: T201  speaks with its parent
    for line in sys.stdin:
        print(json.dumps(_live(**json.loads(line))), flush=True)  # noqa: T201  as above


if __name__ == "__main__":
    main()
