"""Values that two keys share."""

import polars as pl

from lockstep import Dataset, csv, unique
from lockstep.data.doubles import shared_of, tally_of, unique_checks, values_of, view_of
from lockstep.data.split import HASH

COLUMNS = {"mail": str | None, "city": str, "age": int}
PEOPLE = Dataset(
    "people", source=csv("p.csv"), key="id", columns=COLUMNS, checks=[unique("mail"), unique("mail", "city")]
)


def rows(*lines: tuple[str, str | None, str]) -> pl.DataFrame:
    """People from lines 2, 3, … of one file."""
    frame = pl.DataFrame(lines, schema={"id": pl.String, "mail": pl.String, "city": pl.String}, orient="row")
    return frame.with_columns(_file=pl.lit("f"), _line=pl.int_range(2, frame.height + 2, dtype=pl.Int64))


def test_a_view_holds_what_the_check_needs() -> None:
    """Only the key and the columns of the check travel, rows with a blank among these do not, and equal values meet."""
    assert unique_checks(PEOPLE) == [0, 1]
    assert list(view_of(PEOPLE, 1).schema) == ["id", "mail", "city"]
    values = values_of(view_of(PEOPLE, 0), rows(("a", "m", "x"), ("b", None, "x"), ("c", "m", "y")))
    assert values["id"].to_list() == ["a", "c"]
    assert values[HASH].n_unique() == 1


def test_keys_that_share_a_value_are_counted() -> None:
    """Each key that shares its value with another is counted; a row that stands there twice is one key."""
    found = rows(("a", "m", "x"), ("b", "m", "y"), ("c", "o", "x"), ("c", "o", "x"))
    broken = tally_of(PEOPLE, 0, shared_of(PEOPLE, 0, found)).broken['unique("mail")']
    assert (broken.rows, broken.first) == (2, ("f", 2, 'mail: "m" stands with other keys, too'))
    assert tally_of(PEOPLE, 1, shared_of(PEOPLE, 1, found)).broken == {}
