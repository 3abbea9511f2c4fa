"""Recent requests as rows to decide on: parsed and cleaned as the dataset does it, a bounded number at a time.

Rules:
- A request may come without labels, without a key, and again: all that a service would decide on is decided on.
- What a service would refuse is left out and counted by its reason, never guessed.
- Memory does not depend on the size of the file.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import polars as pl

from lockstep.data.bucket import clean_rows, turns_of
from lockstep.data.reading import chunks_of, shards_of
from lockstep.data.rows import REASON, kinds_of, parse_rows
from lockstep.data.sources import InputFile, find_files
from lockstep.declare import Column, Dataset
from lockstep.errors import DataError, UsageError
from lockstep.source import Source

_CSV, _PARQUET, _JSON_LINES = (".csv",), (".parquet", ".pq"), (".jsonl", ".ndjson")
_LINES: Final = 1 << 14
_PLACE: Final = "_line"


@dataclass(slots=True, kw_only=True)
class Requests:
    """A file of requests in the columns of a dataset.

    Attributes:
        labels: columns that may be missing.
        left_out: how many requests could not be used, by reason; complete once all were read.
    """

    dataset: Dataset
    file: InputFile
    labels: frozenset[str]
    left_out: Counter[str] = field(default_factory=Counter)

    def batches(self) -> Iterator[pl.DataFrame]:
        """The cleaned requests, a frame at a time; no key stands twice in one.

        Raises:
            DataError: the file can't be read, a column is missing, or `clean` failed.
        """
        schema = schema_of_requests(self.dataset, self.labels)
        yield from cleaned_requests(self.dataset, schema, self._read(schema), self.labels, self.left_out)

    def _read(self, schema: Mapping[str, Column]) -> Iterator[pl.DataFrame]:
        if self.file.path.endswith(_JSON_LINES):
            yield from _json_lines(self.file.path, schema)
            return
        source = Source("csv" if self.file.path.endswith(_CSV) else "parquet", self.file.path)
        for shard in shards_of(source, self.file, "requests"):
            for rows in chunks_of(source, shard):
                self.left_out.update(_counts(rows.ragged[REASON]))
                yield rows.frame.drop("_file", _PLACE)


def open_requests(dataset: Dataset, path: str, labels: Collection[str]) -> Requests:
    """A file of requests: `.csv` with a header line, `.parquet`, or `.jsonl` with a JSON object a line.

    Raises:
        UsageError: the name ends otherwise.
        DataError: there is no such file.
    """
    kinds = (*_CSV, *_PARQUET, *_JSON_LINES)
    if not path.endswith(kinds):
        raise UsageError(f"Requests {path}: the kind of file is told by its end, which is one of {', '.join(kinds)}.")
    files = find_files(Source("requests", str(Path(path).absolute()) if "://" not in path else path))
    return Requests(dataset=dataset, file=files[0], labels=frozenset(labels))


def schema_of_requests(dataset: Dataset, labels: Collection[str]) -> dict[str, Column]:
    """The declared columns; those of `labels` may be blank."""
    return {
        name: replace(column, nullable=True) if name in labels else column for name, column in dataset.schema.items()
    }


def cleaned_requests(
    dataset: Dataset,
    schema: Mapping[str, Column],
    frames: Iterable[pl.DataFrame],
    labels: Collection[str],
    left_out: Counter[str],
) -> Iterator[pl.DataFrame]:
    """Requests in the columns of `schema`, as a service would decide on them; what it would refuse is counted.

    Raises:
        DataError: a column is missing that is no label, or `clean` failed.
    """
    first = 0
    for raw in frames:
        numbered = _with_keys(raw, dataset.key, schema, first)
        first += raw.height
        parsed = parse_rows(_with_columns(numbered, [name for name in schema if name in labels]), schema)
        left_out.update(_counts(kinds_of(parsed.bad, schema)))
        good = parsed.good.drop(_PLACE)
        for turn in turns_of(good[dataset.key].to_list()):
            rows = good[turn]
            cleaned = clean_rows(dataset, rows)
            if cleaned.height < rows.height:
                left_out["left out by clean"] += rows.height - cleaned.height
            yield cleaned


def _with_keys(rows: pl.DataFrame, key: str, schema: Mapping[str, Column], first: int) -> pl.DataFrame:
    """Number the rows, and name those without a key by their number."""
    numbered = rows.with_columns(pl.int_range(first + 1, first + rows.height + 1, dtype=pl.Int64).alias(_PLACE))
    word = pl.format("request {}", _PLACE) if schema[key].kind == "str" else pl.col(_PLACE).cast(pl.String)
    if key not in rows.columns:
        return numbered.with_columns(word.alias(key))
    given = pl.col(key).cast(pl.String)
    return numbered.with_columns(pl.when(given != "").then(given).otherwise(word).alias(key))


def _with_columns(rows: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    return rows.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in names if name not in rows.columns)


def _counts(reasons: pl.Series) -> dict[str, int]:
    return dict(reasons.value_counts().rows())


def _json_lines(path: str, schema: Mapping[str, Column]) -> Iterator[pl.DataFrame]:
    try:
        with Path(path.removeprefix("file://")).open(encoding="utf-8") as file:
            lines = enumerate(file, start=1)
            while chunk := list(islice(lines, _LINES)):
                rows = [_object(path, number, line) for number, line in chunk if line.strip()]
                given = {name for row in rows for name in row}
                values = {name: [_as_text(row.get(name)) for row in rows] for name in schema if name in given}
                yield pl.DataFrame(values, schema=dict.fromkeys(values, pl.String))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"File {path} can't be read: {error}. Write it as UTF-8, with a JSON object a line.") from None


def _object(path: str, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"File {path}, line {number}: this is no JSON ({error}). Write a JSON object a line.") from None
    if not isinstance(found, dict):
        raise DataError(f"File {path}, line {number}: this is no JSON object. Write one a line.")
    return found


def _as_text(value: Any) -> str | None:  # noqa: ANN401  JSON
    return value if value is None or isinstance(value, str) else json.dumps(value)
