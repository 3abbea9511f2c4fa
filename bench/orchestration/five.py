"""The group of benchmark m: five models on one dataset, the third built on the first two steps of a chain.

Rules:
- `write_month` gives new rows each month, the same ones for the same month.
- The estimators, the rows' `clean` and who builds on whom are also what the flow written by hand uses (`by_hand.py`).
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, recall_at_least

ROWS: Final = 20_000
FEATURES: Final = [f"x{number}" for number in range(8)]
CHAIN: Final = {"one": [], "two": ["one"], "three": ["two"], "four": [], "five": []}  # who builds on whom
RECALL: Final = 0.8


def clean(rows: pl.DataFrame) -> pl.DataFrame:
    """No value is further out than five."""
    return rows.with_columns(pl.col(FEATURES).clip(-5.0, 5.0))


def line() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """A logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def trees() -> Any:  # noqa: ANN401  as above
    """Boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=60, random_state=0)


ESTIMATORS: Final = {"one": line, "two": trees, "three": trees, "four": trees, "five": line}
rows = Dataset(
    "rows", source=csv("rows/*.csv"), key="id", columns=dict.fromkeys(FEATURES, float) | {"yes": bool}, clean=clean
)


def _graph() -> Graph:
    made: dict[str, Model] = {}
    for name, above in CHAIN.items():
        built_on = [made[one] for one in above]
        made[name] = Model(name, data=rows, target="yes", estimator=ESTIMATORS[name], builds_on=built_on)
    apis = [
        Api(f"api_{name}", decides=[Threshold(f"cut_{name}", model=model, choose=recall_at_least(RECALL))])
        for name, model in made.items()
    ]
    return Graph(apis, name="five")


graph: Final = _graph()


def write_month(folder: Path, month: int) -> None:
    """The rows of a month, in place of those before."""
    chance = np.random.default_rng(month)
    values = chance.normal(size=(ROWS, len(FEATURES)))
    yes = values[:, 0] + 0.5 * values[:, 1] * values[:, 2] + chance.normal(scale=0.5, size=ROWS) > 0
    frame = pl.DataFrame({"id": [f"m{month}r{row}" for row in range(ROWS)], "yes": yes}).hstack(
        pl.DataFrame(dict(zip(FEATURES, values.T.round(4), strict=True)))
    )
    folder.mkdir(parents=True, exist_ok=True)
    for before in folder.glob("*.csv"):
        before.unlink()
    unfinished = folder / "month.unfinished"
    frame.write_csv(unfinished)
    unfinished.rename(folder / f"month-{month}.csv")
