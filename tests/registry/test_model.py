"""The model of append, checkpoint and release, checked by Spin: all states that can be reached, within its bounds.

`model/registry.pml` says what it follows, what holds, and what it leaves out.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

MODEL = Path(__file__).parent / "model" / "registry.pml"
QUICK = ("-DSAFETY", "-DNOCLAIM", "-O0")  # for a search that ends at once, compiling is what takes time
THOROUGH = ("-DSAFETY", "-DNOCLAIM", "-O1")
STANDS = ("-a", "-N", "told_once_stands")
FINISHES = ("-a", "-f", "-N", "everybody_finishes")  # -f: weakly fair
DEEPEST = 100_000  # steps; a search that goes deeper is not complete, and says so

pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("cc")), reason="Spin or a C compiler is missing: apt-get install spin"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What Spin said of one search: whether it went through all states, how many, and each assertion that failed."""

    complete: bool
    states: int
    errors: int
    failed: str


def search(folder: Path, rules: str, *, compiled: tuple[str, ...] = QUICK, run: tuple[str, ...] = ()) -> Search:
    """Have Spin go through the model with these words defined, as `WRITERS=2 NO_JOB`."""
    words = [f"-D{word}" for word in rules.split()]
    for command in (
        ["spin", *words, "-a", str(MODEL)],
        ["cc", "-w", "-DCOLLAPSE", *compiled, "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    done = subprocess.run(
        ["./pan", f"-m{DEEPEST}", *run], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    states, errors = re.search(r"(\d+) states, stored", done.stdout), re.search(r"errors: (\d+)", done.stdout)
    if not states or not errors:
        raise AssertionError(f"The search ended without a result: {done.stdout}{done.stderr}")
    said = re.search(r"^pan:1: (.*)", done.stdout, re.MULTILINE)
    return Search(
        complete="Search not completed" not in done.stdout and "max search depth too small" not in done.stdout,
        states=int(states[1]),
        errors=int(errors[1]),
        failed=said[1] if said else "",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bounds", "at_least"),
    [
        pytest.param("WRITERS=3 JOBS=1 FAULTS=0 HARM=1", 2_000_000, id="three writers, a checkpoint harmed"),
        pytest.param("WRITERS=2 JOBS=2 FAULTS=1 HARM=0", 4_000_000, id="two writers, two jobs, a fault"),
        pytest.param("WRITERS=2 JOBS=1 FAULTS=2 HARM=0", 100_000, id="two writers, two faults"),
        pytest.param("WRITERS=2 JOBS=1 FAULTS=1 HARM=1 READER", 1_000_000, id="a reader beside them"),
    ],
)
def test_no_state_that_can_be_reached_breaks_a_rule(tmp_path: Path, bounds: str, at_least: int) -> None:
    """In every order of steps, faults and harm within the bounds, each assertion of the model holds."""
    found = search(tmp_path, bounds, compiled=THOROUGH)
    assert found.complete
    assert (found.errors, found.failed) == (0, "")
    assert found.states > at_least


def test_what_a_writer_called_done_stands_for_ever(tmp_path: Path) -> None:
    """On every path, an entry that a writer once called done has that writer's nonce from then on."""
    found = search(tmp_path, "WRITERS=2 JOBS=1 FAULTS=1 HARM=1 WATCH", compiled=("-O1",), run=STANDS)
    assert found.complete
    assert (found.errors, found.failed) == (0, "")


def test_what_a_writer_called_done_would_not_stand_in_a_store_that_overwrites(tmp_path: Path) -> None:
    """Without the condition of the put, and without the assertions, Spin finds a path on which it is gone."""
    rules = "WRITERS=2 JOBS=1 FAULTS=0 HARM=0 WATCH OVERWRITE ONLY_CLAIMS"
    found = search(tmp_path, rules, compiled=("-O0",), run=STANDS)
    assert found.errors == 1
    assert "watched_nonce" in found.failed


def test_without_faults_every_writer_finishes(tmp_path: Path) -> None:
    """On every path on which each process that can go on does so in the end, all writers finish their jobs."""
    found = search(tmp_path, "WRITERS=2 JOBS=2 FAULTS=0 HARM=0", compiled=("-O1", "-DNFAIR=3"), run=FINISHES)
    assert found.complete
    assert (found.errors, found.failed) == (0, "")


def test_a_writer_that_does_not_look_again_would_never_finish(tmp_path: Path) -> None:
    """A writer that is beaten to a number and asks for the same one again does so for ever."""
    rules = "WRITERS=2 JOBS=1 FAULTS=0 HARM=0 NO_LOOK ONLY_CLAIMS"
    found = search(tmp_path, rules, compiled=("-O0", "-DNFAIR=3"), run=FINISHES)
    assert (found.errors, found.failed.partition(" (")[0]) == (1, "acceptance cycle")


@pytest.mark.parametrize(
    ("rule", "breaks", "jobs"),
    [
        ("OVERWRITE", "nonce!=0", 1),
        ("NO_RECHECK", "production", 1),
        ("BLIND_RETRY", "entry[i].nonce!=", 1),
        ("TRUSTED_LOSS", "nonce==(", 1),
        ("NO_JOB", "released&", 2),
        ("STALE_CHECKPOINT", "seen.production==truth[seen.head].production", 1),
        ("UNCHECKED_CHECKPOINT", "seen.production==truth[seen.head].production", 1),
    ],
)
def test_the_model_notices_a_rule_that_is_not_kept(tmp_path: Path, rule: str, breaks: str, jobs: int) -> None:
    """Leave out any one rule, and Spin finds the steps that break the assertion which that rule is there for."""
    found = search(tmp_path, f"WRITERS=2 JOBS={jobs} FAULTS=1 HARM={2 - jobs} {rule}")
    assert found.errors == 1
    assert breaks in found.failed


@pytest.mark.parametrize(
    "witness",
    [
        pytest.param(1, id="a reader starts at a checkpoint"),
        pytest.param(2, id="a write whose answer was lost is known again"),
        pytest.param(3, id="a release that was beaten to its number is written behind it"),
        pytest.param(4, id="a put arrives late and finds its number taken"),
    ],
)
def test_the_model_can_do_what_its_rules_are_about(tmp_path: Path, witness: int) -> None:
    """Claim that it never happens, and Spin shows that it does: the rules above do not hold for want of events."""
    found = search(tmp_path, f"WRITERS=2 JOBS=1 FAULTS=1 HARM=0 WITNESS={witness}")
    assert found.errors == 1
    assert f"{witness}!={witness}" in found.failed
