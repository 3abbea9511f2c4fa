"""A model answers through ONNX Runtime only where that was shown to predict the same."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from lockstep.declare import Task
from lockstep.registry import files_of, read_manifest
from lockstep.training import Predictor, load_model, load_scorer
from lockstep.training.convert import TOLERANCE, Converted, convert
from lockstep.training.portable import ONNX_FILE, Plain, Portable, open_session
from tests.training import shop
from tests.training.conftest import Declare, Shop

pytest.importorskip("skl2onnx", reason='needs the extra "onnx": pip install -e ".[onnx]"')
pytest.importorskip("onnxruntime", reason='needs the extra "onnx": pip install -e ".[onnx]"')

ROWS = 600
NUMBERS, WORDS = ["age", "spend"], ["plan", "region"]


def people(seed: int = 1) -> pl.DataFrame:
    """Make up rows with numbers, words and a target that hangs on them."""
    draw = np.random.default_rng(seed)
    age, spend = draw.integers(18, 80, ROWS), draw.uniform(1, 100, ROWS)
    plan, region = draw.choice(["basic", "gold", "silver"], ROWS), draw.choice(["north", "south"], ROWS)
    leaves = spend - age + 30 * (plan == "gold") + draw.normal(0, 20, ROWS) > 0
    return pl.DataFrame({"age": age, "spend": spend, "plan": plan, "region": region, "leaves": leaves})


def columns(numbers: BaseEstimator | str, words: BaseEstimator) -> ColumnTransformer:
    """Send numbers and words through their own transformers."""
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("words", words, WORDS)])


def one_hot(unknown: str = "ignore") -> OneHotEncoder:
    """Encode words."""
    return OneHotEncoder(handle_unknown=unknown, sparse_output=False)


def logistic() -> Pipeline:
    """The usual pipeline."""
    return make_pipeline(columns(StandardScaler(), one_hot()), LogisticRegression())


def converted(estimator: Pipeline, rows: pl.DataFrame, target: str = "leaves") -> tuple[Converted, Predictor]:
    """Fit on the first rows, and convert and compare on the last."""
    task = Task.REGRESSION if target == "spend" else Task.CLASSIFICATION
    features = rows.drop(target)
    half = rows.height // 2
    estimator.fit(features[:half], rows[target][:half].to_numpy())
    predictor = Predictor(
        name="leaving",
        digest="",
        task=task,
        features=tuple(features.columns),
        classes=tuple(getattr(estimator, "classes_", np.empty(0)).tolist()),
        estimator=estimator,
    )
    dtypes = {name: str(dtype) for name, dtype in features.schema.items()}
    return convert(predictor, dtypes, 1000, rows[half:], ()), predictor


def test_a_logistic_regression_agrees() -> None:
    """Scaled numbers and encoded words: equal to far less than is allowed, on every row of the test split."""
    found, _ = converted(logistic(), people())
    assert found.data is not None
    assert found.told["used"] is True
    assert 0 <= found.told["largest_difference"] < TOLERANCE / 100
    assert found.told["rows"] == ROWS // 2


def test_a_random_forest_differs_and_is_not_used() -> None:
    """Its splits are made of float32, so that rows beside a split fall on the other side."""
    forest = make_pipeline(columns(StandardScaler(), one_hot()), RandomForestClassifier(20, random_state=0))
    found, _ = converted(forest, people())
    assert found.data is None
    assert found.told["used"] is False
    assert found.told["reason"].startswith("its predictions differ from scikit-learn's by up to 0.")
    assert found.told["reason"].endswith("of the 300 rows of the test split; allowed is 1e-06")


def test_boosted_trees_with_native_categories_are_silently_wrong_and_not_used() -> None:
    """The converter takes them for numbers and says nothing; the comparison does."""
    words = ("words", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), WORDS)
    numbers = ("numbers", "passthrough", NUMBERS)
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features=[0, 1], random_state=0)
    found, _ = converted(make_pipeline(ColumnTransformer([words, numbers]), model), people())
    assert found.data is None
    assert found.told["used"] is False
    assert found.told["reason"].startswith("its predictions differ from scikit-learn's by up to 0.")


def test_a_regression_agrees() -> None:
    """The value is the one output."""
    rows = people().select("age", "plan", "region", "spend")
    line = ColumnTransformer([("numbers", StandardScaler(), ["age"]), ("words", one_hot(), WORDS)])
    found, _ = converted(make_pipeline(line, LinearRegression()), rows, "spend")
    assert found.told["used"] is True


@pytest.mark.parametrize(
    ("estimator", "rows", "reason"),
    [
        (
            lambda: make_pipeline(columns(StandardScaler(), one_hot("error")), LogisticRegression()),
            people,
            "scikit-learn refuses texts that it has not learned from (ValueError: Found unknown categories",
        ),
        (
            lambda: make_pipeline(shop.Numbers(), LogisticRegression()),
            people,
            "Pipeline can't be converted: MissingShapeCalculator: Unable to find a shape calculator for type",
        ),
        (
            logistic,
            lambda: people().with_columns(day=pl.date(2026, 11, 25)),
            "only numbers, bools and texts are converted, and day is Date",
        ),
    ],
    ids=["strict", "own type", "date"],
)
def test_what_can_not_be_used_says_why(
    estimator: Callable[[], Any], rows: Callable[[], pl.DataFrame], reason: str
) -> None:
    """Words that scikit-learn would refuse, types without a converter, columns that ONNX has no type for."""
    found, _ = converted(estimator(), rows())
    assert found.data is None
    assert found.told["used"] is False
    assert found.told["reason"].startswith(reason)


def test_a_large_model_is_not_converted() -> None:
    """The converter would take longer than training did."""
    _, predictor = converted(logistic(), people())
    found = convert(predictor, {"age": "Int64"}, 5 << 20, people(), ())
    assert found.told["reason"].startswith("the model file has 5,242,880 bytes, and the converter is too slow")


def test_without_a_test_split_nothing_is_shown() -> None:
    """Nothing can be compared, so scikit-learn answers."""
    rows = people()
    _, predictor = converted(logistic(), rows)
    dtypes = {name: str(rows.schema[name]) for name in predictor.features}
    found = convert(predictor, dtypes, 1000, rows[:0], ())
    assert found.told == {
        "used": False,
        "reason": "the test split has no row to compare ONNX Runtime with scikit-learn on",
    }


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training container without the converter trains all the same."""
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    found, _ = converted(logistic(), people())
    assert found.told["reason"] == (
        'the converter was not installed where the model was trained; install the extra "onnx" there'
    )


def test_rows_with_blanks_are_not_compared() -> None:
    """ONNX Runtime would not be asked about them, so they count neither for nor against it."""
    rows = people().with_columns(plan=pl.when(pl.col("age") % 7 > 0).then("plan"))
    found, _ = converted(logistic(), rows)
    assert (found.told["used"], found.told["rows"]) == (True, rows[ROWS // 2 :]["plan"].count())


def test_what_the_runtime_can_not_run_is_not_used() -> None:
    """The converter writes an operator that ONNX Runtime has for float32 alone."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    found, _ = converted(make_pipeline(columns(numbers, one_hot()), LogisticRegression()), people())
    assert found.told["reason"].startswith("ONNX Runtime can't use the converted file: NotImplemented: ")


CHILD = """
import hashlib, sys
from tests.training.test_portable import converted, logistic, people
print(hashlib.sha256(converted(logistic(), people())[0].data).hexdigest())
"""


def test_the_bytes_are_the_same_in_any_process() -> None:
    """They do not hang on the order of sets or on what was converted before."""
    said = {
        subprocess.run(
            [sys.executable, "-c", CHILD], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


def plain_classifier() -> Pipeline:
    """A pipeline of scikit-learn's own parts on some numbers of the shop."""
    return make_pipeline(
        ColumnTransformer([("numbers", StandardScaler(), ["age", "visits", "spend"])]), LogisticRegression()
    )


def chained_classifier() -> Pipeline:
    """As `plain_classifier`, which also sees what a model above predicts."""
    return make_pipeline(
        ColumnTransformer([("numbers", StandardScaler(), ["age", "visits", "leaving"])]), LogisticRegression()
    )


def test_training_records_the_file_and_the_comparison(desk: Shop, declare: Declare) -> None:
    """`model.onnx` is one more file of the version, and a scorer that is loaded from it scores as scikit-learn does."""
    version = desk.train("leaving", graph=declare(estimator=plain_classifier)).version
    manifest = read_manifest(desk.registry.objects, version.fact.manifest)
    assert set(files_of(version.fact.manifest, manifest)) == {"model.skops", ONNX_FILE}
    assert manifest["onnx"]["used"] is True
    assert 0 < manifest["onnx"]["rows"] < manifest["rows"]["test"]  # some have no rating
    predictor = load_model(desk.registry, version)
    scorer = load_scorer(desk.registry, predictor)
    assert isinstance(scorer, Portable)
    assert scorer.is_quick
    draw = np.random.default_rng(3)
    rows = pl.DataFrame({name: draw.uniform(1, 60, 40) for name in predictor.features}).with_columns(
        pl.lit("x").alias(name) for name in ("region", "plan") if name in predictor.features
    )
    np.testing.assert_allclose(scorer.scores(rows, {}), predictor.scores(rows), atol=TOLERANCE)
    for one in rows.iter_slices(1):
        np.testing.assert_allclose(scorer.scores(one, {}), predictor.scores(one), atol=TOLERANCE)


def test_a_version_without_a_file_is_answered_by_scikit_learn(trained: Shop) -> None:
    """The scorer says why, and gives just what the predictor gives."""
    predictor = load_model(trained.registry, trained.registry.state().model("buying"))
    scorer = load_scorer(trained.registry, predictor)
    assert isinstance(scorer, Plain)
    assert not scorer.is_quick
    assert scorer.reason.startswith("Pipeline can't be converted: MissingShapeCalculator")


def test_a_runtime_that_is_not_there_is_told(desk: Shop, declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service without the extra answers through scikit-learn."""
    version = desk.train("leaving", graph=declare(estimator=plain_classifier)).version
    predictor = load_model(desk.registry, version)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert load_scorer(desk.registry, predictor).reason == (
        'ONNX Runtime is not installed here; install the extra "onnx"'
    )


def test_rows_of_another_kind_go_to_scikit_learn() -> None:
    """A number that is not finite, or a blank that was never compared, is refused as scikit-learn refuses it."""
    rows = people()
    found, predictor = converted(logistic(), rows)
    assert found.data is not None
    portable = Portable(predictor=predictor, session=open_session(found.data), upstream=())
    odd = rows[:4].with_columns(plan=pl.Series(["gold", None, "basic", "new"]))
    assert portable.takes(odd, {}).tolist() == [True, False, True, True]
    np.testing.assert_allclose(portable.scores(odd, {}), predictor.scores(odd), atol=TOLERANCE)
    for value in (None, float("nan"), float("inf")):
        for broken in (rows[:1], rows[:3]):
            with pytest.raises(ValueError, match="Input X contains"):
                portable.scores(broken.with_columns(spend=pl.lit(value, pl.Float64)), {})
