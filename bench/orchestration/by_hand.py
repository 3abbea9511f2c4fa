"""The flow of benchmark m as a team writes it by hand: functions on files and MLflow's client, for plain operators.

Rules:
- It computes what ours computes: read, clean and split the rows, fit five models (one on top of another), choose a
  threshold for each, count which decisions a release would change, move.
- MLflow holds the versions: a run and a model version for each, the aliases `staging` and `production`, the threshold
  and the month as tags. It does not do what a team has to think of first: no check of files, no audit of a model before
  it is loaded, no profile of the data, no archive of the code, and production is moved alias by alias.
- Nothing of Lockstep is imported but the group's `clean` and estimators.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from bench.orchestration.five import CHAIN, ESTIMATORS, FEATURES, RECALL, clean

TENTHS: Final = {"validation": (0, 1), "test": (2, 3), "train": (4, 9)}  # from and to


def work_folder() -> Path:
    """Where Parquet files and models lie."""
    return Path(os.environ["BY_HAND"])


def client() -> MlflowClient:
    """A client of the server."""
    return MlflowClient(tracking_uri=os.environ["BY_HAND_MLFLOW"], registry_uri=os.environ["BY_HAND_MLFLOW"])


def set_up() -> None:
    """The registered models, once."""
    for name in CHAIN:
        client().create_registered_model(name)


def snapshot() -> str:
    """Read, clean and split; named by the content of the files."""
    files = sorted(Path(os.environ["LOCKSTEP_DATA"], "rows").glob("*.csv"))
    name = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    frame = clean(pl.concat([pl.read_csv(file) for file in files]))
    part = pl.col("id").hash(seed=0) % 10
    folder = work_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    for which in TENTHS:
        chosen = part.is_between(*TENTHS[which])
        frame.filter(chosen).write_parquet(folder / f"{which}.parquet")
    return name


def train(name: str, rows: str) -> str:
    """Fit a model, log its run, register its version."""
    mlflow = client()
    frame = _with_upstream(name, rows, pl.read_parquet(work_folder() / rows / "train.parquet"))
    model = ESTIMATORS[name]().fit(frame.select(_columns(name)), frame["yes"].to_numpy())
    path = work_folder() / rows / f"{name}.joblib"
    joblib.dump(model, path)
    run = mlflow.create_run("0", run_name=f"{name} {rows}")
    test = _with_upstream(name, rows, pl.read_parquet(work_folder() / rows / "test.parquet"))
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    scores, truth = model.predict_proba(test.select(_columns(name)))[:, 1], test["yes"].to_numpy()
    for measure in (roc_auc_score, average_precision_score, brier_score_loss, log_loss):
        mlflow.log_metric(run.info.run_id, measure.__name__, float(measure(truth, scores)))
    mlflow.log_param(run.info.run_id, "rows", rows)
    mlflow.log_artifact(run.info.run_id, str(path))
    mlflow.set_terminated(run.info.run_id)
    source, tags = f"{run.info.artifact_uri}/{path.name}", {"rows": rows}
    return str(mlflow.create_model_version(name, source=source, run_id=run.info.run_id, tags=tags).version)


def tune(name: str, rows: str, version: str) -> float:
    """The highest threshold that still has the recall, on the validation rows."""
    frame = _with_upstream(name, rows, pl.read_parquet(work_folder() / rows / "validation.parquet"))
    scores = _model(name, rows).predict_proba(frame.select(_columns(name)))[:, 1]
    value = float(np.quantile(scores[frame["yes"].to_numpy()], 1 - RECALL))
    client().set_model_version_tag(name, version, "threshold", repr(value))
    return value


def stage(name: str, version: str) -> None:
    """Promote a version."""
    client().set_registered_model_alias(name, "staging", version)


def is_open() -> bool:
    """All stand in staging, are of the same rows, and are not what production already is."""
    staged, released = _all("staging"), _all("production")
    return len(staged) == len(CHAIN) and len({one.tags["rows"] for one in staged.values()}) == 1 and staged != released


def diff() -> dict[str, float]:
    """The share of test rows that each model would decide otherwise."""
    staged, released = _all("staging"), _all("production")
    rows = next(iter(staged.values())).tags["rows"]
    test = pl.read_parquet(work_folder() / rows / "test.parquet")
    found = {}
    for name in CHAIN:
        sides = [side[name] for side in (staged, released) if name in side]
        decisions = [_decide(name, one.tags["rows"], float(one.tags["threshold"]), test) for one in sides]
        found[name] = float(np.mean(decisions[0] != decisions[-1]))
    return found


def release() -> str:
    """Move production, alias by alias; when it was done."""
    for name, version in _all("staging").items():
        client().set_registered_model_alias(name, "production", version.version)
    return datetime.now(UTC).isoformat()


def _all(alias: str) -> dict[str, Any]:
    found = {}
    for name in CHAIN:
        try:
            found[name] = client().get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if json.loads(error.serialize_as_json())["error_code"] not in {
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            }:
                raise
    return found


def _decide(name: str, rows: str, threshold: float, frame: pl.DataFrame) -> Any:  # noqa: ANN401  numpy's
    scored = _with_upstream(name, rows, frame)
    return _model(name, rows).predict_proba(scored.select(_columns(name)))[:, 1] >= threshold


def _model(name: str, rows: str) -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    return joblib.load(work_folder() / rows / f"{name}.joblib")


def _columns(name: str) -> list[str]:
    return [*FEATURES, *CHAIN[name]]


def _with_upstream(name: str, rows: str, frame: pl.DataFrame) -> pl.DataFrame:
    """With the score of each model that this one is built on."""
    for above in CHAIN[name]:
        scored = _with_upstream(above, rows, frame)
        scores = _model(above, rows).predict_proba(scored.select(_columns(above)))[:, 1]
        frame = frame.with_columns(pl.Series(above, scores))
    return frame
