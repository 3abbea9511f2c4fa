"""The diff on the requests of the decision log: those of a file, as they were asked, but for what is private."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep import Dataset, Graph
from lockstep.decisions import Logged, decision_diff, recent_requests
from lockstep.decisions.logged import LoggedRequests
from lockstep.errors import DataError, UsageError
from lockstep.journal import Answered, DecisionLog, InRegistry, layout_of
from lockstep.registry import Registry
from lockstep.serving import Decider
from tests.decisions.conftest import graph
from tests.journal.conftest import with_private
from tests.training import shop
from tests.training.conftest import Shop

Row = dict[str, Any]
NOW = datetime.now(UTC)
LEFT_OUT = {"error": "left out by clean"}


@pytest.fixture(scope="session")
def some(shop_template: Path) -> list[Row]:
    """What was asked lately: some rows of the source, as text, without the label that no model learns from."""
    rows = pl.read_csv(shop_template / "data" / "shoppers" / "part.csv", infer_schema=False)
    return rows.drop("leaves").head(150).to_dicts()


def log(
    registry: Registry, rows: Sequence[Row], answers: Sequence[Row], *, declared: Graph = graph, at: datetime = NOW
) -> None:
    """Log rows that `calls` answered."""
    asked = Answered(
        request="r", at=at, group="shop", api="calls", release="f" * 64, rows=rows, answers=answers, size=1
    )
    journal = DecisionLog(InRegistry(registry.objects), [layout_of(declared, "shop")])
    journal.add(asked)
    journal.start()
    journal.stop()
    assert journal.counts()["rows"] == len(rows)


def read(registry: Registry, declared: Graph = graph, labels: Sequence[str] = ("leaves",)) -> LoggedRequests:
    """Read the log as requests of the shoppers."""
    return LoggedRequests(
        registry=registry,
        graph=declared,
        group="shop",
        dataset=declared.model("leaving").data,
        since=NOW - timedelta(days=1),
        labels=frozenset(labels),
    )


def empty(tmp_path: Path) -> Registry:
    """Open an empty registry."""
    return Registry.open(str(tmp_path / "log"))


def test_the_log_is_as_good_as_a_file(changing: Shop, some: list[Row], tmp_path: Path) -> None:
    """What was answered since, decided on again, gives the figures that the same rows in a file give."""
    assert recent_requests(changing.registry, graph, "shop") == {}
    decider = Decider(changing.registry, [graph])
    decider.refresh()
    bad = some[0] | {"age": "old"}
    log(changing.registry, [*some, bad], decider.decide("calls", [*some, bad]))
    log(changing.registry, some[:5], [LEFT_OUT] * 5, at=NOW - timedelta(days=9))
    pl.DataFrame(some).write_parquet(tmp_path / "asked.parquet")
    file = {"shoppers": str(tmp_path / "asked.parquet")}
    recent = recent_requests(changing.registry, graph, "shop")
    assert recent == {"shoppers": Logged(timedelta(days=7))}
    of_file, of_log = (
        decision_diff(changing.registry, graph, "shop", requests=requests).populations[1].as_json()
        for requests in (file, recent)
    )
    assert of_log.pop("source") == {"log": "the last 7 days"}
    assert of_log["left_out"].pop("refused when it was asked") == 1
    of_file.pop("source")
    assert of_log == of_file
    assert of_log["rows"] + of_log["left_out"]["left out by clean"] == len(some)


def test_private_keys_and_labels_are_no_hindrance(some: list[Row], tmp_path: Path) -> None:
    """Rows without them are decided on as requests without them are."""
    registry, declared = empty(tmp_path), with_private("shopper", "leaves")
    log(registry, some[:20], [LEFT_OUT] * 20, declared=declared)
    rows = pl.concat(list(read(registry, declared).batches()))
    assert rows["shopper"].to_list()[0].startswith("request ")
    assert rows["leaves"].null_count() == rows.height > 10
    assert rows["age"].to_list() == [int(row["age"]) for row in some[:20] if row["region"] != "staff"]


def test_a_private_column_that_clean_reads_is_told(some: list[Row], tmp_path: Path) -> None:
    """Nothing is decided on blanks that were no blanks when it was asked."""
    registry, declared = empty(tmp_path), with_private("spend")
    log(registry, some[:20], [LEFT_OUT] * 20, declared=declared)
    with pytest.raises(DataError) as caught:
        list(read(registry, declared).batches())
    assert "clean_shoppers failed on 20 rows: ColumnNotFoundError" in str(caught.value)
    assert "The decision log does not hold what is private: spend. Compare on a file" in str(caught.value)


def test_a_private_feature_is_told_at_once(changing: Shop) -> None:
    """The diff says which column it lacks, and how to compare otherwise."""
    data = replace(shop.shoppers, private=["age"])
    models = [replace(graph.model(model.name), data=data) for model in graph.group("shop").models]
    declared = rebuilt(data, {model.name: model for model in models})
    with pytest.raises(DataError) as caught:
        decision_diff(changing.registry, declared, "shop", requests={"shoppers": Logged()})
    assert str(caught.value) == (
        'Dataset "shoppers": age is private, so the decision log does not hold it, but decisions depend on it. Compare'
        " on a file (--requests file.csv), or let the shadow decide where the whole request is (`lockstep serve"
        " --shadow staging`, then --shadow)."
    )


def test_what_was_logged_before_a_column_was_declared_is_counted(some: list[Row], tmp_path: Path) -> None:
    """Rows of another time are left out by their reason, and do not keep newer ones back."""
    registry, before = empty(tmp_path), with_private("visits")  # so its files are without that column
    log(registry, some[:7], [LEFT_OUT] * 7, declared=before)
    log(registry, some[:20], [LEFT_OUT] * 20)
    requests = read(registry)
    assert sum(frame.height for frame in requests.batches()) + requests.left_out["left out by clean"] == 20
    assert requests.left_out["logged without visits"] == 7


def test_shadows_and_refused_rows_are_no_requests(some: list[Row], tmp_path: Path) -> None:
    """Each row that was asked counts once, if it could be used."""
    registry = empty(tmp_path)
    log(registry, some[:2], [LEFT_OUT, {"api": "calls", "error": "age: blank, an int is needed"}])
    journal = DecisionLog(InRegistry(registry.objects), [layout_of(graph, "shop")])
    answered = Answered(
        request="r", at=NOW, group="shop", api="calls", release="f" * 64, rows=some[:2], answers=[LEFT_OUT] * 2, size=1
    )
    journal.add(replace(answered, against="e" * 64))
    journal.start()
    journal.stop()
    requests = read(registry)
    assert sum(frame.height for frame in requests.batches()) == 1
    assert requests.left_out == Counter({"refused when it was asked": 1})


@pytest.mark.parametrize(
    ("word", "logged"),
    [
        ("log", Logged(timedelta(days=7))),
        ("log:12h", Logged(timedelta(hours=12))),
        ("log:30d", Logged(timedelta(days=30))),
        ("log:8w", Logged(timedelta(days=56))),
        ("log.csv", None),
        ("customers=log", None),
    ],
)
def test_words_for_the_log(word: str, logged: Logged | None) -> None:
    """`log` is a week; a span may be said; anything else is a file."""
    assert Logged.parse(word) == logged


def test_another_form_of_a_span_is_refused() -> None:
    """The message says the form, and in words what was asked for."""
    with pytest.raises(UsageError, match='--requests log:all: after "log:" stands a time span; write "log:12h"'):
        Logged.parse("log:all")
    assert [str(Logged(timedelta(hours=hours))) for hours in (12, 48)] == ["the last 12 hours", "the last 2 days"]


def rebuilt(data: Dataset, models: dict[str, Any]) -> Graph:
    """Declare the graph again, on another declaration of its dataset."""
    assert data.name == "shoppers"
    thresholds = {
        node.name: replace(node, model=models[graph.model_of(node.name).name])
        for api in ("offers", "calls", "baskets")
        for node in graph.api(api).decides
    }
    apis = [
        replace(
            graph.api(api),
            decides=[thresholds[node.name] for node in graph.api(api).decides],
            explains=[models[node.name] for node in graph.api(api).explains],
            agrees_with=graph.api(api).agreeing,
        )
        for api in ("offers", "calls", "baskets")
    ]
    return Graph(apis, name="shop")
