"""Files of simulated customers, 21 columns, as CSV and as typed Parquet.

Rules:
- The same arguments give the same bytes. Ids are unique over all files.
"""

from pathlib import Path
from typing import Final

import polars as pl

from demo.simulate import simulate

MOST_IN_A_FILE: Final = 500_000
FORMATS: Final = ("csv", "parquet")


def write_customers(folder: Path, rows: int) -> None:
    """Write so many customers into `*.csv` and `*.parquet`, at least two files of each."""
    folder.mkdir(parents=True)
    files = max(2, -(-rows // MOST_IN_A_FILE))
    for number in range(files):
        customers = rows // files + (number < rows % files)
        text = simulate(1, customers, seed=number).with_columns(
            pl.format("{}-{}", "customerID", pl.lit(f"{number:03d}")).alias("customerID")
        )
        text.write_csv(folder / f"customers-{number:03d}.csv")
        numbers = [pl.col("MonthlyCharges", "TotalCharges").str.strip_chars().cast(pl.Float64, strict=False)]
        text.with_columns(*numbers, pl.col("tenure").cast(pl.Int64)).write_parquet(
            folder / f"customers-{number:03d}.parquet"
        )
