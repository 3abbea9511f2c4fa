"""The recipe of a snapshot: all but the source's files that its content follows from.

Rules:
- Two snapshots of one recipe and the same bytes are equal. What might change the content stands in it: the declared
  columns, key and split, every further setting of a dataset that is not known to be without effect, the code of
  `clean`, the libraries, and the layout of snapshots.
- Where the code of `clean` is not known there is no recipe, and nothing is taken to be as it was.
"""

import platform
from dataclasses import fields
from importlib import metadata
from typing import Final

from lockstep import __version__
from lockstep.checks import as_json
from lockstep.data.taking import said_of_source
from lockstep.declare import Dataset
from lockstep.registry import digest_of

LAYOUT: Final = 2  # goes up whenever the same files would give other rows, buckets, reasons or profiles
_LIBRARIES: Final = ("numpy", "polars", "pyarrow")
_WITHOUT_EFFECT: Final = frozenset(
    {"name", "shared", "deprecated", "deprecated_after", "private", "engine"}
    | {"source", "columns", "schema", "clean", "checks"}  # said below, in a form of their own
)


def recipe_of(dataset: Dataset, code: str | None) -> str | None:
    """A hash of the recipe; `code` is that of the code of `clean` and of checks, None where nobody knows it."""
    has_code = dataset.clean is not None or any(check.schema is not None for check in dataset.checks)
    if code is None and has_code:
        return None
    settings = {field.name: repr(getattr(dataset, field.name)) for field in fields(dataset)}
    return digest_of(
        {
            "checks": [as_json(check) for check in dataset.checks],
            "layout": LAYOUT,
            "lockstep": __version__,
            "python": platform.python_version(),
            "libraries": {name: metadata.version(name) for name in _LIBRARIES},
            "schema": [[name, column.kind, column.nullable] for name, column in dataset.schema.items()],
            "source": {name: value for name, value in said_of_source(dataset.source).items() if name != "pattern"},
            "settings": {name: said for name, said in settings.items() if name not in _WITHOUT_EFFECT},
            "clean": [getattr(dataset.clean, "__module__", ""), getattr(dataset.clean, "__qualname__", "")],
            "code": code if has_code else "",
        }
    )
