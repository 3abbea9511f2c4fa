"""The groups of the tests of the web UI, and their DAGs."""

import os
import warnings
from datetime import date
from typing import Any

from lockstep import (
    Api,
    Dataset,
    Graph,
    Model,
    Threshold,
    age,
    any_of,
    csv,
    fixed,
    flip_rate,
    precision_at_least,
    recall_at_least,
)
from lockstep.errors import DeprecatedDataWarning


def shop_model() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """A logistic regression of all numbers."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def telecom(name: str = "churn") -> Graph:
    """The group of the design's story; as `tests.release.conftest.telecom` declares it."""
    customers = Dataset("customers", source=csv("customers.csv"), key="id", columns={"churned": bool, "plan": str})
    churn = Model("churn", data=customers, target="churned", estimator=object)
    reason = Model("churn_reason", data=customers, target="plan", estimator=object, builds_on=[churn])
    offer = Threshold("retention_offer", model=churn, choose=precision_at_least(0.65))
    call = Threshold("priority_call", model=churn, choose=recall_at_least(0.9))
    return Graph([Api("offers", decides=[offer], explains=[reason]), Api("calls", decides=[call])], name=name)


shoppers = Dataset(
    "shoppers",
    source=csv("shoppers/*.csv"),
    key="shopper",
    columns={"spent": float, "visits": int, "email": str, "city": str, "returns": bool},
    private=["email"],
    deprecated="use shoppers_v2",
    deprecated_after=date(2999, 1, 1),
)
returning = Model(
    "returning", data=shoppers, target="returns", without=["email", "city"], estimator=shop_model, only_for=["mails"]
)
mail = Threshold("mail", model=returning, choose=precision_at_least(0.5))
with warnings.catch_warnings(action="ignore", category=DeprecatedDataWarning):  # it is meant to be deprecated
    shop = Graph(
        [Api("mails", decides=[mail])],
        name="shop",
        release_if=[flip_rate("mail", at_most=0.1)],
        retrain_when=any_of(age(days=30), age(days=60)),
    )


def secret() -> Graph:
    """A group that not everybody may see."""
    rows = Dataset("secret_rows", source=csv("secret.csv"), key="id", columns={"hidden": bool})
    model = Model("secret_model", data=rows, target="hidden", estimator=object)
    return Graph([Api("secret_api", decides=[Threshold("secret_cut", model=model, choose=fixed(0.5))])], name="secret")


def large(thresholds: int = 148) -> Graph:
    """A group of 300 nodes: one dataset, two models, and many thresholds, each with its API, and one more of both."""
    rows = Dataset("wide_rows", source=csv("wide.csv"), key="id", columns={"yes": bool})
    one = Model("wide_one", data=rows, target="yes", estimator=object)
    two = Model("wide_two", data=rows, target="yes", estimator=object, builds_on=[one])
    cuts = [
        Threshold(f"wide_cut_{number}", model=(one, two)[number % 2], choose=fixed(0.5)) for number in range(thresholds)
    ]
    apis = [Api(f"wide_api_{number}", decides=[cut]) for number, cut in enumerate(cuts)]
    return Graph([*apis, Api("wide_last", decides=cuts[:2], explains=[one])], name="wide")


def dags() -> dict[str, Any]:
    """The DAGs of all of them; registries are named by variables, and one is away."""
    from lockstep_airflow import by_hand, every, release_dags

    named = {name: os.environ.get(f"UI_{name.upper()}") for name in ("churn", "shop", "secret")}
    found = release_dags(telecom(), registry=named["churn"], approval=by_hand(assigned_users=["bob", "admin"]))
    found |= release_dags(shop, registry=named["shop"], watch=every("@hourly"))
    found |= release_dags(secret(), registry=named["secret"])
    found |= release_dags(telecom("nowhere"))
    found |= release_dags(telecom("away"), registry="gs://nobody-is-here/registry")
    return found | release_dags(large())
