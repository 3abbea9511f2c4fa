"""What counts as drift: far enough, and sure enough, of rows enough."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from lockstep.errors import DeclarationError
from lockstep.monitoring import DriftReport, Limits, Verdict, measure_rows
from lockstep.monitoring.verdicts import judge


def rows(
    dice: np.random.Generator, count: int, *, shift: float = 0.0, yes: float = 0.3, start: int = 0
) -> pl.DataFrame:
    """Draw rows of a number, a word and a label."""
    return pl.DataFrame(
        {
            "id": [f"r{start + number:07}" for number in range(count)],
            "x": dice.normal(shift, size=count),
            "word": dice.choice(["a", "b", "c"], count),
            "label": dice.random(count) < yes,
        }
    )


def held(one: pl.DataFrame, other: pl.DataFrame, **limits: float) -> DriftReport:
    """Hold rows against rows."""
    return measure_rows(one, other, dataset="rows", key="id", labels=["label"], limits=Limits(**limits))


def test_a_million_rows_do_not_alarm_for_nothing(dice: np.random.Generator) -> None:
    """A shift of a fiftieth of a deviation is sure among half a million rows, and no drift."""
    one, other = rows(dice, 500_000), rows(dice, 500_000, shift=0.06, yes=0.31, start=600_000)
    report = held(one, other)
    assert report.column("label").p_corrected is not None
    assert report.column("label").p_corrected < 1e-9
    assert report.column("x").p_corrected is not None
    assert report.column("x").p_corrected < 1e-3
    assert {column.verdict for column in report.columns} == {Verdict.QUIET}
    assert (report.verdict, report.says) == (Verdict.QUIET, "What is new (500000 rows) is as the reference was.")


def test_what_is_far_and_sure_has_drifted(dice: np.random.Generator) -> None:
    """A column that moves by half a deviation has drifted, and so has a label whose odds grow by two fifths."""
    report = held(rows(dice, 4_000), rows(dice, 4_000, shift=0.6, yes=0.38, start=5_000))
    assert report.verdict is Verdict.DRIFT
    assert {column.name: column.verdict for column in report.columns} == {
        "x": Verdict.DRIFT,
        "word": Verdict.QUIET,
        "label": Verdict.DRIFT,
    }
    assert report.says == "What is new (4000 rows) is not what the reference was: label label; column x."
    assert "above" in report.column("x").says
    assert report.column("x").says.startswith("Column x has drifted: ")


def test_a_rare_label_that_doubles_has_drifted() -> None:
    """From two of a hundred to four is drift of the label, either way, and from two to a tenth more is none."""
    dice = np.random.default_rng(1)
    many = {yes: rows(dice, 20_000, yes=yes, start=int(yes * 1e6)) for yes in (0.02, 0.022, 0.04)}
    assert held(many[0.02], many[0.022]).column("label").verdict is Verdict.QUIET
    found = held(many[0.02], many[0.04])
    assert (found.verdict, found.column("label").verdict) == (Verdict.DRIFT, Verdict.DRIFT)
    assert "(odds × 1.88, " in found.column("label").says
    assert "(odds × 0.53, " in held(many[0.04], many[0.02]).column("label").says
    assert held(many[0.02], many[0.04], odds=3.0).verdict is Verdict.QUIET


def test_the_class_that_changes_most_surely_is_named(dice: np.random.Generator) -> None:
    """Of several classes it is the one that grew for no chance, though another one's share changes by more points."""
    shares = ([0.48, 0.5, 0.01, 0.01], [0.49, 0.48, 0.02, 0.01])
    sides = [
        rows(dice, 4_000, start=start).with_columns(
            label=pl.Series(
                np.repeat(["large", "larger", "rare", "other"], np.rint(4_000 * np.asarray(share)).astype(int))
            )
        )
        for start, share in zip((0, 5_000), shares, strict=True)
    ]
    says = held(*sides).column("label").says
    assert says.startswith("Label label has drifted: rare went from 1.0 % of the rows to 2.0 % (odds × 2.0")


def test_what_moves_some_is_worth_a_look(dice: np.random.Generator) -> None:
    """Between both limits a column has moved, which is no drift."""
    report = held(rows(dice, 4_000), rows(dice, 4_000, shift=0.37, start=5_000))
    assert (report.column("x").verdict, report.verdict) == (Verdict.MOVED, Verdict.MOVED)
    assert report.says.endswith("what moved does not matter much, or not by much: column x.")


def test_what_the_models_hardly_look_at_does_not_count(dice: np.random.Generator) -> None:
    """With weights, a column below `important` is named, and makes no drift of the whole."""
    report = held(rows(dice, 4_000), rows(dice, 4_000, shift=0.6, start=5_000), auc=0.99)
    for weight, verdict in ((0.01, Verdict.MOVED), (0.02, Verdict.DRIFT)):
        weighted = replace(report, columns=tuple(replace(column, weight=weight) for column in report.columns))
        assert judge(weighted).verdict is verdict
        assert judge(weighted).weights == {"x": weight, "word": weight, "label": weight}


def test_too_few_rows(dice: np.random.Generator) -> None:
    """Below the least number no figure is given, however far apart the rows are."""
    report = held(rows(dice, 1_000), rows(dice, 199, shift=3, start=5_000))
    assert {column.verdict for column in report.columns} == {Verdict.TOO_FEW}
    assert (report.column("x").psi, report.column("x").p, report.classifier.auc) == (None, None, None)
    assert report.column("x").says == "Column x: too few rows (1000 and 199; 200 are needed on each side)."
    assert report.verdict is Verdict.TOO_FEW
    assert report.says == "There are too few rows to hold what is new (199 rows) against the reference (1000 rows)."


def test_few_rows_alarm_no_more_often_than_is_allowed() -> None:
    """Of a hundred pairs of two hundred and fifty equal rows, none is said to drift at the default limits."""
    found = []
    for seed in range(100):
        dice = np.random.default_rng(seed)
        found.append(held(rows(dice, 250), rows(dice, 250, start=5_000), sample=200).verdict)
    assert found.count(Verdict.DRIFT) <= 3  # alpha is a hundredth; more than three come up twice in a hundred times


def test_texts_that_name_rows_and_dates_are_not_compared(dice: np.random.Generator) -> None:
    """Both always differ, so that a distance would say nothing."""
    sides = [
        rows(dice, 400, start=start).with_columns(
            note=pl.format("note {}", pl.int_range(pl.len()) + start),
            day=pl.Series([f"2026-0{start // 1_000 + 1}-01"] * 400).str.to_date(),
        )
        for start in (0, 1_000)
    ]
    report = held(*sides)
    assert {report.column(name).verdict for name in ("note", "day")} == {Verdict.UNKNOWN}
    assert "nearly all its values are different" in report.column("note").says
    assert "holds dates" in report.column("day").says
    assert report.verdict is Verdict.QUIET


def test_a_label_that_is_not_known_yet_is_no_blank(dice: np.random.Generator) -> None:
    """Labels are compared among the rows that have one; where none has, that is said."""
    one, other = rows(dice, 900), rows(dice, 900, start=5_000)
    is_old = pl.int_range(pl.len()) < 400
    some = other.with_columns(label=pl.when(is_old).then("label"))
    report = held(one, some)
    assert (report.column("label").rows, report.column("label").verdict) == ((900, 400), Verdict.QUIET)
    none = held(one, other.with_columns(label=pl.lit(None, pl.Boolean)))
    assert (none.column("label").verdict, none.verdict) == (Verdict.UNKNOWN, Verdict.QUIET)
    assert none.column("label").says == "Label label: the current rows don't say it, and need not."


def test_columns_of_one_side_are_named(dice: np.random.Generator) -> None:
    """They can't be compared, and the others are."""
    report = held(rows(dice, 400), rows(dice, 400, start=5_000).rename({"word": "words"}))
    assert report.missing == ("word", "words")
    assert [column.name for column in report.columns] == ["x", "label"]
    with pytest.raises(KeyError):
        report.column("word")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"alpha": 0.0}, "Limits: alpha=0.0 is no limit; it is above 0, and below 1."),
        ({"auc": 0.5}, "Limits: auc=0.5 is no limit; it is above 0.5, and below 1."),
        ({"psi": float("nan")}, "Limits: psi=nan is no limit; it is above 0, and any number."),
        ({"psi": -1.0}, "Limits: psi=-1.0 is no limit; it is above 0, and any number."),
        ({"moved": 0.3}, "Limits: moved=0.3 is above psi=0.2, but what drifts has moved; lower it."),
        ({"odds": 1.0}, "Limits: odds=1.0 is no limit; it is above 1, and any number."),
        ({"rows": 5}, "Limits: rows=5 is too few; it is 20 or more."),
        ({"important": 1.0}, "Limits: important=1.0 is a share: 0 or more, and below 1."),
    ],
)
def test_limits_that_can_not_be(limits: dict[str, float], message: str) -> None:
    """A limit that nothing or everything would reach is refused when it is declared."""
    with pytest.raises(DeclarationError) as caught:
        Limits(**limits)
    assert str(caught.value) == message
