"""The segment of each row: the value of the column that a threshold has values of its own for.

Rules:
- A segment is a text, an int or a bool, or None where the column is blank; so it goes through JSON unchanged.
- Tuning, the decision diff and services take it from the cleaned rows.
"""

from typing import Any, Final

import polars as pl

from lockstep.errors import DataError

MOST: Final = 200  # different segments of one threshold
_TEXTS: Final = (pl.String, pl.Categorical, pl.Enum)


def segments_of(rows: pl.DataFrame, per: str | None, threshold: str) -> list[Any] | None:
    """The values of column `per` (n); None where the rows are decided alike.

    Args:
        rows: as `clean` returned them.
        per: the column.
        threshold: whose segments they are, for the message.

    Raises:
        DataError: the column is not there, or holds other values.
    """
    if per is None:
        return None
    if per not in rows.columns:
        raise DataError(
            f'Threshold "{threshold}": per="{per}" is not among the columns of the cleaned rows'
            f" ({', '.join(rows.columns)}). Add it in clean, or name another column."
        )
    dtype = rows.schema[per]
    if not (isinstance(dtype, _TEXTS) or dtype == pl.Boolean or dtype.is_integer()):
        raise DataError(
            f'Threshold "{threshold}": per="{per}" is a {dtype} column; rows are parted by texts, ints or bools. Make'
            " it one of these in clean."
        )
    return rows[per].to_list()
