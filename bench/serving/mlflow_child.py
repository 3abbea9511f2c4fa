"""Runs in MLflow's environment: fits the churn pipeline on a CSV file of features and saves it as MLflow does.

Its arguments are the CSV file, the folder for the model, and the columns as JSON.
"""

import json
import sys

import mlflow.sklearn
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def main(data: str, folder: str, columns: str) -> None:
    """Fit and save."""
    names = json.loads(columns)
    rows = pd.read_csv(data)
    transformer = ColumnTransformer(
        [
            ("numbers", StandardScaler(), names["numeric"]),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), names["words"]),
        ]
    )
    pipeline = Pipeline([("columns", transformer), ("model", LogisticRegression(C=1.0, max_iter=1000))])
    pipeline.fit(rows, rows["Churn"])
    mlflow.sklearn.save_model(
        pipeline, folder, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle", pip_requirements=[]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
