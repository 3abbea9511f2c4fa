"""`status` and `log` show what is in the registry, and like `lineage` they change nothing."""

from lockstep.registry import Registry
from lockstep.release import gate
from tests.cli.conftest import GROUP, Command, Desk


def test_status_of_an_empty_registry(run: Command) -> None:
    """Where nothing was trained, each member is there without a version, and the gate says why it is closed."""
    done = run("status", "--json")
    (group,) = done.document["groups"]
    assert (done.status, done.document["head"], group["production"], group["gate"]) == (0, 0, None, "closed")
    assert [(member["kind"], member["name"]) for member in group["members"]] == [
        ("model", "surgery"),
        ("threshold", "refer"),
        ("model", "second_look"),
        ("threshold", "review"),
    ]
    assert {member["newest"] for member in group["members"]} == {None}
    assert run("status").out.splitlines()[:2] == [
        "biopsy: production nothing yet, gate closed",
        "  surgery is not in staging",
    ]


def test_status(released: Desk, run: Command) -> None:
    """The newest, the staged and the released version of each member stand beside each other."""
    released.stage("second_look@2")
    state = released.state
    done = run("status", "--json")
    production = state.production("biopsy")
    assert done.document["head"] == state.head
    (group,) = done.document["groups"]
    assert {key: group[key] for key in ("group", "production", "released_at", "gate", "reasons")} == {
        "group": "biopsy",
        "production": production.digest,
        "released_at": production.recorded.at.isoformat(timespec="seconds"),
        "gate": gate(GROUP, state).status.value,
        "reasons": [],
    }
    versions = {item["name"]: (item["newest"], item["staging"], item["production"]) for item in group["members"]}
    assert versions == {
        "surgery": ("surgery@1", "surgery@1", "surgery@1"),
        "refer": ("refer@1", "refer@1", "refer@1"),
        "second_look": ("second_look@2", "second_look@2", "second_look@1"),
        "review": ("review@2", "review@2", "review@1"),
    }
    lines = run("status").out.splitlines()
    assert lines[0] == f"biopsy: production {production.short}, gate open"
    assert lines[4].split() == ["model", "second_look", "second_look@2", "second_look@2", "second_look@1"]


def test_log(released: Desk, run: Command) -> None:
    """Each entry is a line, oldest first, with numbers for people and its job."""
    entries = list(released.registry.log.entries())
    state = released.state
    found = run("log", "--json").document
    assert [line["entry"] for line in found] == list(range(1, len(entries) + 1))
    assert [line["what"] for line in found] == [entry.fact.kind for entry in entries]
    production = state.production("biopsy")
    assert [line["says"] for line in found] == [
        "biopsies@1: 569 rows, 0 quarantined",
        "surgery@1 trained",
        f"refer@1 tuned for surgery@1: {state.threshold('refer@1').fact.value:.4f}",
        "second_look@1 trained",
        f"review@1 tuned for second_look@1: {state.threshold('review@1').fact.value:.4f}",
        "second_look@2 trained",
        f"review@2 tuned for second_look@2: {state.threshold('review@2').fact.value:.4f}",
        "surgery@1, refer@1 to staging",
        "second_look@1, review@1 to staging",
        f"biopsy {production.short}: second_look@1, surgery@1, refer@1, review@1",
    ]
    assert (found[1]["by"], found[1]["why"], found[1]["job"]) == ("ada", "the monthly run", "biopsy_retrain/january")
    assert run("log").out.splitlines()[1].split(maxsplit=3)[2:] == [
        "ada",
        "model_trained    surgery@1 trained  (the monthly run)",
    ]


def test_a_rollback_in_the_log(released: Desk, run: Command) -> None:
    """A rollback's line says where from and where to."""
    first = released.state.production("biopsy")
    released.stage("second_look@2")
    second = released.release("biopsy_release/february")
    run("rollback", "biopsy")
    (line,) = run("log", "--last", "1", "--json").document
    assert line["says"] == f"biopsy back to {first.short} from {second.short}"


def test_the_end_of_the_log(desk: Desk, run: Command) -> None:
    """`--last` shows the last entries under their own numbers and versions, or all where there are fewer."""
    found = run("log", "--json").document
    assert run("log", "--last", "2", "--json").document == found[-2:]
    assert run("log", "--last", "999", "--json").document == found
    assert found[-1]["entry"] == desk.state.head
    none = run("log", "--last", "0")
    assert (none.status, none.out) == (2, "")


def test_an_empty_log(run: Command) -> None:
    """A log without entries is an empty list."""
    assert run("log", "--json").document == []
    assert (run("log").status, run("log").out.strip()) == (0, "")


def test_looking_changes_nothing(released: Desk, run: Command) -> None:
    """None of the commands that show something writes an entry."""
    before = Registry.open(released.registry.uri).state().head
    for words in (["graph"], ["status"], ["log"], ["lineage", "surgery"], ["gate", "biopsy"]):
        assert run(*words, "--json").document
    assert released.state.head == before
