"""Splits and buckets by a stable hash of the key."""

from itertools import product

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.split import BUCKETS, SPLIT, bucket_of, hash_keys, split_of
from lockstep.declare import HashSplit, by_hash

SHARES = by_hash(test=0.2, validation=0.2)

# Never to be changed: a key that moved to another split would leak from training into a test.
KNOWN = [
    ("7590-VHVEG", 9650398410872977797, "train", 5),
    ("5575-GNVDE", 14608201143304273749, "train", 5),
    ("ä", 17315702723226345529, "train", 9),
    ("0", 9523843951405948789, "train", 5),
    ("1", 17797172410793473910, "train", 6),
    ("2", 2014268979504181100, "test", 12),
    ("customer 7", 2100499545647571724, "test", 12),
]


def splits_of(keys: list[str], shares: HashSplit = SHARES) -> dict[str, str]:
    """Key → split."""
    return dict(zip(keys, split_of(hash_keys(pl.Series(keys, dtype=pl.String)), shares), strict=True))


def test_hash_split_and_bucket_never_change() -> None:
    """Known keys have the hash, the split and the bucket that they have always had."""
    hashes = hash_keys(pl.Series([key for key, *_ in KNOWN]))
    found = zip([key for key, *_ in KNOWN], hashes, split_of(hashes, SHARES), bucket_of(hashes), strict=True)
    assert list(found) == KNOWN


def test_a_number_is_hashed_as_its_text() -> None:
    """A key declared as a number falls where its text would."""
    assert hash_keys(pl.Series([0, 1, 2])).to_list() == hash_keys(pl.Series(["0", "1", "2"])).to_list()


@pytest.mark.parametrize("shares", [SHARES, by_hash(test=0.05, validation=0.5)])
def test_shares_are_about_right(shares: HashSplit) -> None:
    """Of many keys each split gets its share, to within one percent."""
    splits = pl.Series(SPLIT, list(splits_of([f"key {n}" for n in range(20_000)], shares).values()))
    found = dict(splits.value_counts(normalize=True).rows())
    expected = {"test": shares.test, "validation": shares.validation, "train": 1 - shares.test - shares.validation}
    assert found == pytest.approx(expected, abs=0.01)


def test_each_bucket_is_split_alike() -> None:
    """Bucket and split have nothing to do with each other: each pair is as common as its shares say."""
    hashes = hash_keys(pl.Series([f"key {n}" for n in range(40_000)]))
    pairs = pl.DataFrame([bucket_of(hashes), split_of(hashes, SHARES)]).group_by(pl.all()).len()
    assert set(pairs.select("_bucket", SPLIT).rows()) == set(product(range(BUCKETS), ["test", "validation", "train"]))
    tests = pairs.filter(pl.col(SPLIT) == "test")["len"]
    assert all(count == pytest.approx(500, abs=100) for count in tests)


@given(st.lists(st.text(), unique=True), st.lists(st.text(), unique=True))
def test_a_key_stays_in_its_split(keys: list[str], others: list[str]) -> None:
    """A key's split depends on nothing but the key, whatever other rows come, go or stand before it."""
    together = splits_of([*others, *(key for key in keys if key not in others)])
    assert splits_of(keys).items() <= together.items()
