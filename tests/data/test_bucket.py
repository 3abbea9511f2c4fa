"""One bucket of a snapshot: unique, sorted, cleaned and split."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lockstep.data.bucket import RAW, clean_rows, make_bucket
from lockstep.data.rows import REASON, parse_rows
from lockstep.data.split import SPLIT, hash_keys, split_of
from lockstep.declare import Dataset, by_hash
from lockstep.errors import DataError
from lockstep.source import csv

Json = Callable[..., str]
WRONG_KEYS = "it doubled keys or made some up."


def without_small(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is below 10, and add its double."""
    return rows.filter(pl.col("n") >= 10).with_columns(double=pl.col("n") * 2)


def backwards(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in another order."""
    return rows.sort("id", descending=True)


def failing(rows: pl.DataFrame) -> pl.DataFrame:
    """Ask for a column that is not there."""
    raise LookupError(f"no tariff for {rows.height} customers")


def lazy(rows: pl.DataFrame) -> Any:  # noqa: ANN401  on purpose not what is declared
    """Return no frame."""
    return rows.lazy()


def without_key(rows: pl.DataFrame) -> pl.DataFrame:
    """Lose the key."""
    return rows.drop("id")


def doubling(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each row twice."""
    return pl.concat([rows, rows])


def inventing(rows: pl.DataFrame) -> pl.DataFrame:
    """Rename the keys."""
    return rows.with_columns(pl.col("id") + "!")


def forgetting(rows: pl.DataFrame) -> pl.DataFrame:
    """Lose one key's value."""
    return rows.with_columns(pl.when(pl.col("id") != "a").then("id"))


def retyping(rows: pl.DataFrame) -> pl.DataFrame:
    """Make the keys into numbers."""
    return rows.with_columns(id=pl.int_range(pl.len()))


def underscoring(rows: pl.DataFrame) -> pl.DataFrame:
    """Use names that are Lockstep's."""
    return rows.with_columns(_split=pl.lit("train"), _age=pl.lit(1))


def dataset(clean: Any = None) -> Dataset:  # noqa: ANN401  also what is not allowed
    """A dataset of ids and numbers."""
    split = by_hash(test=0.2, validation=0.2)
    return Dataset("things", source=csv("*.csv"), key="id", columns={"n": int}, clean=clean, split=split)


def numbered(*rows: tuple[str, int]) -> pl.DataFrame:
    """Parsed rows from lines 2, 3, … of one file."""
    frame = pl.DataFrame(rows, schema={"id": pl.String, "n": pl.Int64}, orient="row")
    lines = pl.int_range(2, frame.height + 2, dtype=pl.Int64)
    return frame.with_columns(hash_keys(frame["id"]), _file=pl.lit("f.csv"), _line=lines)


def test_rows_are_sorted_and_split() -> None:
    """The rows kept are sorted by key, and each carries the split that its key's hash says."""
    made = make_bucket(dataset(backwards), numbered(("c", 3), ("a", 1), ("b", 2)))
    assert made.kept.select("id", "n").rows() == [("a", 1), ("b", 2), ("c", 3)]
    assert made.kept[SPLIT].to_list() == split_of(hash_keys(made.kept["id"]), dataset().split).to_list()
    assert made.bad.is_empty()


def test_a_repeated_row_is_kept_once(as_json: Json) -> None:
    """A row that stands there again with the same content is kept once, and its later lines are set aside."""
    made = make_bucket(dataset(), numbered(("a", 1), ("b", 2), ("a", 1), ("a", 1)))
    assert made.kept.select("id", "n").rows() == [("a", 1), ("b", 2)]
    reason = 'id: key "a" stands here again, with the same content'
    assert made.bad.rows() == [("f.csv", line, reason, as_json(id="a", n=1)) for line in (4, 5)]


def test_conflicting_rows_are_all_set_aside(as_json: Json) -> None:
    """Of rows with one key and different content none is kept, since nobody can say which is right."""
    made = make_bucket(dataset(), numbered(("a", 1), ("b", 2), ("a", 3), ("a", 1)))
    assert made.kept.select("id", "n").rows() == [("b", 2)]
    reason = 'id: key "a" stands 3 times, with different content'
    assert sorted(made.bad.rows()) == [
        ("f.csv", 2, reason, as_json(id="a", n=1)),
        ("f.csv", 4, reason, as_json(id="a", n=3)),
        ("f.csv", 5, reason, as_json(id="a", n=1)),
    ]


@pytest.mark.parametrize(
    ("kind", "one", "two"), [(int, 1, 2), (float, 0.5, 1.5), (bool, True, False), (date, date(2026, 1, 1), date.max)]
)
def test_keys_of_any_type(kind: type, one: object, two: object) -> None:
    """Repeated and conflicting keys are found whatever the type of the key."""
    declared = Dataset("things", source=csv("*.csv"), key="id", columns={"id": kind, "n": int})
    rows = pl.DataFrame({"id": [one, two, one, two], "n": [1, 2, 1, 3], "_file": ["f"] * 4, "_line": [2, 3, 4, 5]})
    made = make_bucket(declared, rows.with_columns(hash_keys(rows["id"])))
    assert made.kept.select("id", "n").rows() == [(one, 1)]
    assert sorted(made.bad["_line"]) == [3, 4, 5]


def test_rows_left_out_by_clean_are_set_aside(as_json: Json) -> None:
    """What `clean` leaves out stands in the quarantine with its name, as it was before cleaning."""
    made = make_bucket(dataset(without_small), numbered(("a", 1), ("b", 20)))
    assert made.kept.select("id", "n", "double").rows() == [("b", 20, 40)]
    assert made.bad.rows() == [("f.csv", 2, "left out by without_small", as_json(id="a", n=1))]


def test_nothing_is_lost() -> None:
    """Rows in are rows kept and rows set aside, each once, in whatever order they come, and the result is the same."""
    rows = numbered(*[(f"k{n % 40}", n % 40 if n < 70 else n) for n in range(100)])
    made = make_bucket(dataset(without_small), rows)
    assert made.kept.height + made.bad.height == rows.height
    assert 0 < made.kept.height < 40
    lines = rows["_line"].to_list()
    Random(7).shuffle(lines)  # noqa: S311  an order, not a secret
    again = make_bucket(dataset(without_small), rows[[line - 2 for line in lines]])
    assert_frame_equal(again.kept, made.kept)
    assert_frame_equal(again.bad, made.bad)


def test_clean_runs_on_one_row_as_on_many() -> None:
    """One row for a decision goes through `clean` as it does among many."""
    schema = dataset().schema
    rows = parse_rows(pl.DataFrame({"id": ["a", "b"], "n": ["10", "20"]}), schema).good
    together = clean_rows(dataset(without_small), rows)
    alone = [clean_rows(dataset(without_small), rows[[row]]) for row in range(2)]
    assert_frame_equal(pl.concat(alone), together)


def test_without_clean_rows_stay_as_they_are() -> None:
    """A dataset that declares no `clean` keeps its rows as they were parsed."""
    rows = pl.DataFrame({"id": ["a"], "n": [1]})
    assert clean_rows(dataset(), rows) is rows


@pytest.mark.parametrize(
    ("clean", "message"),
    [
        (
            failing,
            "failing failed on 2 rows: LookupError: no tariff for 2 customers. It gets the declared columns (id, n).",
        ),
        (lazy, 'lazy must return a polars DataFrame that keeps the key "id".'),
        (without_key, 'without_key must return a polars DataFrame that keeps the key "id".'),
        (underscoring, "underscoring returned _split, _age; a leading underscore is ours."),
        *(
            (
                clean,
                f"{clean.__name__} must return at most one row for each row it gets, with its key; {WRONG_KEYS}",
            )
            for clean in (doubling, inventing, forgetting, retyping)
        ),
    ],
)
def test_a_wrong_clean_is_named(clean: object, message: str) -> None:
    """A `clean` that raises, returns no frame with its keys, or takes our names ends in an error that says so."""
    with pytest.raises(DataError) as caught:
        make_bucket(dataset(clean), numbered(("a", 1), ("b", 2)))
    assert str(caught.value) == f'Dataset "things": {message}'


def test_the_cause_is_kept() -> None:
    """The error that `clean` raised stays the cause of ours, for whoever looks for the line."""
    with pytest.raises(DataError) as caught:
        make_bucket(dataset(failing), numbered(("a", 1)))
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_bucket_of_bad_rows_only(as_json: Json) -> None:
    """Where every row is in conflict, `clean` gets no rows, and nothing is kept."""
    made = make_bucket(replace(dataset(without_small), name="others"), numbered(("a", 10), ("a", 20)))
    assert made.kept.is_empty()
    assert made.bad[RAW].to_list() == [as_json(id="a", n=10), as_json(id="a", n=20)]
    assert made.bad[REASON].n_unique() == 1
