"""The group of the latency benchmark: two tiny models, one built on the other, with a threshold and an API each."""

from typing import Any

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed


def linear() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """A logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


rows = Dataset("tiny_rows", source=csv("*.csv"), key="row", columns={"a": float, "b": float, "yes": bool})
first = Model("tiny_first", data=rows, target="yes", estimator=linear)
last = Model("tiny_last", data=rows, target="yes", builds_on=[first], without=["b"], estimator=linear)
graph = Graph(
    [
        Api("tiny_calls", decides=[Threshold("tiny_call", model=first, choose=fixed(0.5))]),
        Api("tiny_mails", decides=[Threshold("tiny_mail", model=last, choose=fixed(0.5))]),
    ],
    name="tiny",
)
