"""A snapshot that is being taken: all that a pipeline needs to know, as one value that JSON can say.

Rules:
- It stands beside the pipeline's results, so that whoever carries it out, there or later, needs only its address.
- A dataset comes back as it was declared, as far as a pipeline reads it: `clean`, and the schemas of its checks, are
  found by their names.
"""

import importlib
import json
from dataclasses import asdict, dataclass
from functools import partial, reduce
from typing import Any, Final

from lockstep.checks import as_json, from_json
from lockstep.data.sources import InputFile, find_files
from lockstep.data.tables import find_tables
from lockstep.declare import COLUMN_TYPES, Dataset, HashSplit
from lockstep.errors import UsageError
from lockstep.registry import Objects
from lockstep.source import BIGQUERY, Source

SPEC: Final = "spec.json"
_TYPES: Final = {kind: plain for plain, kind in COLUMN_TYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found before a snapshot is taken.

    Attributes:
        files: those of the source.
        why: why all files are read, where there is a snapshot that might have been added to.
    """

    files: tuple[InputFile, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What is read, how, and where below `scratch/` the results go.

    `code` is the hash of the code of `clean`, None where nobody knows it; `why` is as it was `Found`.
    """

    dataset: Dataset
    files: tuple[InputFile, ...]
    scratch: str
    code: str | None = None
    why: str = ""

    def as_json(self) -> bytes:
        """The spec. A `clean` without a name to find it by can't be read again; see `engines.check_submittable`."""
        dataset = self.dataset
        clean = dataset.clean and f"{dataset.clean.__module__}:{dataset.clean.__qualname__}"
        said: dict[str, Any] = {
            "name": dataset.name,
            "source": said_of_source(dataset.source),
            "key": dataset.key,
            "columns": [[name, column.kind, column.nullable] for name, column in dataset.schema.items()],
            "clean": clean,
            "split": asdict(dataset.split),
        }
        if dataset.checks:
            said["checks"] = [as_json(check) for check in dataset.checks]
        files = [file.as_json() for file in self.files]
        where = {"scratch": self.scratch, "code": self.code, "why": self.why}
        return json.dumps({"dataset": said, "files": files, **where}, ensure_ascii=False).encode()


def find_inputs(source: Source) -> tuple[InputFile, ...]:
    """The files, or tables, of a source as they are now, in the order of their names.

    Raises:
        DataError: there is none, or one can't be read.
    """
    return tuple(find_tables(source) if source.format == BIGQUERY else find_files(source))


def said_of_source(source: Source) -> dict[str, str]:
    """A source as JSON values."""
    return {name: value for name, value in asdict(source).items() if value is not None}


def read_taking(objects: Objects, scratch: str) -> Taking:
    """Read the spec that stands in a scratch.

    Raises:
        ObjectMissing: nothing stands there any more.
        UsageError: `clean`, or the schema of a check, can't be imported here.
    """
    found = json.loads(objects.get_unverified(f"{scratch}/{SPEC}"))
    said = found["dataset"]
    dataset = Dataset(
        said["name"],
        source=Source(**said["source"]),
        key=said["key"],
        columns={name: _TYPES[kind] | None if nullable else _TYPES[kind] for name, kind, nullable in said["columns"]},
        clean=_imported(said["name"], "clean", said["clean"]) if said["clean"] else None,
        split=HashSplit(**said["split"]),
        checks=[from_json(check, partial(_imported, said["name"], "check")) for check in said.get("checks", ())],
    )
    files = tuple(InputFile(**file) for file in found["files"])
    more = {name: found[name] for name in ("code", "why") if name in found}  # a spec of an older Lockstep has none
    return Taking(dataset=dataset, files=files, scratch=found["scratch"], **more)


def _imported(dataset: str, what: str, text: str) -> Any:  # noqa: ANN401  whatever bears that name
    module, _, name = text.partition(":")
    try:
        return reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f'Dataset "{dataset}": its {what}, {module}.{name}, can\'t be imported here: {error}. Add the folder that'
            " holds it to PYTHONPATH, or the package to the image."
        ) from error
