"""What a command does with words it can't use, and with a registry that can't be used."""

import getpass
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep import __version__
from lockstep.cli.app import app
from tests.cli.conftest import Command, Desk

COMMANDS = ["graph", "status", "train", "promote", "gate", "release", "rollback", "decide", "serve", "log", "lineage"]
ON_A_REGISTRY = [
    ["status"],
    ["train", "surgery"],
    ["promote", "surgery"],
    ["gate", "biopsy"],
    ["release", "biopsy"],
    ["rollback", "biopsy"],
    ["decide", "referrals", "--row", "{}"],
    ["serve"],
    ["log"],
    ["lineage", "surgery"],
]


def test_a_shadow_needs_a_log(run: Command) -> None:
    """Whoever asks for a shadow alone is told that nobody would hear of it."""
    done = run("serve", "--shadow", "staging")
    assert done.status == 2
    assert done.err == (
        "lockstep: --shadow needs --log registry or --log stdout: what a shadow decides is told to the decision log"
        " alone.\n"
    )


@pytest.mark.parametrize("words", ON_A_REGISTRY, ids=lambda words: words[0])
def test_no_registry_is_named(run: Command, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """Every command that needs a registry ends with 2 and says how to name one."""
    monkeypatch.delenv("LOCKSTEP_REGISTRY")
    done = run(*words)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "lockstep: No registry is named. Give --registry URI before the command, or set LOCKSTEP_REGISTRY; for example"
        " file:///srv/lockstep.\n"
    )


def test_the_option_stands_above_the_variable(desk: Desk, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--registry` is taken where both are given; a path and a URI mean the same folder."""
    folder = Path(desk.registry.uri.removeprefix("file://"))
    monkeypatch.setenv("LOCKSTEP_REGISTRY", "memory://another")
    assert run("log", "--json").document == []
    by_uri, by_path = (run("--registry", place, "log", "--json") for place in (desk.registry.uri, str(folder)))
    assert len(by_uri.document) == desk.state.head
    assert by_path.out == by_uri.out


def test_an_unusable_folder(run: Command, tmp_path: Path) -> None:
    """A registry whose folder can't be made is a thing that broke: status 1, with the address and the next step."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    place = tmp_path / "file" / "registry"
    done = run("--registry", str(place), "status", "--json")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f'lockstep: Registry "{place.as_uri()}": the folder can\'t be used: ')
    assert done.err.endswith("Check its path and rights.\n")


@pytest.mark.parametrize("uri", ["ftp://somewhere/registry", "file://host/registry"])
def test_an_unknown_kind_of_address(run: Command, uri: str) -> None:
    """An address of another kind is wrong use."""
    done = run("--registry", uri, "status")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f'lockstep: Registry "{uri}": this kind of address is unknown;')


def test_a_damaged_log(desk: Desk, run: Command) -> None:
    """A log that can't be read ends a command with 1 and a sentence, and nothing is written behind it."""
    folder, head = Path(desk.registry.uri.removeprefix("file://")) / "log", desk.state.head
    last = max(folder.glob("*.json"))
    last.write_bytes(last.read_bytes()[:-20])
    done = run("promote", "surgery", "--json")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"lockstep: Log entry {head} can't be read:")
    assert max(folder.glob("*.json")) == last


@pytest.mark.parametrize(
    "words",
    [
        ["no_such_command"],
        ["--no-such-option", "graph"],
        ["graph", "--no-such-option"],
        ["gate"],
        ["promote"],
        ["decide", "referrals"],
        ["log", "--last", "-1"],
        ["log", "--last", "two"],
        ["serve", "--port", "70000"],
        ["serve", "--poll", "0"],
        ["serve", "--workers", "0"],
        ["lineage", "a", "b"],
    ],
    ids=" ".join,
)
def test_wrong_words(run: Command, words: list[str]) -> None:
    """Words that no command takes end with 2 and the usage on stderr."""
    done = run(*words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: ")
    assert "\nError: " in done.err


def test_help_names_every_command(run: Command) -> None:
    """`--help` ends with 0 and lists the commands; each has help of its own."""
    done = run("--help")
    assert done.status == 0
    assert [name for name in COMMANDS if f"  {name} " not in done.out] == []
    for name in COMMANDS:
        assert run(name, "-h").status == 0


def test_the_version_alone(run: Command) -> None:
    """`--version` prints one line and ends with 0, whatever follows it."""
    assert run("--version").out == f"lockstep {__version__}\n"
    assert run("--version", "gate").out == f"lockstep {__version__}\n"


def test_who_asks(run: Command, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry says who, from which machine and process, and at which commit."""
    monkeypatch.delenv("LOCKSTEP_COMMIT")
    monkeypatch.chdir(Path(desk.registry.uri.removeprefix("file://")))
    run("promote", "surgery")
    origin = list(desk.registry.log.entries())[-1].origin
    assert (origin.by, origin.why, origin.job.system) == (getpass.getuser(), "", "cli")
    assert (origin.job.commit, origin.job.attempt, origin.job.log) == ("", 1, "")
    assert origin.job.run.startswith(f"{origin.by}@")


def test_two_commands_are_two_jobs(run: Command, desk: Desk) -> None:
    """What a person does again is another job, so that it is done and not taken for a retry."""
    run("promote", "second_look@1")
    run("promote", "second_look@2")
    first, second = list(desk.registry.log.entries())[-2:]
    assert first.origin.job.run != second.origin.job.run


def test_typers_own_runner(desk: Desk) -> None:
    """The app can be called without `main`, with one JSON document on stdout as well."""
    done = CliRunner().invoke(app, ["status", "--json"])
    assert (done.exit_code, done.stderr, json.loads(done.stdout)["head"]) == (0, "", desk.state.head)
