"""`lockstep serve` with a decision log and a shadow, as a process on a registry."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest

from lockstep.decisions import decision_diff
from lockstep.journal import read_decisions
from lockstep.serving.recording import LogTo, open_recording
from lockstep.upkeep import verify
from tests.decisions.conftest import changing, changing_template, graph
from tests.serving.service import Service, serving, wait_for
from tests.training.conftest import Shop

__all__ = ["changing", "changing_template"]

Row = dict[str, Any]
GRAPH = "tests.decisions.conftest:graph"
ROWS = 12
BAD = 'Hilde" is not an int; region: "south'


def ask(service: Service, rows: list[Row]) -> dict[str, Row]:
    """Ask `calls` about each row by itself, and of all together, one of which is wrong; answers by request."""
    found = {}
    with service.client() as client:
        for row in rows:
            said = client.post("/apis/calls/decisions", json=row)
            found[said.headers["X-Request-ID"]] = said.json()
        wrong = client.post("/apis/calls/decisions", json=rows[0] | {"age": BAD})
        assert wrong.status_code == 422
        found[wrong.headers["X-Request-ID"]] = wrong.json()
        every = client.post("/apis/calls/decisions", json={"rows": rows}, headers={"X-Request-ID": "all-of-them"})
        found["all-of-them"] = every.json()
    return found


def figure(service: Service, name: str) -> float:
    """A figure of the metrics."""
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def test_answers_and_shadows_are_in_the_log(changing: Shop, shop_rows: list[Row], tmp_path: Path) -> None:
    """Two workers log each row that was answered, once, with the decision that was given, and the shadow's decision."""
    rows = [row for row in shop_rows if row["region"] != "staff"][:ROWS]
    options = ("--log", "registry", "--shadow", "staging", "--workers", "2")
    with serving(changing, tmp_path, *options, graph=GRAPH) as service:
        wait_for(lambda: figure(service, "lockstep_shadow_loaded") == 2)
        answers = ask(service, rows)
        wait_for(lambda: figure(service, "lockstep_shadow_rows_total") == 2 * ROWS + 1)
        with service.client() as client:
            assert client.get("/readyz").json()["warnings"] == []
        assert service.end() == 0
    logged = pl.concat(read_decisions(changing.registry, "shop"))
    real = logged.filter(~pl.col("_shadow"))
    assert real.height == 2 * ROWS + 1 == logged.filter("_shadow").height
    assert set(real["_request"]) == set(answers) == set(logged.filter("_shadow")["_request"])
    for row in real.to_dicts():
        said = answers[row["_request"]]
        said = said["answers"][row["_row"]] if "answers" in said else said
        if row["_error"] is not None:
            assert (row["_error"], row["shopper"]) == ("age: of another type; region: of another type", None)
            assert '"Hilde' in said["detail"]
            continue
        (one,) = row["_decisions"]
        assert row["shopper"] == said["key"]
        assert row["_release"] == said["release"]
        assert one["decision"] == ("yes" if said["decisions"]["call"]["decision"] else "no")
        assert one["score"] == pytest.approx(said["decisions"]["call"]["probability"])
    assert "Hilde" not in service.said() + logged.write_ndjson()
    diff = decision_diff(changing.registry, graph, "shop", shadow=True)
    assert (diff.populations[-1].rows, diff.populations[-1].left_out) == (2 * ROWS, {"both refused it": 1})
    assert list(verify(changing.registry)) == []


def test_a_log_that_can_not_be_written_harms_no_answer(changing: Shop, shop_rows: list[Row], tmp_path: Path) -> None:
    """Answers go on, the service stays ready and says what is wrong, and the end comes in time."""
    root = Path(urlsplit(changing.registry.uri).path)
    (root / "decisions").write_text("in the way", encoding="utf-8")
    with serving(changing, tmp_path, "--log", "registry", graph=GRAPH) as service:
        assert len(ask(service, shop_rows[:3])) == 5
        wait_for(lambda: figure(service, "lockstep_decision_log_waiting_rows") == 7)
        with service.client() as client:
            assert client.get("/readyz").json()["ready"]
        service.end()
        assert "7 rows of the decision log could not be written before the process ended" in service.said()


def test_lines_on_stdout(changing: Shop, shop_rows: list[Row], tmp_path: Path) -> None:
    """Each row is a line of JSON, soon after it was answered."""
    with serving(changing, tmp_path, "--log", "stdout", graph=GRAPH) as service:
        answers = ask(service, shop_rows[:3])
        wait_for(lambda: service.said().count('"_request":') == 7)
    lines = [json.loads(line) for line in service.said().splitlines() if line.startswith("{")]
    assert {line["_request"] for line in lines} == set(answers)
    assert not any(line["_shadow"] for line in lines)


def test_nothing_is_logged_unless_it_is_asked_for(changing: Shop) -> None:
    """There is no recorder at all, and so no cost."""
    assert open_recording(changing.registry, [graph], log=LogTo.OFF) is None
