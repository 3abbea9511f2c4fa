"""The peers that are no product: `python -m bench.serving.endpoints bare|pandas|constant --port N [--data FILE]`.

Rules:
- bare: FastAPI around `predict_proba` of the churn pipeline, given rows that are clean already, as polars frames, which
  scikit-learn takes faster than those of pandas; pandas: the same with these.
- constant: the least that FastAPI can answer to the same request.
- Both run on uvicorn as ours does: one process, uvloop, httptools, no access log.
"""

import argparse
from typing import Any

import pandas as pd
import polars as pl
import uvicorn
from fastapi import FastAPI, Request

from groups.churn import churn_pipeline


def bare(data: str) -> FastAPI:
    """The endpoint around `predict_proba`."""
    rows = pl.read_parquet(data)
    features = rows.drop("Churn", "customerID")
    pipeline = churn_pipeline().fit(features, rows["Churn"].to_numpy())
    app = FastAPI()

    @app.post("/")
    async def answer(request: Request) -> list[list[float]]:
        body = await request.json()
        frame = pl.DataFrame(body.get("rows", [body]), schema=features.schema)
        found: list[list[float]] = pipeline.predict_proba(frame).tolist()
        return found

    return app


def bare_pandas(data: str) -> FastAPI:
    """As `bare`, with pandas."""
    rows = pd.read_parquet(data)
    features = rows.drop(columns=["Churn", "customerID"])
    pipeline = churn_pipeline().fit(features, rows["Churn"].to_numpy())
    app = FastAPI()

    @app.post("/")
    async def answer(request: Request) -> list[list[float]]:
        body = await request.json()
        frame = pd.DataFrame(body.get("rows", [body]), columns=features.columns)
        found: list[list[float]] = pipeline.predict_proba(frame).tolist()
        return found

    return app


def constant() -> FastAPI:
    """The floor."""
    app = FastAPI()

    @app.post("/")
    async def answer() -> dict[str, Any]:
        return {"decision": True, "probability": 0.5}

    return app


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving.endpoints", description=__doc__)
    parser.add_argument("which", choices=["bare", "pandas", "constant"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", default="")
    chosen = parser.parse_args()
    makes = {"bare": bare, "pandas": bare_pandas}
    app = makes[chosen.which](chosen.data) if chosen.which in makes else constant()
    uvicorn.run(
        app, host="127.0.0.1", port=chosen.port, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main()
