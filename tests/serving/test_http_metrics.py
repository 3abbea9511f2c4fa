"""What Prometheus is told is what was asked and decided."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from lockstep.registry import Registry
from lockstep.serving import Decider, create_app
from lockstep.serving.board import OwnBoard, SharedBoard, View
from tests.serving.service import POLL
from tests.training import shop
from tests.training.conftest import Shop

Row = dict[str, Any]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def client(released: Shop) -> Iterator[TestClient]:
    """Ask the app of the first release."""
    with TestClient(create_app(Decider(Registry.open(released.registry.uri), [shop.graph]), poll=POLL)) as opened:
        yield opened


def samples_of(page: str) -> Samples:
    """Read a page of metrics: name and labels → value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def count(samples: Samples, name: str, **labels: str) -> float | None:
    """Find one of them."""
    return samples.get((name, frozenset(labels.items())))


def test_requests_rows_and_decisions_are_counted(client: TestClient, a_row: Row) -> None:
    """By API and status, by what became of each row, and by threshold and outcome."""
    rows = [a_row | {"shopper": f"s{place}", "spend": 5.0 * place} for place in range(20)] + [{}]
    answers = client.post("/apis/offers/decisions", json={"rows": rows}).json()["answers"]
    client.post("/apis/offers/decisions", json=a_row)
    client.post("/apis/offers/decisions", json={})
    client.post("/apis/calls/decisions", content="{")
    client.post("/apis/nothing/decisions", json=a_row)
    client.post("/apis/nor_this/decisions", json=a_row)
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples_of(response.text)
    requests = {("offers", "200"): 2, ("offers", "422"): 1, ("calls", "400"): 1, ("", "404"): 2}
    for (api, status), expected in requests.items():
        assert count(found, "lockstep_requests_total", api=api, status=status) == expected
    assert sum(value for (name, _), value in found.items() if name == "lockstep_requests_total") == 6
    assert count(found, "lockstep_request_seconds_count", api="offers") == 3
    assert count(found, "lockstep_request_seconds_bucket", api="offers", le="+Inf") == 3
    assert count(found, "lockstep_rows_total", api="offers", result="decided") == 21
    assert count(found, "lockstep_rows_total", api="offers", result="refused") == 2
    for threshold in ("offer", "cheap"):
        said = [answer["decisions"][threshold]["decision"] for answer in answers[:-1]]
        one = client.post("/apis/offers/decisions", json=a_row).json()["decisions"][threshold]["decision"]
        yes = count(found, "lockstep_decisions_total", threshold=threshold, outcome="yes")
        assert yes == sum([*said, one])
        assert count(found, "lockstep_decisions_total", threshold=threshold, outcome="no") == (21 - yes or None)


def test_the_release_is_told(client: TestClient, released: Shop) -> None:
    """Which release answers, in how many workers, and that the registry was read just now."""
    found = samples_of(client.get("/metrics").text)
    digest = released.registry.state().production("shop").digest
    assert count(found, "lockstep_release_info", group="shop", release=digest) == 1
    assert count(found, "lockstep_release_workers", group="shop", release=digest) == 1
    assert count(found, "lockstep_workers") == 1
    assert 0 <= count(found, "lockstep_registry_read_age_seconds") < 60


def test_a_board_of_one() -> None:
    """A worker that is alone shows what it posted last."""
    board = OwnBoard()
    assert board.views() == []
    board.post(View(releases={"shop": "a"}))
    board.post(View(releases={"shop": "b"}))
    assert board.views() == [View(releases={"shop": "b"})]


def test_a_board_forgets_who_is_gone(tmp_path: Path) -> None:
    """What a worker posted is there while its lock is held, and is cleared away afterwards."""
    board = SharedBoard(tmp_path)
    view = View(releases={"shop": "a"}, failing=("shop",), read=3.5, states={"log_waiting_rows": 7})
    board.post(view)
    other = tmp_path / "worker-0.json"
    other.write_bytes((next(tmp_path.glob("worker-*.json"))).read_bytes())
    other.with_suffix(".lock").touch()
    assert board.views() == [view]
    assert not other.exists()
    assert board.views() == [view]
    board.leave()
    assert board.views() == []
    assert list(tmp_path.iterdir()) == []
