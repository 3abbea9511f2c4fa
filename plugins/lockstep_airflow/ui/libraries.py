"""The libraries of data and statistics, which the API server starts without: loaded once somebody looks.

Rules:
- Whatever brings polars, scikit-learn or scipy is imported here, by one thread at a time: modules that import each
  other are half there for a second thread that asks for another of them.
- It begins behind the first answer, so that nobody waits for it as a rule.
"""

import threading
from importlib import import_module
from types import ModuleType
from typing import Final

_MODULES: Final = ("lockstep.monitoring", "lockstep.decisions.rule", "lockstep_airflow.ui.snapshot")
_lock: Final = threading.Lock()
_loaded: Final[dict[str, ModuleType]] = {}
_begun: Final = threading.Event()


def begin() -> None:
    """Load them in the background, unless somebody has begun to."""
    if not _begun.is_set():
        _begun.set()
        threading.Thread(target=load, name="lockstep-libraries", daemon=True).start()


def load() -> None:
    """Return once they are there."""
    if len(_loaded) == len(_MODULES):
        return
    with _lock:
        for name in _MODULES:
            _loaded[name] = import_module(name)
