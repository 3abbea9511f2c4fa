"""Which split a row belongs to, and which bucket: both by a stable hash of its key.

Rules:
- The hash is BLAKE2b of the key's UTF-8 text, so it is the same in every process and in every version of any library.
- A key is in one split in all snapshots that declare the same shares.
- How many buckets there are follows from the number of usable rows alone. Where there are twice as many, each is one
  half of one before.
"""

from hashlib import blake2b
from typing import Final

import numpy as np
import polars as pl

from lockstep.declare import HashSplit

SPLIT: Final = "_split"
HASH: Final = "_hash"
BUCKETS: Final = 16  # at least; the content digest of a snapshot is made of its buckets' digests
FULL: Final = 1 << 17  # rows of a bucket, on average, from which on there are twice as many buckets
_RANGE: Final = 2**64


def hash_keys(keys: pl.Series) -> pl.Series:
    """One unsigned 64-bit hash for each key (text or numbers, shape n)."""
    texts = keys.cast(pl.String).cast(pl.Binary).to_list()
    hashes = b"".join([blake2b(text, digest_size=8).digest() for text in texts])
    return pl.Series(HASH, np.frombuffer(hashes, dtype=">u8").astype(np.uint64))


def buckets_of(rows: int) -> int:
    """How many buckets a snapshot of so many usable rows has: 16, or the power of two that keeps them below `FULL`."""
    return max(BUCKETS, 1 << (-(-rows // FULL) - 1).bit_length())


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


def bucket_of(hashes: pl.Series, buckets: int = BUCKETS) -> pl.Series:
    """A bucket from 0 to `buckets` (a power of two) for each hash (shape n), independent of the split."""
    return (hashes & (buckets - 1)).cast(pl.UInt32).alias("_bucket")
