"""The peer that is written as Beam's guides show it: the same steps as functions of one row.

Rules:
- Runner and options are ours. Rows that have the same key meet in a GroupByKey; profile and digest are combined.
- A frame of one row would be slower still, so `clean` is written for a row.
"""

import csv
from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from datasketches import kll_doubles_sketch

from groups.churn import SERVICES, customers
from lockstep.data.engines import Submission, runner_of
from lockstep.places import direct

Row = dict[str, Any]
WORDS = {"Yes": True, "No": False, "1": True, "0": False}
ARROW = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
SCHEMA = pa.schema(
    [
        *((name, ARROW[column.kind]) for name, column in customers.schema.items()),
        ("charge_growth", pa.float64()),
        ("_split", pa.string()),
    ]
)


def run(data: Path, kind: str, out: Path) -> str:
    """Preprocess `data/*.kind` into `out`, and say where the result is."""
    out.mkdir(parents=True)
    runner = runner_of(direct(), Submission(name="bench"))
    with beam.Pipeline(runner=runner.name, options=PipelineOptions([*runner.options])) as pipeline:
        rows = (
            pipeline
            | beam.Create([str(path) for path in sorted(data.glob(f"*.{kind}"))])
            | beam.Reshuffle()
            | "read" >> beam.FlatMap(_rows)
            | "parse" >> beam.Map(_typed)
            | "check" >> beam.Filter(lambda row: all(value is not None for value in row.values()))
            | "clean" >> beam.Map(_clean)
            | "split" >> beam.Map(_with_split)
            | "key" >> beam.Map(lambda row: (row[customers.key], row))
            | "meet" >> beam.GroupByKey()
            | "unique" >> beam.FlatMap(_only)
        )
        _ = (
            rows
            | "cells" >> beam.FlatMap(_cells)
            | "profile" >> beam.CombinePerKey(Profile())
            | "profile to text" >> beam.Map(str)
            | "write profile" >> beam.io.WriteToText(str(out / "profile"))
        )
        _ = (
            rows
            | "hash" >> beam.Map(lambda row: int.from_bytes(sha256(repr(row).encode()).digest()))
            | "digest" >> beam.CombineGlobally(sum)
            | "write digest" >> beam.io.WriteToText(str(out / "digest"))
        )
        _ = rows | "write" >> beam.io.WriteToParquet(
            str(out / "rows"), SCHEMA, codec="zstd", file_name_suffix=".parquet"
        )
    return str(out / "rows*.parquet")


def _rows(path: str) -> Iterator[Row]:
    if path.endswith(".parquet"):
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    with Path(path).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _typed(row: Row) -> Row:
    return {name: _cell(row[name], column.kind) for name, column in customers.schema.items()}


def _cell(value: Any, kind: str) -> Any:  # noqa: ANN401  a cell of any type
    text = str("" if value is None else value).strip()
    try:
        match kind:
            case "bool":
                return WORDS.get(text)
            case "int":
                return int(text)
            case "float":
                return float(text)
            case _:
                return text or None
    except ValueError:
        return None


def _clean(row: Row) -> Row:
    services = {name: "No" if row[name].startswith("No ") else row[name] for name in SERVICES}
    usual = row["TotalCharges"] / max(row["tenure"], 1)
    return row | services | {"charge_growth": round(row["MonthlyCharges"] - usual, 2)}


def _with_split(row: Row) -> Row:
    share = int.from_bytes(blake2b(row[customers.key].encode(), digest_size=8).digest()) / 2**64
    return row | {"_split": "test" if share < 0.2 else "validation" if share < 0.4 else "train"}  # noqa: PLR2004  the declared shares


def _only(found: tuple[str, Iterable[Row]]) -> list[Row]:
    rows = list(found[1])
    return rows if len(rows) == 1 else []


def _cells(row: Row) -> Iterator[tuple[tuple[str, str], Any]]:
    for name, value in row.items():
        if name not in (customers.key, "_split"):
            yield (row["_split"], name), value


class Sketch:
    """A sketch that can be sent to another worker."""

    def __init__(self, data: bytes | None = None) -> None:
        self.of = kll_doubles_sketch.deserialize(data) if data else kll_doubles_sketch(400)

    def __reduce__(self) -> tuple[type, tuple[bytes]]:
        return Sketch, (self.of.serialize(),)


class Profile(beam.CombineFn):  # type: ignore[misc]  Beam carries no types
    """Count, sum, and the quantiles of numbers or the counts of values."""

    def create_accumulator(self) -> tuple[int, float, Any, dict[Any, int]]:
        """Begin."""
        return 0, 0.0, Sketch(), {}

    def add_input(self, into: Any, value: Any) -> Any:  # noqa: ANN401  as Beam has it
        """Take a value in."""
        count, total, sketch, values = into
        if isinstance(value, str | bool):
            values[value] = values.get(value, 0) + 1
        else:
            total += value
            sketch.of.update(value)
        return count + 1, total, sketch, values

    def merge_accumulators(self, several: Iterable[Any]) -> Any:  # noqa: ANN401  as Beam has it
        """Put several together."""
        whole = self.create_accumulator()
        for count, total, sketch, values in several:
            whole[2].of.merge(sketch.of)
            for value, times in values.items():
                whole[3][value] = whole[3].get(value, 0) + times
            whole = (whole[0] + count, whole[1] + total, whole[2], whole[3])
        return whole

    def extract_output(self, found: Any) -> Any:  # noqa: ANN401  as Beam has it
        """Say what was found."""
        count, total, sketch, values = found
        return count, total, [] if sketch.of.is_empty() else sketch.of.get_quantiles([0.05, 0.5, 0.95]), values
