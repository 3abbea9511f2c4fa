"""The domain classifier finds what hangs together in another way, and nothing where nothing changed."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from lockstep.monitoring.classifier import area_under_curve, tell_apart


def frame(dice: np.random.Generator, rows: int, sign: int = 1) -> pl.DataFrame:
    """Draw rows of which each column is always spread alike; `sign` says how two of them go together."""
    x = dice.normal(size=rows)
    return pl.DataFrame(
        {
            "x": x,
            "y": sign * x + dice.normal(scale=0.5, size=rows),
            "word": dice.choice(["a", "b", "c"], rows),
            "flag": dice.random(rows) < 0.3,
            "day": pl.Series(["2026-01-01"] * rows).str.to_date(),
            "name": [f"n{number}" for number in range(rows)],
        }
    ).with_columns(x=pl.when(pl.col("flag")).then(None).otherwise("x"))


COLUMNS = ["x", "y", "word", "flag", "day", "name", "gone"]


def test_area_under_curve(dice: np.random.Generator) -> None:
    """The AUC is scikit-learn's, with ties too; its variance is that of as many samples drawn again."""
    drawn = [(dice.normal(size=80).round(1), dice.normal(0.8, size=120).round(1)) for _ in range(400)]
    found = [area_under_curve(low, high) for low, high in drawn]
    for (low, high), (auc, _, _) in zip(drawn[:20], found, strict=False):
        assert auc == pytest.approx(roc_auc_score([0] * 80 + [1] * 120, np.concatenate([low, high])))
    assert np.mean([variance for _, variance, _ in found]) == pytest.approx(
        np.var([auc for auc, _, _ in found]), rel=0.2
    )


def test_variance_by_chance(dice: np.random.Generator) -> None:
    """Of scores that know nothing, the variance is that of as many samples drawn again, with ties too."""
    found = [area_under_curve(dice.integers(0, 6, 80), dice.integers(0, 6, 120)) for _ in range(600)]
    assert np.mean([by_chance for _, _, by_chance in found]) == pytest.approx(
        np.var([auc for auc, _, _ in found]), rel=0.2
    )


def test_what_hangs_together_otherwise_is_found(dice: np.random.Generator) -> None:
    """Two columns that are each spread as they were, and go together the other way round, are told apart."""
    found = tell_apart(frame(dice, 800), frame(dice, 700, sign=-1), COLUMNS, 200)
    assert found.columns == ("x", "y", "word", "flag")
    assert found.auc is not None
    assert found.interval is not None
    assert 0.75 < found.interval[0] < found.auc < found.interval[1] <= 1
    assert found.p is not None
    assert found.p < 1e-9


def test_equal_rows_raise_no_alarm() -> None:
    """Of thirty pairs that were drawn alike, no more than chance allows have a p value below a tenth."""
    found = [
        tell_apart(
            frame(np.random.default_rng(seed), 220), frame(np.random.default_rng(1_000 + seed), 260), COLUMNS, 200
        )
        for seed in range(30)
    ]
    p = [one.p for one in found if one.p is not None]
    assert len(p) == 30
    assert sum(value < 0.1 for value in p) <= 8  # of 30, more than 8 come up once in two hundred times
    assert min(p) > 0.01 / 30


def test_the_same_rows_give_the_same_figures(dice: np.random.Generator) -> None:
    """Chance comes from a fixed seed."""
    one, other = frame(dice, 300), frame(dice, 300)
    assert tell_apart(one, other, COLUMNS, 200) == tell_apart(one, other, COLUMNS, 200)


def test_too_little_to_tell(dice: np.random.Generator) -> None:
    """Of too few rows nothing is said, and where no column can be used, the reason."""
    assert tell_apart(frame(dice, 199), frame(dice, 300), COLUMNS, 200).p is None
    nothing = tell_apart(frame(dice, 300), frame(dice, 300), ["day", "name"], 200)
    assert (nothing.p, nothing.columns) == (None, ())
    assert nothing.says.startswith("No column can be given to a classifier")
