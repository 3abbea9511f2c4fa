"""What a worker imports before its first task: tasks are forked from it, and need not import it again.

Celery's does where `AIRFLOW__CELERY__EXTRA_CELERY_CONFIG={"imports": ["lockstep_airflow.preload"]}`; see also `local`.

Rules:
- Libraries alone. The team's code and Lockstep's own may change while a worker runs, and each task imports them anew.
- Nothing that has threads of its own once it is imported, as polars and ONNX Runtime: a fork would be without them.
- What is not installed is left out.
"""

import warnings
from contextlib import suppress
from importlib import import_module
from typing import Final

LIBRARIES: Final = (
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "apache_beam",
    "onnx",
    "skops.io",
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # skops asks every loaded module for SciPy's names; some answer with a warning
    for _name in LIBRARIES:
        with suppress(ImportError):
            import_module(_name)
