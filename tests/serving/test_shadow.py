"""What stands in staging decides beside production, is told to the log alone, and harms nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest

from lockstep.decisions import decision_diff
from lockstep.decisions.diff import load_sides
from lockstep.journal import Answered, Limits, read_decisions
from lockstep.registry import Promoted, Registry, files_of, read_manifest
from lockstep.release import promote, weigh
from lockstep.serving import Decider
from lockstep.serving.loaded import load_set
from lockstep.serving.recording import LogTo, ShadowOf, open_recording
from lockstep.serving.shadow import Shadow, ShadowLimits
from tests.decisions.conftest import GROUP, changing, changing_template, graph
from tests.serving.service import wait_for
from tests.training.conftest import ADA, Shop

__all__ = ["changing", "changing_template"]

Row = dict[str, Any]
POLL = 0.02


@pytest.fixture
def decider(changing: Shop) -> Decider:
    """Answer from production."""
    made = Decider(changing.registry, [graph])
    made.refresh()
    return made


@pytest.fixture
def some(shop_rows: list[Row]) -> list[Row]:
    """Rows that somebody asks about; clean leaves some of them out."""
    return shop_rows[:60]


@contextmanager
def running(
    at: Shop, keep: Callable[[Answered], None] = lambda _: None, limits: ShadowLimits | None = None
) -> Iterator[Shadow]:
    """Run a shadow."""
    shadow = Shadow(Registry.open(at.registry.uri), [graph], keep, poll=POLL, limits=limits)
    shadow.start()
    try:
        yield shadow
    finally:
        shadow.stop()


def asked(decider: Decider, rows: list[Row], api: str = "calls", request: str = "r") -> Answered:
    """Ask production."""
    return Answered(
        request=request,
        at=datetime.now(UTC),
        group="shop",
        api=api,
        release=decider.releases["shop"].release,
        rows=rows,
        answers=decider.decide(api, rows),
        size=10,
    )


def staged(at: Shop) -> str:
    """The digest of the set that would be released."""
    return load_sides(at.registry, graph, GROUP, at.registry.state())[1].digest


def test_it_decides_as_the_set_would_once_it_is_released(changing: Shop, decider: Decider, some: list[Row]) -> None:
    """Each row gets what that set, loaded by itself, decides, beside what was answered, whoever asked with it."""
    said: list[Answered] = []
    requests = [asked(decider, some, api) for api in ("calls", "offers")] + [asked(decider, some[:1])]
    with running(changing, said.append) as shadow:
        wait_for(lambda: shadow.sets == {"shop": staged(changing)})
        for one in requests:
            shadow.offer(one)
    _, new = load_sides(changing.registry, graph, GROUP, changing.registry.state())
    _, manifest = weigh(GROUP, changing.registry.state())
    assert manifest is not None
    itself = load_set(changing.registry, graph, "shop", new.digest, manifest)
    found = {(one.api, len(one.rows)): one for one in said}
    assert len(found) == 3
    for one in requests:
        shade = found[one.api, len(one.rows)]
        assert (shade.release, shade.against, shade.answered) == (new.digest, one.release, one.answers)
        expected = itself.decide(one.api, one.rows)
        for got, wanted in zip(shade.answers, expected, strict=True):
            assert got.get("error") == wanted.get("error")
            if "error" not in wanted:
                assert {name: entry["decision"] for name, entry in got["decisions"].items()} == {
                    name: entry["decision"] for name, entry in wanted["decisions"].items()
                }
    assert shadow.counts() == {"rows": 121, "dropped_rows": 0, "failed_rows": 0, "loaded": 1}


def test_the_log_holds_pairs_that_the_diff_counts(changing: Shop, decider: Decider, some: list[Row]) -> None:
    """What the shadow saw flips as often as the diff says when it decides on the same requests itself."""
    recording = open_recording(
        changing.registry, [graph], log=LogTo.REGISTRY, shadow=ShadowOf.STAGING, poll=POLL, limits=Limits()
    )
    assert recording is not None
    recording.start()
    wait_for(lambda: recording.counts()["shadow_loaded"] == 1)
    recording.record(asked(decider, some))
    recording.stop()
    assert recording.problems() == {}
    assert recording.counts()["log_rows"] == 2 * len(some)
    rows = pl.concat(read_decisions(changing.registry, "shop"))
    assert rows["_shadow"].to_list() == [False] * len(some) + [True] * len(some)
    pl.DataFrame(some).drop("leaves").write_parquet(file := Path(urlsplit(changing.registry.uri).path).parent / "r.pq")
    diff = decision_diff(changing.registry, graph, "shop", requests={"shoppers": str(file)}, shadow=True)
    seen, again = diff.threshold("call", "shadow"), diff.threshold("call", "requests")
    assert (seen.rows, seen.changes) == (again.rows, again.changes)
    assert seen.flips.part > 0
    assert [row.key for row in seen.examples] == [row.key for row in again.examples]


def test_it_follows_staging(changing: Shop, decider: Decider, some: list[Row]) -> None:
    """Another set is loaded; where staging does not fit together, nothing is decided; then it goes on."""
    with running(changing) as shadow:
        first = staged(changing)
        wait_for(lambda: shadow.sets == {"shop": first})
        promote(changing.registry, GROUP, "leaving@1", ADA)
        second = staged(changing)
        assert second != first
        wait_for(lambda: shadow.sets == {"shop": second})
        digest = changing.registry.state().threshold("offer@2").digest  # which was tuned for leaving@2
        changing.registry.record(lambda _: Promoted(group="shop", members={"threshold:offer": digest}), ADA)
        wait_for(lambda: shadow.sets == {})
        shadow.offer(asked(decider, some))
        assert shadow.counts()["rows"] == 0
        promote(changing.registry, GROUP, "leaving@2", ADA)
        wait_for(lambda: shadow.sets == {"shop": first})
        production = changing.registry.state().members["shop"]
        changing.registry.record(lambda _: Promoted(group="shop", members=dict(production)), ADA)
        wait_for(lambda: shadow.sets == {})  # it is what answers, so there is nothing to compare
        assert shadow.problems == {}


def test_a_set_that_is_broken_harms_no_answer(changing: Shop, decider: Decider, some: list[Row]) -> None:
    """The reason is told, production answers as before, and the set is tried again."""
    version = changing.registry.state().model("leaving@2")
    files = files_of(version.fact.manifest, read_manifest(changing.registry.objects, version.fact.manifest))
    path = Path(urlsplit(changing.registry.uri).path) / files["model.skops"].path
    intact = path.read_bytes()
    path.write_bytes(b"?" + intact[1:])
    before = decider.decide("calls", some)
    with running(changing, limits=ShadowLimits(again=0.0)) as shadow:
        wait_for(lambda: "its SHA-256 is" in shadow.problems.get("shop", ""))
        shadow.offer(asked(decider, some))
        assert shadow.counts() == {"rows": 0, "dropped_rows": 0, "failed_rows": 0, "loaded": 0}
        assert decider.decide("calls", some) == before
        path.write_bytes(intact)
        wait_for(lambda: shadow.counts()["loaded"] == 1)
        assert shadow.problems == {}


def test_a_registry_that_is_away_is_told(changing: Shop) -> None:
    """What is loaded goes on deciding, and the reason is there until the registry is back."""
    root = Path(urlsplit(changing.registry.uri).path)
    with running(changing) as shadow:
        wait_for(lambda: shadow.counts()["loaded"] == 1)
        newest = max((root / "log").glob("*.json"))
        beyond = newest.with_name(f"{int(newest.stem) + 1:020d}.json")
        beyond.write_bytes(b"damaged")
        wait_for(lambda: "the log" in shadow.problems)
        assert shadow.counts()["loaded"] == 1
        beyond.unlink()
        wait_for(lambda: shadow.problems == {})


def test_what_comes_too_fast_is_left_out_and_counted(changing: Shop, decider: Decider, some: list[Row]) -> None:
    """Memory is bounded by rows and by bytes; one request is always taken, however large."""
    said: list[Answered] = []
    one = asked(decider, some[:10])
    for limits in (ShadowLimits(most_rows=25, gather=60), ShadowLimits(most_bytes=25, gather=60)):
        said.clear()
        with running(changing, said.append, limits) as shadow:
            wait_for(lambda shadow=shadow: shadow.counts()["loaded"] == 1)  # type: ignore[misc]
            for _ in range(5):
                shadow.offer(one)
            assert shadow.counts()["dropped_rows"] == 30
        assert len(said) == 2
    with running(changing, said.append, ShadowLimits(most_rows=3)) as shadow:
        wait_for(lambda: shadow.counts()["loaded"] == 1)
        shadow.offer(one)
    assert len(said) == 3


def test_a_request_that_it_can_not_decide_on_is_counted(
    changing: Shop, decider: Decider, some: list[Row], caplog: pytest.LogCaptureFixture
) -> None:
    """Others beside it are decided on; of the error only its kind is told, since its text may hold a value."""
    said: list[Answered] = []
    bad: Any = ["Hilde"]  # no row at all
    good = asked(decider, some[1:3], request="good")
    spoilt = Answered(
        request="bad",
        at=good.at,
        group="shop",
        api="calls",
        release=good.release,
        rows=[bad],
        answers=good.answers[:1],
        size=1,
    )
    with running(changing, said.append) as shadow:
        wait_for(lambda: shadow.counts()["loaded"] == 1)
        shadow.offer(spoilt)
        shadow.offer(good)
        wait_for(lambda: len(said) == 2)
        assert "a request to calls could not be decided on" in shadow.problems["shop"]
    assert {one.request: "error" in one.answers[0] for one in said} == {"bad": True, "good": False}
    assert (shadow.counts()["rows"], shadow.counts()["failed_rows"]) == (2, 1)
    assert "Hilde" not in caplog.text
