"""The first signal leaves all blocks in order; those behind it break nothing off, and what is ignored stays so."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
# Two blocks that take a while to close, as the decision API and Airflow do; the inner one has a block of its own.
PROGRAM = """
import contextlib, signal, sys, time
from demo import signals

@contextlib.contextmanager
def part(name):
    try:
        yield
    finally:
        for _ in range(20):
            time.sleep(0.02)
        print(name, "is closed", flush=True)

ignored = [signal.Signals(int(number)) for number in sys.argv[1:]]
for number in ignored:
    signal.signal(number, signal.SIG_IGN)
try:
    with signals.ending(), part("outer"), signals.ending(), part("inner"):
        print("ready", flush=True)
        if ignored:
            signal.raise_signal(ignored[0])
        else:
            time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


def program(*ignored: signal.Signals) -> "subprocess.Popen[str]":
    """The program above, in a process of its own that answers to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else a background job is deaf, and passes it on
    try:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *(str(int(number)) for number in ignored)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_behind_the_first_break_nothing_off(number: signal.Signals) -> None:
    """Both blocks are closed, and the exit status is that of the first signal."""
    with program() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, number) * 3:
            time.sleep(0.03)
            process.send_signal(other)
        assert process.stdout.read() == "inner is closed\nouter is closed\n"
        assert process.wait() == 128 + number


def test_what_is_ignored_stays_so() -> None:
    """`nohup` means it."""
    with program(signal.SIGHUP) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "ready\ninner is closed\nouter is closed\n"
        assert process.wait() == 0
