"""Recent requests are decided on as a service would: whatever file they are in, with labels or without."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep.data.requests import open_requests
from lockstep.decisions import decision_diff
from lockstep.errors import DataError, UsageError
from lockstep.serving import Decider
from tests.decisions.conftest import graph
from tests.training import shop
from tests.training.conftest import Shop

LABELS = ["leaves", "plan", "basket", "buys"]  # `plan` and the like are features of some models


@pytest.fixture(scope="session")
def asked(shop_template: Path) -> pl.DataFrame:
    """What was asked lately: every row of the source, as text, without the label that no model learns from."""
    rows = pl.read_csv(shop_template / "data" / "shoppers" / "part.csv", infer_schema=False)
    return pl.concat([rows, rows.head(3)]).drop("leaves")  # three shoppers asked twice


def write(rows: pl.DataFrame, path: Path) -> str:
    """Write requests in the format that the file's name says."""
    if path.suffix == ".csv":
        rows.write_csv(path)
    elif path.suffix == ".parquet":
        rows.write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_dicts()) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["asked.csv", "asked.parquet", "asked.jsonl"])
def test_requests_get_the_decisions_of_the_service(
    changing: Shop, asked: pl.DataFrame, tmp_path: Path, name: str
) -> None:
    """The old side says yes as often as the service that answers the same rows, and what it refuses is left out."""
    diff = decision_diff(changing.registry, graph, "shop", requests={"shoppers": write(asked, tmp_path / name)})
    decider = Decider(changing.registry, [graph])
    decider.refresh()
    answers = {api: decider.decide(api, asked.to_dicts()) for api in ("offers", "calls", "baskets")}
    refused = sum("error" in answer for answer in answers["offers"])
    test, requests = diff.populations
    assert (test.kind, requests.kind, requests.source["file"]) == ("test", "requests", name)
    assert requests.rows == asked.height - refused
    assert refused > 10
    assert requests.left_out == {"left out by clean": refused}
    for api, given in answers.items():
        for threshold in graph.api(api).decides:
            yes = sum(answer["decisions"][threshold.name]["decision"] for answer in given if "error" not in answer)
            assert diff.threshold(threshold.name, "requests").old.yes.part == yes
    assert {split.kind for split in diff.splits} == {"test", "requests"}
    assert next(model for model in requests.models if model.name == "leaving").labelled == 0


def test_all_formats_are_the_same_rows(asked: pl.DataFrame, tmp_path: Path) -> None:
    """CSV, Parquet and JSON lines of the same requests are the same cleaned rows."""
    names = ["a.csv", "a.parquet", "a.jsonl"]
    read = [open_requests(shop.shoppers, write(asked, tmp_path / name), ["leaves"]).batches() for name in names]
    first, second, third = (pl.concat(list(frames)) for frames in read)
    assert first.equals(second)
    assert first.equals(third)


def test_what_can_not_be_used_is_counted_by_its_reason(asked: pl.DataFrame, tmp_path: Path) -> None:
    """Requests without a key get one; those that no service would take are left out, with how many and why."""
    rows = asked.head(6).with_columns(
        shopper=pl.Series(["", "x", "x", None, "y", "z"]),
        age=pl.Series(["30", "old", "very", "40", "", "50"]),
        region=pl.lit("north"),
    )
    requests = open_requests(shop.shoppers, write(rows, tmp_path / "some.csv"), ["leaves"])
    kept = pl.concat(list(requests.batches()))
    assert kept["shopper"].to_list() == ["request 1", "request 4", "z"]
    assert requests.left_out == {"age: … is not an int": 2, "age: blank, an int is needed": 1}


WithPath = Callable[[Path], str]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda folder: str(folder / "asked.xlsx"),
            UsageError,
            r"its end, which is one of \.csv, \.parquet, \.pq, \.js",
        ),
        (lambda folder: str(folder / "nothing.csv"), DataError, "no file matches"),
        (lambda folder: _text(folder / "a.csv", "shopper,age\ns1,30\n"), DataError, "Columns visits, spend, region,"),
        (lambda folder: _text(folder / "a.csv", ""), DataError, "is empty; a CSV file has a header line"),
        (lambda folder: _text(folder / "a.jsonl", '{"age": 30}\n{"age"\n'), DataError, "line 2: this is no JSON"),
        (
            lambda folder: _text(folder / "a.jsonl", "[1]\n"),
            DataError,
            "line 1: this is no JSON object. Write one a li",
        ),
        (lambda folder: _text(folder / "a.parquet", "no"), DataError, "can't be read as Parquet"),
    ],
)
def test_a_file_that_can_not_be_read_is_told(
    tmp_path: Path, make: WithPath, error: type[Exception], message: str
) -> None:
    """Whatever is wrong with the file is said in a sentence that names it."""
    with pytest.raises(error, match=message):
        list(open_requests(shop.shoppers, make(tmp_path), ["leaves"]).batches())


def _text(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


PROGRAM = """
import sys
from pathlib import Path
import polars as pl
from lockstep.data import SPLIT
from lockstep.decisions import decision_diff
from lockstep.registry import Registry
from tests.decisions.conftest import graph

diff = decision_diff(Registry.open(sys.argv[1]), graph, "shop", requests={"shoppers": sys.argv[2]})
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(diff.populations[1].rows, int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the highest memory of a process")
def test_memory_does_not_grow_with_the_rows(changing: Shop, asked: pl.DataFrame, tmp_path: Path) -> None:
    """Three times as many requests need hardly more memory, once there are more than the reader holds at a time."""
    many = pl.concat([asked] * 100).with_columns(shopper=pl.format("{}-{}", "shopper", pl.int_range(pl.len())))
    found: dict[int, Any] = {}
    for times in (4, 12):
        path = tmp_path / f"{times}.csv"
        pl.concat([many] * times).write_csv(path)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, changing.registry.uri, str(path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        rows, peak = map(int, done.stdout.split())
        found[rows] = peak
    few, plenty = found
    assert plenty == 3 * few > 400_000
    assert found[plenty] < found[few] + 80  # MB; seen: 44, at 4,200,000 rows 170, where the rows alone would be 1,400
