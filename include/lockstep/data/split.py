"""Which split a row belongs to, and which bucket: both by a stable hash of its key.

Rules:
- The hash is BLAKE2b of the key's UTF-8 text, so it is the same in every process and in every version of any library.
- A key is in one split and one bucket in all snapshots that declare the same shares.
"""

from hashlib import blake2b
from typing import Final

import polars as pl

from lockstep.declare import HashSplit

SPLIT: Final = "_split"
BUCKETS: Final = 16  # fixed: the content digest of a snapshot is made of its buckets' digests
_RANGE: Final = 2**64


def hash_keys(keys: pl.Series) -> pl.Series:
    """One unsigned 64-bit hash for each key (text or numbers, shape n)."""
    hashes = [int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) for key in keys.cast(pl.String)]
    return pl.Series("hash", hashes, dtype=pl.UInt64)


def split_of(hashes: pl.Series, split: HashSplit) -> pl.Series:
    """Say "test", "validation" or "train" for each hash (shape n)."""
    test, validation = round(split.test * _RANGE), round((split.test + split.validation) * _RANGE)
    frame = pl.DataFrame({"hash": hashes})
    return frame.select(
        pl.when(pl.col("hash") < test)
        .then(pl.lit("test"))
        .when(pl.col("hash") < validation)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
        .alias(SPLIT)
    ).to_series()


def bucket_of(hashes: pl.Series) -> pl.Series:
    """A bucket from 0 to 15 for each hash (shape n), independent of the split."""
    return (hashes % BUCKETS).cast(pl.UInt8).alias("_bucket")
