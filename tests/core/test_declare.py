"""One declaration alone: its names, columns, shares and bounds, and the sentence that refuses each wrong one."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import lockstep
from lockstep import Api, Dataset, Model, Threshold, at_least, at_most, by_hash, csv, fixed, parquet
from lockstep.declare import Column, Expectation, HashSplit, Kind, Task, kind_of
from lockstep.errors import DeclarationError

COLUMNS = {"age": int, "spend": float, "plan": str, "since": date, "churned": bool}


def estimator() -> object:
    """Stand where an estimator's function would; declarations never call it."""
    return object()


def customers(**changes: Any) -> Dataset:
    """Declare a dataset that is right, but for the changes."""
    return Dataset("customers", **({"source": csv("customers.csv"), "key": "id", "columns": COLUMNS} | changes))


def churn(**changes: Any) -> Model:
    """Declare a model that is right, but for the changes."""
    return Model("churn", **({"data": customers(), "target": "churned", "estimator": estimator} | changes))


def named(kind: Kind, name: Any) -> object:  # noqa: ANN401  names of wrong types too
    """Declare a node of a kind under a name."""
    match kind:
        case Kind.DATASET:
            return Dataset(name, source=csv("x.csv"), key="id", columns=COLUMNS)
        case Kind.MODEL:
            return Model(name, data=customers(), target="churned", estimator=estimator)
        case Kind.THRESHOLD:
            return Threshold(name, model="churn", choose=fixed(0.5))
        case Kind.API:
            return Api(name, decides=[Threshold("offer", model="churn", choose=fixed(0.5))])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "name",
    [
        "Churn",
        "churn-risk",
        "../x",
        "",
        "a" * 65,
        "1st",
        "_private",
        "churn\n",
        "a b",
        "a.b",
        "größe",
        "a/b",
        7,
        None,
        b"a",
    ],
)
def test_name_that_cannot_be_a_path_is_refused(kind: Kind, name: object) -> None:
    """A name that can't be a folder or a DAG id is refused for every kind of node, with the value and the rule."""
    word = {"dataset": "Dataset", "model": "Model", "threshold": "Threshold", "api": "API"}[kind]
    with pytest.raises(DeclarationError) as refused:
        named(kind, name)
    assert str(refused.value) == (
        f"{word} {name!r}: the name can't be a path or a DAG id; a name starts with a lower-case letter and has"
        " at most 64 lower-case letters, digits and underscores. Rename it."
    )


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", ["a", "churn_2", "a" * 64, "x__"])
def test_name_within_the_rule_is_taken(kind: Kind, name: str) -> None:
    """A name of 1 to 64 lower-case letters, digits and underscores names a node of any kind."""
    node = named(kind, name)
    assert node.name == name
    assert kind_of(node) is kind


BAD_COLUMN = (
    'Dataset "customers": column "age" has type {}; allowed are int, float, str, bool and date,'
    " each also as `float | None` where blanks are fine."
)


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        ("int", "'int'"),
        (bytes, "<class 'bytes'>"),
        (None, "None"),
        (list[int], "list[int]"),
        ([int], "[<class 'int'>]"),
        (int | str, "int | str"),
        (int | str | None, "int | str | None"),
    ],
)
def test_column_of_another_type_is_refused(annotation: object, shown: str) -> None:
    """A column is of one of five types, or of one of them with None; a union of two is neither."""
    with pytest.raises(DeclarationError) as refused:
        customers(columns={"age": annotation})
    assert str(refused.value) == BAD_COLUMN.format(shown)


def test_schema_puts_the_key_first_and_knows_blanks() -> None:
    """The schema starts with the key, which is text unless it is declared, and says where blanks are allowed."""
    assert list(customers(columns={"age": int, "spend": float | None}).schema.items()) == [
        ("id", Column("str", nullable=False)),
        ("age", Column("int", nullable=False)),
        ("spend", Column("float", nullable=True)),
    ]
    assert customers(columns={"age": int, "id": int}).schema["id"] == Column("int", nullable=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {}}, 'Dataset "customers": no columns are declared; give at least the key and a target.'),
        (
            {"columns": {"_split": int}},
            (
                "Dataset \"customers\": column '_split' starts with an underscore, which Lockstep keeps for its own"
                " columns. Rename it in the source."
            ),
        ),
        ({"key": "_row"}, "Dataset \"customers\": key '_row' may not start with an underscore."),
        (
            {"deprecated_after": date(2026, 1, 31)},
            (
                'Dataset "customers": deprecated_after=2026-01-31 says when, but not what to use instead;'
                ' add deprecated="use …".'
            ),
        ),
        (
            {"private": ["id", "street"]},
            (
                "Dataset \"customers\": private= names 'street', which is no column of it, so nothing would be kept out"
                " of the decision log. Its columns are id, age, spend, plan, since, churned."
            ),
        ),
        (
            {"private": "age"},
            ('Dataset "customers": private=\'age\' is one text; it takes a list of columns: private=["age"].'),
        ),
    ],
)
def test_dataset_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    """A dataset without columns, with a reserved or unknown one, or with an end but no successor is refused."""
    with pytest.raises(DeclarationError) as refused:
        customers(**changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("test", "validation"), [(0, 0.2), (0.2, 0), (-0.1, 0.2), (0.5, 0.5), (0.9, 0.2), (float("nan"), 0.2), (1.5, -0.7)]
)
def test_shares_that_leave_nothing_are_refused(test: float, validation: float) -> None:
    """Both shares of a split are above 0 and leave rows to train on."""
    with pytest.raises(DeclarationError) as refused:
        by_hash(test=test, validation=validation)
    assert str(refused.value) == (
        f"by_hash(test={test}, validation={validation}): both shares must be above 0 and leave more than 0 for"
        " training; for example by_hash(test=0.2, validation=0.2)."
    )


def test_shares_default_to_a_fifth_each() -> None:
    """A dataset without a split keeps a fifth of its rows for the test and a fifth for validation."""
    assert customers().split == by_hash(test=0.2, validation=0.2) == HashSplit(test=0.2, validation=0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"target": "Churn"},
            (
                'Model "churn": target "Churn" is not a column of dataset "customers"; its columns are'
                " id, age, spend, plan, since, churned."
            ),
        ),
        (
            {"without": ["age", "shoe_size"]},
            (
                'Model "churn": without "shoe_size" is not a column of dataset "customers"; its columns are'
                " id, age, spend, plan, since, churned."
            ),
        ),
        (
            {"target": "id"},
            (
                'Model "churn": target "id" is the key of dataset "customers"; a key only names rows.'
                " Choose another column."
            ),
        ),
    ],
)
def test_model_on_columns_that_are_not_there_is_refused(changes: dict[str, Any], message: str) -> None:
    """A model's target and the columns it leaves out are columns of its dataset, and the target is not the key."""
    with pytest.raises(DeclarationError) as refused:
        churn(**changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ("spend", Task.REGRESSION),
        ("churned", Task.CLASSIFICATION),
        ("plan", Task.CLASSIFICATION),
        ("age", Task.CLASSIFICATION),
    ],
)
def test_task_follows_from_the_target(target: str, task: Task) -> None:
    """A float target makes a regression, any other a classification."""
    assert churn(target=target).task is task


def test_api_without_a_threshold_is_refused() -> None:
    """An API that names no threshold could never answer."""
    with pytest.raises(DeclarationError) as refused:
        Api("offers", decides=[])
    assert str(refused.value) == (
        'API "offers": decides=[] has no threshold, so it could never answer; name at least one threshold.'
    )


OFFER = Threshold("offer", model="churn", choose=fixed(0.5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Api("offers", decides=["offer"]),
            'API "offers": decides= holds a str; it takes Threshold declarations only, not their names.',
        ),
        (
            lambda: Api("offers", decides=[churn()]),
            'API "offers": decides= holds a Model; it takes Threshold declarations only, not their names.',
        ),
        (
            lambda: Api("offers", decides=[OFFER], explains=["churn"]),
            'API "offers": explains= holds a str; it takes Model declarations only, not their names.',
        ),
    ],
)
def test_api_takes_declarations_of_the_right_kind(make: Callable[[], Api], message: str) -> None:
    """An API decides by thresholds and explains by models; anything else is refused where it is written."""
    with pytest.raises(DeclarationError) as refused:
        make()
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("expectation", "value", "holds"),
    [
        (at_least(0.8), 0.8, True),
        (at_least(0.8), 0.79, False),
        (at_most(2.0), 2.0, True),
        (at_most(2.0), 2.01, False),
        (at_least(0.0), None, False),
        (at_least(0.0), float("nan"), False),
        (at_most(1.0), float("nan"), False),
    ],
)
def test_expectation_holds_on_its_bound(expectation: Expectation, value: float | None, holds: bool) -> None:  # noqa: FBT001  a row of the table
    """An expectation includes its bound, and a metric that could not be computed never meets it."""
    assert expectation.holds(value) is holds


def test_expectation_reads_as_words() -> None:
    """An expectation says its bound as a person would."""
    assert (str(at_least(0.8)), str(at_most(2.0))) == ("at least 0.8", "at most 2.0")


def test_declarations_are_values() -> None:
    """Equal declarations are equal, and none can be changed."""
    assert customers() == customers()
    assert churn() != churn(target="plan")
    assert (csv("a").format, parquet("a").format) == ("csv", "parquet")
    model = churn()
    with pytest.raises(AttributeError):
        model.name = "other"


def test_importing_lockstep_is_light() -> None:
    """Importing lockstep brings in neither polars, scikit-learn, Airflow, Beam nor the registry's packages."""
    heavy = ["polars", "sklearn", "airflow", "apache_beam", "pandas", "numpy", "obstore", "pydantic"]
    include = Path(lockstep.__file__).parents[1]
    program = f"import lockstep, sys; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=include, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    """Each name in `__all__` can be imported from lockstep, sorted and without doubles."""
    assert all(hasattr(lockstep, name) for name in lockstep.__all__)
    assert sorted(set(lockstep.__all__)) == lockstep.__all__
