"""A thousand rows at once, without HTTP: `decide_frame` of raw rows beside `predict_proba` of clean ones.

Rules:
- Ours checks and cleans raw rows, scores, decides by the threshold of a release, and names it. The peers get rows that
  are clean already, in the frame that they take, and only predict: the estimator of the release, and the same pipeline
  fitted with pandas.
- All take turns, of some calls each: whoever decides on a thousand rows goes on to the next thousand, as over HTTP.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import polars as pl

from groups.churn import churn_pipeline, customers, graph
from lockstep import decider
from lockstep.data import dtype_of
from lockstep.registry import Registry
from lockstep.training import load_model, own_packages

POLARS, PANDAS, OURS = "predict_proba with polars", "predict_proba with pandas", "ours"

OF_A_TURN: Final = 10  # calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Milliseconds, medians: that passed, and of the processor, which do not depend on who else is busy."""

    passed: float
    used: float


def measure(folder: Path, rows: Mapping[str, Any], *, rounds: int) -> dict[str, Taken]:
    """What each takes.

    Args:
        folder: with `registry`, and `clean.parquet` to fit on.
        rows: `raw` and `clean`, as dicts.
        rounds: how many turns each has.
    """
    raw_types = {name: dtype_of(column) for name, column in customers.schema.items() if name != "Churn"}
    raw = pl.DataFrame(rows["raw"], schema=raw_types)
    registry = Registry.open((folder / "registry").as_uri())
    released = load_model(registry, registry.state().model("churn"), own=own_packages(graph))
    learned = pl.read_parquet(folder / "clean.parquet")
    features = learned.select(released.features)
    clean = pl.DataFrame(rows["clean"], schema=features.schema)
    clean_pandas = clean.to_pandas()
    with_pandas = churn_pipeline().fit(features.to_pandas(), learned["Churn"].to_numpy())
    with decider("calls", registry=(folder / "registry").as_uri(), graph=graph) as ours:
        asked: dict[str, Callable[[], Any]] = {
            OURS: lambda: ours.decide_frame(raw),
            POLARS: lambda: released.estimator.predict_proba(clean),
            PANDAS: lambda: with_pandas.predict_proba(clean_pandas),
        }
        decided = ours.decide_frame(raw)
        if decided["error"].null_count() < raw.height:
            raise RuntimeError(f"Not all rows could be decided on: {decided['error'].drop_nulls()[0]}")
        np.testing.assert_allclose(decided["priority_call_score"], released.scores(clean)[:, 1], atol=1e-6)
        passed: dict[str, list[float]] = {name: [] for name in asked}
        used: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, ask in asked.items():
                for _ in range(OF_A_TURN):
                    began, before = time.perf_counter(), time.process_time()
                    ask()
                    used[name].append((time.process_time() - before) * 1000)
                    passed[name].append((time.perf_counter() - began) * 1000)
    return {name: Taken(passed=median(passed[name]), used=median(used[name])) for name in asked}
