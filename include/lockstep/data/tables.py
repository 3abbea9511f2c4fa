"""Tables of BigQuery: found by name, cut into streams, and read as Arrow by Google's own clients.

Rules:
- What is read is the table's state at one moment, `as_of`, which lies between its last change and the look that found
  it: whatever is written meanwhile is not seen, and the same moment gives the same rows again as long as BigQuery
  keeps it (a week, unless the dataset says otherwise).
- Whether anything is new is told by the table's description (etag and last change); no row is read, no query runs, and
  nothing is billed for that.
- Only the declared columns are asked for; `where` is evaluated by BigQuery. One that is missing, or whose type can't
  become the declared one in any row, is an error before a row is read.
- Google's packages are imported when a table is asked for, and not before (the extra `google` holds them).
- A row's `_line` is its place in the stream that it came by: a table has no order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

from lockstep.data.reading import RAGGED, SHARD, SLICE, Rows, Shard
from lockstep.data.sources import InputFile
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.source import Source

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, SchemaField, Table
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

_SCHEME: Final = "bigquery://"
_READABLE: Final = ("TABLE", "SNAPSHOT")
_STREAMS: Final = 200  # at most; a stream that is not begun within six hours is gone
_SECONDS: Final = 60.0  # of one request, with all that is tried again
_TICK: Final = timedelta(milliseconds=1)  # in which BigQuery tells the time of a change
_AGO: Final = timedelta(hours=1)  # more than clocks are wrong, and less than the shortest time that BigQuery looks back
_FITTING: Final[dict[str, frozenset[str]]] = {
    "int": frozenset({"INTEGER", "NUMERIC", "BIGNUMERIC", "STRING"}),
    "float": frozenset({"FLOAT", "INTEGER", "NUMERIC", "BIGNUMERIC", "STRING"}),
    "bool": frozenset({"BOOLEAN", "INTEGER", "STRING"}),
    "date": frozenset({"DATE", "STRING"}),
    "str": frozenset({"STRING", "INTEGER", "NUMERIC", "BIGNUMERIC", "BOOLEAN", "DATE", "DATETIME", "TIME", "JSON"}),
}
_NAMES: Final = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}  # SQL's, and REST's


def is_table(file: InputFile) -> bool:
    """Whether it is a table, and no file."""
    return file.path.startswith(_SCHEME)


def find_tables(source: Source) -> list[InputFile]:
    """The tables that a source names, in the order of their names, each as it is now.

    Raises:
        DataError: there is none, it can't be read, or is a view.
    """
    project, dataset, name = source.pattern.rsplit(".", 2)
    said = f'Source bigquery("{source.pattern}"): '
    with _told(said, project):
        client = _client(project)
        if not {"*", "?"} & {*name}:
            return [_described(client.get_table(source.pattern, timeout=_SECONDS), said)]
        names = [item.table_id for item in client.list_tables(f"{project}.{dataset}", timeout=_SECONDS)]
        tables = [
            client.get_table(f"{project}.{dataset}.{one}", timeout=_SECONDS)
            for one in sorted(names)
            if fnmatchcase(one, name)
        ]
    if not tables:
        raise DataError(
            f"{said}none of the {len(names)} tables of {project}.{dataset} has such a name. Correct the name, or make"
            " the table."
        )
    return [_described(table, said) for table in tables]


def cut_table(dataset: Dataset, file: InputFile, name: str) -> list[Shard]:
    """The streams by which BigQuery hands a table out, to be read side by side; one at least.

    Raises:
        DataError: a declared column is not there or has a type that doesn't fit, or the table can't be read.
    """
    table = file.path.removeprefix(_SCHEME)
    project, group, leaf = table.rsplit(".", 2)
    said = f'Source bigquery("{table}"): '
    where = dataset.source.where
    with _told(said, project, where):
        from google.cloud.bigquery_storage_v1 import types

        _check_columns(dataset, _client(project).get_table(table, timeout=_SECONDS).schema, said)
        session = types.ReadSession(
            table=f"projects/{project}/datasets/{group}/tables/{leaf}",
            data_format=types.DataFormat.ARROW,
            read_options={"selected_fields": list(dataset.schema), "row_restriction": where or ""},
            table_modifiers={"snapshot_time": datetime.fromisoformat(file.as_of)} if file.as_of else None,
        )
        with _reader() as client:
            begun = client.create_read_session(
                parent=f"projects/{_billed(project)}",
                read_session=session,
                max_stream_count=min((file.rows or 0) // SHARD + 1, _STREAMS),
                timeout=_SECONDS,
            )
    shared = Shard(name=name, file=file, stream="", schema=begun.arrow_schema.serialized_schema)
    shards = [
        replace(shared, name=f"{name}-{number:05d}", stream=stream.name) for number, stream in enumerate(begun.streams)
    ]
    return shards or [shared]


def chunks_of_table(shard: Shard) -> Iterator[Rows]:
    """The rows of a stream, at least one chunk, which may be empty.

    Raises:
        DataError: the stream can't be read to its end.
    """
    table = shard.file.path.removeprefix(_SCHEME)
    schema = pa.ipc.read_schema(pa.py_buffer(shard.schema))
    yield _rows(shard, schema.empty_table(), 1)
    if not shard.stream:
        return
    line, held, rows = 1, list[Any](), 0
    with _told(f'Source bigquery("{table}"): ', table.rsplit(".", 2)[0]), _reader() as client:
        for message in client.read_rows(shard.stream):  # goes on where it was, if the line is cut
            batch = pa.py_buffer(message.arrow_record_batch.serialized_record_batch)
            held.append(pa.ipc.read_record_batch(batch, schema))
            rows += held[-1].num_rows
            if rows >= SLICE:
                yield _rows(shard, pa.Table.from_batches(held), line)
                line, held, rows = line + rows, [], 0
    if held:
        yield _rows(shard, pa.Table.from_batches(held), line)


def _rows(shard: Shard, table: Any, line: int) -> Rows:  # noqa: ANN401  pyarrow carries no types
    frame = pl.DataFrame(table)
    lines = pl.int_range(line, line + frame.height, dtype=pl.Int64, eager=True)
    return Rows(
        frame=frame.with_columns(_file=pl.lit(shard.file.path), _line=lines), ragged=pl.DataFrame(schema=RAGGED)
    )


def _described(table: "Table", said: str) -> InputFile:
    if table.table_type not in _READABLE:
        raise DataError(
            f"{said}it is a {table.table_type}, whose rows BigQuery does not hold, so that nobody could tell whether"
            " they changed. Name a table, or let a scheduled query write the rows to one."
        )
    changed = table.modified or table.created
    moment = max(changed + _TICK, datetime.now(UTC) - _AGO)
    return InputFile(
        path=f"{_SCHEME}{table.project}.{table.dataset_id}.{table.table_id}",
        size=table.num_bytes or 0,
        etag=table.etag,
        version=changed.isoformat(timespec="milliseconds"),
        rows=table.num_rows or 0,
        as_of=None if table.table_type == "SNAPSHOT" else moment.isoformat(timespec="milliseconds"),
    )


# ------------------------------------------------------------------------------------------------------------- columns


def _check_columns(dataset: Dataset, fields: "list[SchemaField]", said: str) -> None:
    there = {field.name: field for field in fields}
    if missing := [name for name in dataset.schema if name not in there]:
        near = {name: get_close_matches(name, there.keys() - dataset.schema.keys(), n=1) for name in missing}
        pairs = ", ".join(f'"{found[0]}" for "{name}"' for name, found in near.items() if found)
        meant = f" Is it {pairs}?" if pairs else ""
        raise DataError(
            f"{said}columns {', '.join(missing)} are declared, but the table has only {', '.join(there)}."
            f"{meant} Correct the table or the declaration."
        )
    for name, column in dataset.schema.items():
        field = there[name]
        kind = _NAMES.get(field.field_type, field.field_type)
        if field.mode == "REPEATED" or kind == "RECORD":
            what = f"repeated ({kind})" if field.mode == "REPEATED" else "nested (a RECORD)"
            raise DataError(
                f'{said}column "{name}" is {what} in the table, and a dataset has one plain value in each row. Let a'
                " query flatten the table into another, or leave the column out."
            )
        if kind not in _FITTING[column.kind]:
            fitting = ", ".join(sorted(_FITTING[column.kind]))
            raise DataError(
                f'{said}column "{name}" is a {kind} in the table, and is declared {column.kind}, which can be made of'
                f" {fitting}. Correct the declaration, or let a query write another type."
            )


# ------------------------------------------------------------------------------------------------------------- clients


def _client(project: str) -> "Client":
    from google.cloud.bigquery import Client

    return Client(project=_billed(project))


@contextmanager
def _reader() -> Iterator["BigQueryReadClient"]:
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

    client = BigQueryReadClient()
    try:
        yield client
    finally:
        client.transport.close()


def _billed(project: str) -> str:
    """The project that asks: that of the credentials, if they have one, else the table's."""
    import google.auth

    _, own = google.auth.default()
    return own or project


@contextmanager
def _told(said: str, project: str, where: str | None = None) -> Iterator[None]:
    """Whatever goes wrong with Google's clients within the block is told in our words."""
    try:
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException
    except ImportError as missing:
        raise DataError(
            f"{said}{missing.name} is not installed here. Install airflow-provider-lockstep[google]."
        ) from None
    try:
        yield
    except exceptions.NotFound as error:
        raise DataError(
            f"{said}there is no such table, or this account may not know of it: {_short(error)}. Correct the name, or"
            " make the table."
        ) from None
    except exceptions.Forbidden as error:
        raise DataError(
            f"{said}this account may not read it: {_short(error)}. It needs the roles BigQuery Data Viewer on the"
            f" table and BigQuery Read Session User on project {project}."
        ) from None
    except exceptions.BadRequest as error:
        way = f'Correct where="{where}".' if where else "Take the snapshot again."
        raise DataError(f"{said}BigQuery does not take what was asked: {_short(error)}. {way}") from None
    except GoogleAuthError as error:
        raise DataError(
            f"{said}there are no credentials for Google Cloud: {_short(error)}. Name a key in"
            " GOOGLE_APPLICATION_CREDENTIALS, or say `gcloud auth application-default login`."
        ) from None
    except (exceptions.GoogleAPIError, RequestException) as error:
        raise DataError(f"{said}it can't be read now: {_short(error)}. Try again.") from None


def _short(error: Exception) -> str:
    text = str(getattr(error, "message", "") or error)
    return " ".join(text.split()).rstrip(".")
