"""Model files are the same bytes for the same fitted estimator, in any process, and load as before."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from lockstep.training.normal import normal_form

PROJECT = Path(__file__).parents[2]
FIT = """
import sys
from tests.training.test_normal import fitted
from lockstep.registry import sha256_of
from lockstep.training.storage import dump
for name in sys.argv[1:]:
    print(name, sha256_of(dump("it", fitted(name), ())[0]))
"""


def fitted(name: str) -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """Fit one of many kinds of estimators on the same rows."""
    rows, target = load_breast_cancer(return_X_y=True)
    return ESTIMATORS[name]().fit(rows[:200], target[:200])


ESTIMATORS = {
    "line": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(n_estimators=20, random_state=0),
    "boosted": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=0),
    "vectors": lambda: SVC(random_state=0),
    "neighbours": lambda: KNeighborsClassifier(algorithm="kd_tree"),
    "network": lambda: MLPClassifier((5,), random_state=0, max_iter=300, tol=0.1, n_iter_no_change=2),
    "stacked": lambda: StackingClassifier(
        [("tree", DecisionTreeClassifier(random_state=0)), ("line", RidgeClassifier())]
    ),
    "splines": lambda: make_pipeline(StandardScaler(), SplineTransformer(), RidgeClassifier()),
    "categories": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), RidgeClassifier()),
}


@pytest.fixture(scope="module")
def hashes() -> list[dict[str, str]]:
    """Fit and save each in two further processes, whose hashes of texts differ."""
    found = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", FIT, *ESTIMATORS],
            env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'include'}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(dict(line.split() for line in done.stdout.splitlines()))
    return found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_same_estimator_is_the_same_bytes_in_another_process(hashes: list[dict[str, str]], name: str) -> None:
    """Neither ids of objects nor the order of sets nor the clock enters them."""
    first, second = hashes
    assert first[name] == second[name]


@pytest.mark.parametrize("name", ["forest", "splines", "categories"])
def test_the_normal_form_loads_as_before(name: str) -> None:
    """It holds the same types, predicts the same, and is its own normal form."""
    estimator = fitted(name)
    data = skops.io.dumps(estimator)
    normal = normal_form(data)
    types = skops.io.get_untrusted_types(data=data)
    assert skops.io.get_untrusted_types(data=normal) == types
    rows = load_breast_cancer().data
    again = skops.io.loads(normal, trusted=types)
    np.testing.assert_array_equal(again.predict(rows), estimator.predict(rows))
    assert normal_form(normal) == normal
    assert normal_form(skops.io.dumps(again)) == normal
    assert len(normal) < len(data)


class Bag(BaseEstimator):
    """Holds whatever it is given."""


def through(**values: Any) -> Any:  # noqa: ANN401  any values
    """Save and load values in normal form."""
    bag = Bag()
    bag.__dict__.update(values)
    data = normal_form(skops.io.dumps(bag))
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def test_one_object_stays_one_and_two_stay_two() -> None:
    """Sharing survives, for objects and arrays; equal arrays that were two do not become one."""
    part, numbers = StandardScaler(), np.arange(5.0)
    bag = through(first=part, second=part, other=StandardScaler(), one=numbers, same=numbers, two=np.arange(5.0))
    assert bag.first is bag.second
    assert bag.first is not bag.other
    assert bag.one is bag.same
    assert bag.one is not bag.two
    np.testing.assert_array_equal(bag.one, bag.two)


def test_values_of_every_kind_survive() -> None:
    """Names that skops uses itself, keys that are no texts, sets, bytes, sparse matrices and nested lists come back."""
    values = {
        "keys": {1: "one", "two": 2, 0.5: [1, 2]},
        "like_a_node": {"__id__": 7, "file": "a", "content": "b"},
        "words": {"pear", "apple", "fig"},
        "pairs": {("a", 1), ("b", 2)},
        "data": b"\x00\xff",
        "nested": [[1], (2, [3.5, None])],
        "empty": [(), {}, "", set()],
    }
    bag = through(**values, sparse=scipy.sparse.csr_matrix(np.eye(3)), objects=np.array([1, "a", None], dtype=object))
    assert {name: getattr(bag, name) for name in values} == values
    np.testing.assert_array_equal(bag.sparse.toarray(), np.eye(3))
    assert bag.objects.tolist() == [1, "a", None]


def test_texts_that_happen_to_be_one_object_do_not_matter() -> None:
    """Two equal texts, one object or two, give the same bytes."""
    one, other = Bag(), Bag()
    text = str(10**9)
    one.__dict__.update(a=text, b=text)
    other.__dict__.update(a=text, b=str(10**9))
    assert normal_form(skops.io.dumps(one)) == normal_form(skops.io.dumps(other))


def test_a_file_of_another_protocol_is_left_as_it_is() -> None:
    """What is not known is not touched."""
    data = skops.io.dumps(Bag())
    with ZipFile(io.BytesIO(data)) as file:
        schema = json.loads(file.read("schema.json"))
    packed = io.BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr("schema.json", json.dumps(schema | {"protocol": 1}))
    assert normal_form(packed.getvalue()) == packed.getvalue()
