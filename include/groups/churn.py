"""Who is about to leave, whom to send an offer, whom to call, and which contract would fit.

The columns are those of IBM's Telco customer churn file.
"""

from typing import Any

import polars as pl

from lockstep import (
    Api,
    Dataset,
    Graph,
    Model,
    Threshold,
    age,
    any_of,
    at_least,
    by_hash,
    csv,
    decision_rate_moves,
    drift,
    precision_at_least,
    recall_at_least,
    row_wise,
    rows_added,
)

NUMBERS = ["tenure", "MonthlyCharges", "TotalCharges", "charge_growth"]
FLAGS = ["SeniorCitizen", "Partner", "Dependents", "PhoneService", "PaperlessBilling"]
SERVICES = ["MultipleLines", "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport"]
SERVICES += ["StreamingTV", "StreamingMovies"]
CHOICES = ["gender", "InternetService", "PaymentMethod"]


_USUAL = pl.col("TotalCharges") / pl.col("tenure").clip(lower_bound=1)
_CLEAN = [  # made once: for the one row of a request, to make them costs a quarter of what they do
    pl.col("MultipleLines").str.strip_suffix(" phone service"),
    pl.col(SERVICES[1:]).str.strip_suffix(" internet service"),
    (pl.col("MonthlyCharges") - _USUAL).round(2).alias("charge_growth"),
]


@row_wise
def clean_customers(rows: pl.DataFrame) -> pl.DataFrame:
    """Say "No" where a service can't be had anyway, and add how the bill has grown since the customer came."""
    return rows.with_columns_seq(_CLEAN)  # likewise, sharing out the columns among threads costs more than they do


def churn_pipeline() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """A logistic regression on scaled numbers and one-hot categories."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    columns = _columns([*CHOICES, *SERVICES, "Contract"])
    return Pipeline([("columns", columns), ("model", LogisticRegression(C=1.0, max_iter=1000))])


def reason_pipeline() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """Boosted trees that also see how likely the customer is to leave."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, random_state=0)
    return Pipeline([("columns", _columns([*CHOICES, *SERVICES], extra=["churn"])), ("model", model)])


def _columns(categories: list[str], extra: list[str] | None = None) -> Any:  # noqa: ANN401  see above
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), [*NUMBERS, *FLAGS, *(extra or [])]),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ]
    )


customers = Dataset(
    "customers",
    source=csv("customers/*.csv"),
    key="customerID",
    columns={
        "gender": str,
        "SeniorCitizen": bool,
        "Partner": bool,
        "Dependents": bool,
        "tenure": int,
        "PhoneService": bool,
        **dict.fromkeys(SERVICES, str),
        "InternetService": str,
        "Contract": str,
        "PaperlessBilling": bool,
        "PaymentMethod": str,
        "MonthlyCharges": float,
        "TotalCharges": float,
        "Churn": bool,
    },
    clean=clean_customers,
    split=by_hash(test=0.2, validation=0.2),
)

churn = Model("churn", data=customers, target="Churn", estimator=churn_pipeline, expects={"roc_auc": at_least(0.80)})
churn_reason = Model("churn_reason", data=customers, builds_on=[churn], target="Contract", estimator=reason_pipeline)

retention_offer = Threshold("retention_offer", model=churn, choose=precision_at_least(0.65))
priority_call = Threshold("priority_call", model=churn, choose=recall_at_least(0.90))

calls = Api("calls", decides=[priority_call])
offers = Api("offers", decides=[retention_offer], explains=[churn_reason], agrees_with=[calls])

graph = Graph(
    [offers, calls],
    retrain_when=any_of(drift(psi=0.2, columns="important"), age(days=30), rows_added(0.1), decision_rate_moves(0.05)),
)
