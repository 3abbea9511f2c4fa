"""A `clean` that fails, where workers in other processes find it."""

import polars as pl


def broken(rows: pl.DataFrame) -> pl.DataFrame:
    """Fail on whatever comes."""
    raise ZeroDivisionError(f"{rows.width} columns")
