"""The content digest of a frame: equal for equal columns, types and values, whatever library wrote or holds them.

Rules:
- It depends on the names, types, order of columns, order of rows and values; not on chunks, memory behind nulls, or
  file formats.
"""

from hashlib import sha256

import numpy as np
import polars as pl

from lockstep.errors import DataError


def content_digest(frame: pl.DataFrame) -> str:
    """SHA-256, in hex, over the columns of a frame (shape n × k).

    For each column: its name, type, n, the validity of each row, and the values with nulls as zero: numbers and dates
    as little-endian bytes, text as lengths and UTF-8.

    Raises:
        DataError: a column is neither a number of up to 64 bits, bool, text, date nor time.
    """
    total = sha256()
    for column in frame.get_columns():
        total.update(f"{column.name}\0{_type_name(column)}\0{len(column)}\0".encode())
        total.update(column.is_not_null().to_numpy().tobytes())
        if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
            for data in _lengths_and_bytes(column.cast(pl.String)):
                total.update(data)
        else:
            numbers = column.to_physical()
            numbers = numbers.fill_null(value=False) if numbers.dtype == pl.Boolean else numbers.fill_null(0)
            values = numbers.to_numpy()
            total.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def _lengths_and_bytes(text: pl.Series) -> tuple[memoryview, memoryview]:
    """The length of each text as four bytes, and the UTF-8 of all of them behind each other."""
    array = (text.fill_null("") if text.null_count() else text).to_arrow(compat_level=pl.CompatLevel.oldest())
    _, places, data = array.buffers()
    ends = np.frombuffer(places, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(ends).astype("<u4")
    return lengths.data, memoryview(data or b"")[ends[0] : ends[-1]]


def _type_name(column: pl.Series) -> str:
    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        return "String"
    is_foreign = isinstance(column.dtype, pl.Decimal | pl.Int128 | pl.UInt128 | pl.Duration)
    if not is_foreign and (column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.Boolean):
        return str(column.dtype)
    raise DataError(
        f'Column "{column.name}" has type {column.dtype}; a snapshot keeps numbers of up to 64 bits, bools, texts,'
        " dates and times. Change what clean returns."
    )
