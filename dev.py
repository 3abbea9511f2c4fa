#!/usr/bin/env python3
"""All that a developer does with this project: `python3 dev.py COMMAND [-- ARGS]`.

Rules:

* It needs nothing but Python 3.11 or newer, and works in any shell and from any folder; commands run in this one.
* Every command but `lock` first brings `.venv` in line with `requirements.txt`, silently when there is nothing to do.
  Several may do so at once: the first does the work, the others wait for it.
* The exit status is the child's; after Ctrl-C it is 130, and the child has had the time to end in order.
* What this script has to say goes to stderr. stdout belongs to the child.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    Words = Sequence[str | Path]  # of a command line

ROOT = Path(__file__).resolve().parent
OLDEST, NEWEST = (3, 11), (3, 13)  # as `requires-python` in pyproject.toml
RECIPE = "2"  # another number makes every `.venv` be set up again
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # by name: Windows has no SIGHUP, and is to get a sentence, not a traceback

# Starts the Python beside it, so that it survives spaces in the path, long paths, and a move.
CONSOLE_SCRIPT = """\
#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
import sys

from lockstep.cli import main

if __name__ == "__main__":  # processes that it starts load this file, too
    sys.exit(main())
"""


class Failed(Exception):
    """A command can't go on; the message says why, and what to do."""


# ------------------------------------------------------------------------------------------------- the environment


class Environment:
    """The `.venv` of a project folder: what `requirements.txt` pins, and the project itself on the import path."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / ".venv"
        self.bin = self.folder / "bin"
        self.python = self.bin / "python"
        self.requirements = root / "requirements.txt"
        self.stamp = self.folder / "lockstep-setup.txt"

    def set_up(self) -> None:
        """Do what is missing, or nothing.

        Raises:
            Failed: without a Python that fits, or if the packages can't be installed.
        """
        if self.is_current():
            return
        with self._alone():
            if not self.is_current():  # somebody else may have done it meanwhile
                self._set_up()

    def is_current(self) -> bool:
        """Whether it was set up from this `requirements.txt`, in this place, and still has its Python."""
        return self._fits() and self.stamp.is_file() and self.stamp.read_text(encoding="utf-8") == self._facts()

    def uv(self) -> Path:
        """The pinned uv, in a `.venv` that may hold nothing else yet.

        Raises:
            Failed: without a Python that fits, or if uv can't be had.
        """
        with self._alone():
            self._prepare()
            return self._uv()

    def surroundings(self) -> dict[str, str]:
        """The variables that a child sees: as if `.venv` were activated."""
        # Without .pyc files each of Airflow's processes would compile all of Airflow again.
        unwanted = {"PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "__PYVENV_LAUNCHER__"}
        inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
        path = os.pathsep.join([str(self.bin), inherited.get("PATH", os.defpath)])
        # Behind a company's proxy only the system knows the certificate that counts. PIP_USER would lead out of here.
        certificates = inherited.get("UV_SYSTEM_CERTS", "true")
        return inherited | {
            "PATH": path,
            "VIRTUAL_ENV": str(self.folder),
            "UV_SYSTEM_CERTS": certificates,
            "PIP_USER": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, command: Words) -> int:
        """Run a command in the project's folder, and return its exit status; see `run`."""
        return run(command, cwd=self.root, env=self.surroundings())

    # ------------------------------------------------------------------------------------------------------- the steps

    def _set_up(self) -> None:
        began = time.monotonic()
        count = len(re.findall(r"^[\w.-]+==", self.requirements.read_text(encoding="utf-8"), re.MULTILINE))
        say(f"Setting up .venv ({count} packages; the first time takes a few minutes) ... ", end="")
        try:
            if not self._was_moved():  # a stamp that tells of a move stays until `.venv` has been made anew
                self.stamp.unlink(missing_ok=True)  # whoever is stopped half-way starts over
            self._prepare()
            self._install_packages()
            self._install_project()
            self.stamp.write_text(self._facts(), encoding="utf-8")
        except BaseException:
            say("")  # the sentence that follows gets a line of its own
            raise
        say(f"done in {time.monotonic() - began:.0f} s")

    def _prepare(self) -> None:
        """Make `.venv` if it is missing or unfit, and leave what is in it alone otherwise."""
        if self._fits():
            return
        if problem := unfit(sys.version_info[:2]):
            raise Failed(problem)
        if run([sys.executable, "-m", "venv", "--clear", self.folder], cwd=self.root, env=self.surroundings()):
            raise Failed(
                f"{sys.executable} could not make {self.folder} (the reason stands above);"
                " on Debian and Ubuntu, install the package python3-venv."
            )

    def _uv(self) -> Path:
        """The uv that `requirements.txt` pins; pip fetches it first where it is missing.

        Raises:
            Failed: if it can't be had.
        """
        uv, pin = self.bin / "uv", self._pin("uv")
        version = re.match(r"uv==(\S+)", pin)
        if not version:
            raise Failed("requirements.txt does not pin uv; get the file back from git.")
        if self._version_of(uv) == version[1]:
            return uv
        with tempfile.TemporaryDirectory() as folder:
            alone = Path(folder, "uv.txt")
            alone.write_text(pin, encoding="utf-8")
            self._pip_install(alone)
        return uv

    def _install_packages(self) -> None:
        if self._pin("uv"):
            with contextlib.suppress(Failed):
                uv = self._uv()
                target: Words = ["--python", self.python, "--require-hashes", "-r", self.requirements]
                if not self.run([uv, "pip", "install", "--quiet", *target]):
                    return
            say("uv could not do it, pip tries (slower) ... ", end="")
        self._pip_install(self.requirements)

    def _pip_install(self, requirements: Path) -> None:
        pip: Words = [self.python, "-m", "pip"]
        has_pip = subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode == 0
        if not has_pip and self.run([self.python, "-m", "ensurepip"]):
            raise Failed(f"{self.python} has no pip; delete {self.folder} and try again.")
        # The file pins everything, so there is nothing to resolve.
        if self.run([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", requirements]):
            raise Failed(
                "The packages could not be installed (the reason stands above); check the network, then try again."
            )

    def _install_project(self) -> None:
        # Not `pip install -e .`: that builds in an environment of its own, with packages that no file pins.
        for site_packages in self.folder.glob("lib/python3.*/site-packages"):
            lines = [os.path.relpath(self.root / name, site_packages) for name in ("include", "plugins")]
            (site_packages / "lockstep.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        script = self.bin / "lockstep"
        script.write_text(CONSOLE_SCRIPT, encoding="utf-8")
        script.chmod(0o755)

    # --------------------------------------------------------------------------------------------------- what it knows

    def _fits(self) -> bool:
        return self.python.exists() and not unfit(self._python_version()) and not self._was_moved()

    def _python_version(self) -> tuple[int, int]:
        """Of the Python in `.venv`; read rather than asked, for it is wanted at every command."""
        try:
            text = (self.folder / "pyvenv.cfg").read_text(encoding="utf-8")
        except OSError:
            return (0, 0)
        found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def _was_moved(self) -> bool:
        """The scripts of other packages in `bin` name the folder that they were made in."""
        lines = self.stamp.read_text(encoding="utf-8").splitlines() if self.stamp.is_file() else []
        return bool(lines) and lines[-1] != str(self.folder)

    def _facts(self) -> str:
        digest = hashlib.sha256(self.requirements.read_bytes()).hexdigest()
        version = ".".join(map(str, self._python_version()))
        return "\n".join([f"recipe {RECIPE}", f"requirements.txt {digest}", f"python {version}", str(self.folder)])

    def _pin(self, package: str) -> str:
        """The lines of `requirements.txt` that pin a package, hashes and all; empty if there are none."""
        text = self.requirements.read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(package)}==(?:.*\\\n)*.*$", text, re.MULTILINE)
        return found[0] + "\n" if found else ""

    def _version_of(self, uv: Path) -> str:
        if not uv.exists():
            return ""
        words = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout.split()
        return words[1] if len(words) > 1 else ""

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One set-up at a time. The operating system gives the lock back, however its holder ends."""
        import fcntl

        cache = self.root / ".cache"
        cache.mkdir(exist_ok=True)
        with (cache / "setup.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Waiting for another set-up of .venv to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def unfit(version: tuple[int, int]) -> str:
    """Why a Python can't run this project; empty if it can."""
    if OLDEST <= version <= NEWEST:
        return ""
    return (
        f"Lockstep needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}, and this is {version[0]}.{version[1]}: "
        f"run `python3.{NEWEST[1]} dev.py setup` or `make setup PYTHON=python3.{NEWEST[1]}`."
    )


# ------------------------------------------------------------------------------------------------------- processes


def run(command: Words, *, cwd: Path, env: dict[str, str]) -> int:
    """Run a command to its end, and return its exit status, as a shell would.

    SIGTERM and SIGHUP are passed on. So is SIGINT, unless it comes from Ctrl-C: the terminal has then sent it to the
    child as well, and a second one could break off the child's shutdown.

    Raises:
        SystemExit: with 128 + the signal, once the child has ended, if this process got one.
    """
    received: list[int] = []
    child: list[subprocess.Popen[bytes]] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if child and not (number == signal.SIGINT and _in_foreground()):
            child[0].send_signal(number)

    sys.stdout.flush()
    sys.stderr.flush()
    with _handling(note):
        child.append(subprocess.Popen(list(map(str, command)), cwd=cwd, env=env))
        if received and not _in_foreground():  # it came before there was a child
            child[0].send_signal(received[0])
        status = child[0].wait(timeout=1e9)  # in naps; a signal right before one long sleep is noticed only after it
    if received:
        raise SystemExit(128 + received[0])
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    # What is ignored stays so: `nohup` means it.
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _in_foreground() -> bool:
    """Whether Ctrl-C in a terminal reaches this process, and with it its children."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def say(text: str, end: str = "\n") -> None:
    """Tell the person at the terminal something."""
    print(text, end=end, file=sys.stderr, flush=True)


# -------------------------------------------------------------------------------------------------------- commands


def setup(environment: Environment, _arguments: Sequence[str]) -> int:
    """Bring `.venv` in line with requirements.txt, and do no more."""
    environment.set_up()
    return 0


def demo(environment: Environment, arguments: Sequence[str]) -> int:
    """Run the demo: a real Airflow on this machine, from data to a release."""
    return _python(environment, "demo", arguments)


def test(environment: Environment, arguments: Sequence[str]) -> int:
    """Run the tests: all of them, in several processes; or those that the arguments choose, in one."""
    # A file's tests share what is dear (a running Airflow). In the order of names, as those of few tests take longest.
    number = str(min(max(os.cpu_count() or 1, 2), 4))
    return _python(environment, "pytest", arguments or ["-n", number, "--dist", "loadfile", "--no-loadscope-reorder"])


def fresh(environment: Environment, arguments: Sequence[str]) -> int:
    """Install the wheel in fresh environments: every Python that is here, oldest and newest dependencies."""
    os.environ["LOCKSTEP_FRESH"] = "all"
    return _python(environment, "pytest", ["tests/install", *arguments])


def bench(environment: Environment, arguments: Sequence[str]) -> int:
    """Run the benchmarks."""
    return _python(environment, "bench", arguments)


def docs(environment: Environment, _arguments: Sequence[str]) -> int:
    """Build the documentation site into .cache/site; broken links end it."""
    environment.set_up()
    return environment.run([environment.python, "docs/site/build.py"])


def lint(environment: Environment, _arguments: Sequence[str]) -> int:
    """Run ruff, mypy and import-linter; all of them, whatever the others say."""
    environment.set_up()
    tools = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["lint-imports"])
    failed = [tool for tool in tools if environment.run([environment.bin / tool[0], *tool[1:]])]
    if failed:
        say("Failed: " + ", ".join(" ".join(tool) for tool in failed))
    return 1 if failed else 0


def check(environment: Environment, arguments: Sequence[str]) -> int:
    """Lint, then test if that went well: what CI does."""
    return lint(environment, ()) or test(environment, arguments)  # nothing after: pytest's last line closes the output


def lock(environment: Environment, arguments: Sequence[str]) -> int:
    """Write the locks anew from pyproject.toml; versions stay where they can (`-- --upgrade` moves them)."""
    everything, core = environment.requirements.name, "requirements-train.txt"
    flags = ["--quiet", "--universal", "--python-version", f"3.{OLDEST[1]}", "--generate-hashes"]
    flags += ["--annotation-style", "line", "--custom-compile-command", "python dev.py lock"]
    compiled: Words = [environment.uv(), "pip", "compile", *flags]
    extras = ["--all-extras", "--group", "dev", *arguments]
    # what trains in a container, and answers there
    small = ["--extra", "onnx", "--extra", "serving", "--constraint", everything]
    return environment.run([*compiled, *extras, "--output-file", everything, "pyproject.toml"]) or environment.run(
        [*compiled, *small, "--output-file", core, "pyproject.toml"]
    )


def _python(environment: Environment, module: str, arguments: Sequence[str]) -> int:
    environment.set_up()
    return environment.run([environment.python, "-m", module, *arguments])


class Command(NamedTuple):
    """What a word on the command line does, and whether more may follow it."""

    run: Callable[[Environment, Sequence[str]], int]
    takes_arguments: bool = True


COMMANDS = {
    "setup": Command(setup, takes_arguments=False),
    "demo": Command(demo),
    "test": Command(test),
    "lint": Command(lint, takes_arguments=False),
    "check": Command(check),
    "bench": Command(bench),
    "fresh": Command(fresh),
    "docs": Command(docs, takes_arguments=False),
    "lock": Command(lock),
}


def usage() -> str:
    """How to call this script."""
    lines = [f"  {name:<6} {command.run.__doc__}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: python3 dev.py COMMAND [-- ARGS]", "", *lines])


def main(words: Sequence[str]) -> int:
    """Carry out a command line, and return the exit status."""
    name, *arguments = words or [""]
    if name in {"-h", "--help", "help"}:
        print(usage())
        return 0
    command = COMMANDS.get(name)
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not command or (arguments and not command.takes_arguments):
        say(f"{name} takes no arguments." if command else f"{name or 'Nothing'} is not a command.")
        say(usage())
        return 2
    if os.name != "posix":
        say("Airflow does not run on Windows; use the Windows Subsystem for Linux.")
        return 1
    try:
        return command.run(Environment(ROOT), arguments)
    except Failed as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
