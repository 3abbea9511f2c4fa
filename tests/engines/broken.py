"""A `clean` that fails and a schema of pandera, where workers in other processes find them."""

from typing import Any

import polars as pl


def broken(rows: pl.DataFrame) -> pl.DataFrame:
    """Fail on whatever comes."""
    raise ZeroDivisionError(f"{rows.width} columns")


def no_fibre() -> Any:  # noqa: ANN401  a schema of pandera
    """Take nobody on fibre who pays more than 100."""
    import pandera.polars as pa

    def pays_less(data: Any) -> pl.LazyFrame:  # noqa: ANN401  pandera's
        is_fibre = pl.col("InternetService") == "Fiber optic"
        return data.lazyframe.select(~is_fibre | (pl.col("MonthlyCharges") <= 100))

    return pa.DataFrameSchema(checks=pa.Check(pays_less, name="pays_less"))
