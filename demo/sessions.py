"""Processes that belong together, found and ended as one.

Rules:

* A process belongs if it is in one of the given sessions, or carries the given mark in its environment. Airflow's parts
  and tasks make process groups of their own, and an orphan changes its parent; neither changes the session. What starts
  a new session (the BashOperator does) inherits the mark.
* What has ended but was not waited for (a zombie) counts as ended.
"""

import contextlib
import os
import time
from collections.abc import Collection, Sequence

import psutil  # type: ignore[import-untyped]

__all__ = ["MARK", "end", "is_alive", "members"]

MARK = "LOCKSTEP_STANDALONE"
POLL = 0.05  # seconds


def members(sessions: Collection[int], mark: str) -> list[psutil.Process]:
    """Every living process that belongs, but never this one."""
    found = []
    for process in psutil.process_iter():
        try:
            belongs = os.getsid(process.pid) in sessions or process.environ().get(MARK) == mark
            if belongs and process.pid != os.getpid() and is_alive(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    try:
        return bool(process.is_running()) and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end(first: Sequence[psutil.Process], sessions: Collection[int], mark: str, *, grace: float) -> None:
    """Ask the `first` to end, wait up to `grace` seconds until all that belong have, and kill what is left."""
    for process in first:
        _signal(process, gently=True)
    _wait_while_alive(members(sessions, mark), timeout=grace)
    while left := members(sessions, mark):  # again and again: what is killed last may have started another
        for process in left:
            _signal(process, gently=False)
        _wait_while_alive(left, timeout=1)


def _wait_while_alive(processes: Sequence[psutil.Process], *, timeout: float) -> None:
    """Like `psutil.wait_procs`, which would wait in vain for an orphan that nobody reaps."""
    deadline = time.monotonic() + timeout
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(POLL)


def _signal(process: psutil.Process, *, gently: bool) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate() if gently else process.kill()
