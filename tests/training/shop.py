"""A shop's declarations: every kind of model on one dataset, small enough to train in a blink."""

from typing import Self

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lockstep import (
    Api,
    Dataset,
    Graph,
    Model,
    Threshold,
    at_least,
    at_most,
    by_hash,
    csv,
    fixed,
    minimise_cost,
    precision_at_least,
    recall_at_least,
    row_wise,
    top_fraction,
)
from tests.training.shop_words import LEFT_OUT


class Numbers(TransformerMixin, BaseEstimator):
    """Passes on every column that can be a number; texts and what is unknown are dropped or zero."""

    def fit(self, rows: pl.DataFrame, _: object = None) -> Self:
        """Remember which columns are numbers."""
        self.columns_ = [name for name, dtype in rows.schema.items() if dtype.is_numeric() or dtype == pl.Boolean]
        return self

    def transform(self, rows: pl.DataFrame) -> np.ndarray:
        """Give the numbers (shape n × k)."""
        return rows.select(pl.col(self.columns_).cast(pl.Float64).fill_null(0)).to_numpy()


@row_wise
def clean_shoppers(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave the staff's own purchases out, and say how much is spent on a visit."""
    kept = rows.filter(pl.col("region") != LEFT_OUT)
    return kept.with_columns((pl.col("spend") / pl.col("visits").clip(lower_bound=1)).alias("spend_per_visit"))


def classifier() -> Pipeline:
    """A logistic regression on the numbers."""
    return make_pipeline(Numbers(), StandardScaler(), LogisticRegression(C=1.0, max_iter=500))


def line() -> Pipeline:
    """A straight line through the numbers."""
    return make_pipeline(Numbers(), StandardScaler(), LinearRegression())


shoppers = Dataset(
    "shoppers",
    source=csv("shoppers/*.csv"),
    key="shopper",
    columns={
        "age": int,
        "visits": int,
        "spend": float,
        "region": str,
        "rating": int | None,
        "secret": float,
        "leaves": bool,
        "plan": str,
        "basket": float | None,
        "buys": bool,
    },
    clean=clean_shoppers,
    split=by_hash(test=0.25, validation=0.25),
)
leaving = Model(
    "leaving",
    data=shoppers,
    target="leaves",
    estimator=classifier,
    without=["secret"],
    expects={"roc_auc": at_least(0.5)},
)
planning = Model("planning", data=shoppers, target="plan", estimator=classifier, without=["secret", "leaves", "buys"])
filling = Model(
    "filling",
    data=shoppers,
    target="basket",
    estimator=line,
    without=["secret", "leaves", "buys"],
    expects={"root_mean_squared_error": at_most(1e6)},
)
buying = Model("buying", data=shoppers, target="buys", estimator=classifier, builds_on=[leaving, planning, filling])
advising = Model("advising", data=shoppers, target="region", estimator=classifier, builds_on=[leaving, buying])

offer = Threshold("offer", model=leaving, choose=precision_at_least(0.6))
call = Threshold("call", model=leaving, choose=recall_at_least(0.9))
cheap = Threshold("cheap", model=leaving, choose=minimise_cost(false_positive=1, false_negative=3))
gold = Threshold("gold", model=planning, choose=top_fraction(0.2), positive="gold")
large = Threshold("large", model=filling, choose=top_fraction(0.1))
huge = Threshold("huge", model=filling, choose=fixed(60.0))

offers = Api("offers", decides=[offer, cheap], explains=[planning, filling])
calls = Api("calls", decides=[call])
baskets = Api("baskets", decides=[large, huge, gold], explains=[buying, advising])
graph = Graph([offers, calls, baskets], name="shop")
