"""Signals that end a program: the first one leaves its `with` blocks in order, and those behind it break nothing off.

Rules:

* Ctrl-C may come more than once: from an impatient user, or since who passes it on got it, too (`timeout` signals its
  child, and then all of its group).
* What is ignored stays so: `nohup` means it. So does a handler that somebody else has set.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

__all__ = ["deaf", "ending"]

_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNHANDLED = (signal.SIG_DFL, signal.default_int_handler)


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Let the first signal raise `KeyboardInterrupt` or `SystemExit`, and those behind it do nothing, in this block."""
    received: list[int] = []

    def leave(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    with _handling([number for number in _ALL if signal.getsignal(number) in _UNHANDLED], leave):
        yield


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let no signal break off what is done in this block."""
    with _handling(_ALL, signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handling(
    signals: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], object] | signal.Handlers
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread handle signals
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
