"""dev.py, run for real on a small project that needs no package and no network."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BENCH = """\
import os, pathlib, signal, sys, time

def leave(number, frame):
    time.sleep(0.3)
    pathlib.Path("left").write_text(str(number))
    sys.exit(0)

if sys.argv[1] == "wait":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    pathlib.Path("ready").touch()
    time.sleep(60)
print(sys.argv[2:], os.environ.get("PYTHONDONTWRITEBYTECODE"), os.environ["VIRTUAL_ENV"])
sys.exit(int(sys.argv[1]))
"""


def load() -> ModuleType:
    """dev.py as a module."""
    spec = importlib.util.spec_from_file_location("lockstep_dev", ROOT / "dev.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dev = load()


def small_project(folder: Path) -> Path:
    """A project with dev.py, a Makefile, a benchmark, and nothing to install."""
    for name in ("dev.py", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements.txt").write_text("# nothing\n", encoding="utf-8")
    for package, text in {"bench": BENCH, "include/lockstep/cli": "def main():\n    return 'from the CLI'\n"}.items():
        (folder / package).mkdir(parents=True)
        (folder / package / ("__main__.py" if package == "bench" else "__init__.py")).write_text(text, encoding="utf-8")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "lockstep_plugin.py").touch()
    return folder


def call(project: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run dev.py, from a folder that is not the project's."""
    command = [sys.executable, str(project / "dev.py"), *words]
    env = os.environ | variables
    return subprocess.run(
        command, cwd=project.parent, env=env, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project that two processes have set up at the same time."""
    folder = small_project(tmp_path_factory.mktemp("small project"))  # with a space in its path
    command = [sys.executable, str(folder / "dev.py"), "setup"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    (folder / "said").write_text("".join(said), encoding="utf-8")
    assert [process.returncode for process in both] == [0, 0], said
    return folder


@pytest.mark.parametrize("words", [["deploy"], [], ["lint", "x"]], ids=" ".join)
def test_unknown_words(words: list[str]) -> None:
    """What can't be carried out ends with 2, and names every command, on stderr."""
    said = call(ROOT, *words)
    assert (said.returncode, said.stdout) == (2, "")
    for name in ("setup", "demo", "test", "lint", "check", "bench", "lock"):
        assert f"\n  {name} " in said.stderr


def test_help() -> None:
    """Help is no mistake: it goes to stdout, and ends with 0."""
    said = call(ROOT, "--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("usage: python3 dev.py COMMAND")


def test_two_at_once_do_the_work_once(project: Path) -> None:
    """Of two set-ups at once one does the work, in one line, and both end well."""
    assert (project / "said").read_text(encoding="utf-8").count("Setting up .venv") == 1
    assert dev.Environment(project).is_current()


def test_second_setup_does_nothing(project: Path) -> None:
    """Once set up, set-up is silent, changes no file, and doesn't even look for pip."""
    watched = [project / ".venv" / "pyvenv.cfg", *(project / ".venv").glob("bin/*"), dev.Environment(project).stamp]
    before = [(path, path.stat().st_mtime_ns) for path in watched]
    began = time.monotonic()
    said = call(project, "setup", PATH="")
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    assert time.monotonic() - began < 5
    assert [(path, path.stat().st_mtime_ns) for path in watched] == before


def test_the_project_can_be_imported(project: Path) -> None:
    """After set-up `include` and `plugins` are on the import path, and `lockstep` is a command."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    imports = [project / ".venv" / "bin" / "python", "-c", "import lockstep.cli, lockstep_plugin"]
    assert subprocess.run(imports, env=env, cwd="/", check=False).returncode == 0
    script = [project / ".venv" / "bin" / "lockstep"]
    said = subprocess.run(script, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert said.stderr == "from the CLI\n"


def test_other_requirements_are_noticed(project: Path) -> None:
    """A change of requirements.txt makes the set-up stale, and so does a folder that was moved, or a lost Python."""
    environment = dev.Environment(project)
    text = environment.requirements.read_text(encoding="utf-8")
    environment.requirements.write_text(text + "# one more\n", encoding="utf-8")
    assert not environment.is_current()
    environment.requirements.write_text(text, encoding="utf-8")
    assert environment.is_current()
    stamp = environment.stamp.read_text(encoding="utf-8")
    environment.stamp.write_text(stamp.replace(str(project), "/elsewhere"), encoding="utf-8")
    assert not environment.is_current()
    environment.stamp.write_text(stamp, encoding="utf-8")
    environment.python.rename(environment.python.with_name("gone"))
    assert not environment.is_current()
    environment.python.with_name("gone").rename(environment.python)
    assert environment.is_current()


def test_a_package_is_pinned_with_its_hashes(tmp_path: Path) -> None:
    """The pin of one package is cut out of requirements.txt with all its hashes, and without its neighbours."""
    pin = "uv==1.2.3 ; sys_platform != 'win32' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    (tmp_path / "requirements.txt").write_text(
        f"uvicorn==9 \\\n    --hash=sha256:cc\n{pin}    # via x\nz==1\n", encoding="utf-8"
    )
    environment = dev.Environment(tmp_path)
    assert environment._pin("uv") == pin
    assert environment._pin("u") == ""


@pytest.mark.parametrize(("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_pythons(version: tuple[int, int], fits: bool) -> None:  # noqa: FBT001 - a column of the table above
    """Pythons outside 3.11 to 3.13 are refused with one sentence that says what to do."""
    sentence = dev.unfit(version)
    assert (sentence == "") == fits
    assert fits or ("make setup PYTHON=python3.13" in sentence and "\n" not in sentence)


def test_arguments_and_status_pass_through(project: Path) -> None:
    """The child gets the words after the command, a warm `.venv`, and may compile; its exit status is dev.py's."""
    said = call(project, "bench", "--", "7", "--size", "two words", PYTHONDONTWRITEBYTECODE="1")
    assert said.returncode == 7
    assert said.stdout == f"['--size', 'two words'] None {project / '.venv'}\n"
    assert call(project, "bench", "0").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_child_ends_in_order(project: Path, number: signal.Signals) -> None:
    """A signal reaches the child, which ends in its own time; dev.py waits, says nothing, and tells the signal."""
    for name in ("ready", "left"):
        (project / name).unlink(missing_ok=True)
    command = [sys.executable, str(project / "dev.py"), "bench", "wait"]
    before = signal.signal(number, signal.SIG_DFL)  # what is ignored here is ignored there, as in a shell's background
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    finally:
        signal.signal(number, before)
    deadline = time.monotonic() + 60
    while not (project / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 128 + number
    assert (project / "left").read_text(encoding="utf-8") == str(int(number))


def test_make_passes_arguments_on(project: Path) -> None:
    """`make` hands ARGS to the child, and fails when the child fails."""
    make = shutil.which("make")
    if not make:
        pytest.skip("make is not installed")
    for status in (0, 7):
        command = [make, "--directory", str(project), f"PYTHON={sys.executable}", "bench", f"ARGS={status} --exit"]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert "['--exit'] None" in said.stdout
        assert (said.returncode == 0) == (status == 0)
