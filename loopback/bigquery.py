"""BigQuery on loopback: the description of tables over REST, their rows over gRPC, for official clients as they are.

Rules:
- A table is a history: each change has a time, in milliseconds, and a reader who names a moment gets the state of then.
  A moment that lies ahead, or before the table's first change, is refused.
- A change of the description alone (`describe`) gives another etag and another time, and the same rows.
- Rows come in streams, each of several messages; a filter is evaluated before that, a stream may be empty.
- Nothing is written by clients. Not there: queries, views' rows, permissions but those that a test takes away, quotas.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import grpc
import polars as pl
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

from loopback.google import Google, authority
from loopback.relay import Message, serving
from loopback.vertex.wire import Faults, Refused

REST: Final = "bigquery.googleapis.com"
STORAGE: Final = "bigquerystorage.googleapis.com"
SERVICE: Final = "google.cloud.bigquery.storage.v1.BigQueryRead"
BATCH: Final = 1_000  # rows of a message
PAGE: Final = 2  # tables of a page
_CODES: Final = {404: "notFound", 403: "accessDenied"}
_SQL: Final = {"string": "STRING", "bool": "BOOLEAN", "date32[day]": "DATE", "double": "FLOAT", "int64": "INTEGER"}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A table from one change to the next."""

    at: datetime
    rows: pa.Table
    kind: str = "TABLE"

    @property
    def etag(self) -> str:
        """It says nothing of the rows, as the real one."""
        return md5(self.at.isoformat().encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True, kw_only=True)
class Stream:
    """What one reader gets."""

    rows: pa.Table
    schema: bytes


@dataclass(slots=True)
class BigQuery:
    """Tables, what was asked, and what a test may take away.

    Attributes:
        asked: every call, as `GET tables/customers`, `CreateReadSession` or `ReadRows`.
        faults: of the calls over gRPC.
        hidden: tables that this account may not read.
    """

    asked: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    hidden: set[str] = field(default_factory=set)
    sessions: list[types.ReadSession] = field(default_factory=list)
    _tables: dict[str, list[State]] = field(default_factory=dict)
    _streams: dict[str, Stream] = field(default_factory=dict)

    def put(self, name: str, rows: pl.DataFrame | pa.Table, *, at: datetime | None = None, kind: str = "TABLE") -> None:
        """Change `project.dataset.table` now, or at a moment: from then on it has these rows."""
        table = rows if isinstance(rows, pa.Table) else rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        table = table.cast(pa.schema([one.with_type(_plain(one.type)) for one in table.schema]))
        self._tables.setdefault(name, []).append(State(at=_tick(at or datetime.now(UTC)), rows=table, kind=kind))

    def describe(self, name: str) -> None:
        """Change the description alone."""
        self.put(name, self._tables[name][-1].rows)

    def answer(self, request: Message) -> Message:
        """Answer over REST."""
        _, _, version, _, project, _, dataset, *rest = unquote(urlsplit(request.path).path).split("/")
        self.asked.append(f"{request.method} {'/'.join(rest)}")
        if version != "v2" or request.method != "GET" or rest[:1] != ["tables"]:
            return _said(404, {"error": {"code": 404, "message": f"Not found: {request.path}"}})
        inside = f"{project}.{dataset}."
        if len(rest) == 1:
            return self._list(inside, urlsplit(request.path).query)
        name = inside + rest[1]
        label = f"{project}:{dataset}.{rest[1]}"
        if name in self.hidden:
            return _refused(403, f"Access Denied: Table {label}: Permission bigquery.tables.get denied")
        if name not in self._tables:
            return _refused(404, f"Not found: Table {label}")
        return _said(200, _resource(name, self._tables[name]))

    def close(self) -> None:
        """It holds nothing."""

    def _list(self, inside: str, query: str) -> Message:
        names = sorted(name for name in self._tables if name.startswith(inside))
        start = int(query.partition("pageToken=")[2].partition("&")[0] or 0)
        found = [{"tableReference": _reference(name), "type": "TABLE"} for name in names[start : start + PAGE]]
        more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(names) else {}
        return _said(200, {"tables": found, **more})

    def begin(self, request: types.CreateReadSessionRequest) -> types.ReadSession:
        """Deal a table's rows out to streams."""
        wanted = request.read_session
        _, project, _, dataset, _, leaf = wanted.table.split("/")
        name = f"{project}.{dataset}.{leaf}"
        if name in self.hidden:
            raise Refused(grpc.StatusCode.PERMISSION_DENIED, f"Permission bigquery.tables.getData denied on {name}")
        rows = _filtered(self._as_of(name, wanted), wanted.read_options)
        schema = rows.schema.serialize().to_pybytes()
        count = max(1, request.max_stream_count or 1) if rows.num_rows else 0
        session = types.ReadSession(wanted)
        session.name = f"projects/{project}/locations/eu/sessions/{len(self.sessions)}"
        session.arrow_schema = types.ArrowSchema(serialized_schema=schema)
        session.estimated_row_count = rows.num_rows
        each = -(-rows.num_rows // count) if count else 0
        for number in range(count):
            stream = f"{session.name}/streams/{number}"
            self._streams[stream] = Stream(rows=rows.slice(number * each, each), schema=schema)
            session.streams.append(types.ReadStream(name=stream))
        self.sessions.append(session)
        return session

    def read(self, request: types.ReadRowsRequest) -> Iterator[types.ReadRowsResponse]:
        """The messages of a stream, from a row on."""
        stream = self._streams.get(request.read_stream)
        if stream is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Stream {request.read_stream} is not found or has expired.")
        for batch in stream.rows.slice(request.offset).to_batches(BATCH):
            yield types.ReadRowsResponse(
                row_count=batch.num_rows,
                arrow_record_batch=types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes()),
                arrow_schema=types.ArrowSchema(serialized_schema=stream.schema),
            )

    def _as_of(self, name: str, wanted: types.ReadSession) -> pa.Table:
        states = self._tables.get(name)
        if states is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Not found: Table {name}")
        moment = wanted.table_modifiers.snapshot_time
        if moment is None:
            return states[-1].rows
        if moment > datetime.now(UTC) + timedelta(milliseconds=1):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid snapshot time {moment}: it is in the future.")
        then = [state for state in states if state.at <= moment]
        if not then:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid snapshot time {moment}: before the table was.")
        return then[-1].rows


@contextmanager
def bigquery(way: Google) -> Iterator[BigQuery]:
    """Run it behind the proxy of `loopback.google`, until the block ends."""
    service = BigQuery()
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((_handler(service),))
    known = authority()
    credentials = grpc.ssl_server_credentials([(known.key.read_bytes(), known.certificate.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        with (
            serving(service, tls=known.context()) as rest,
            way.proxy.leading((REST,), rest),
            way.proxy.leading((STORAGE,), port),
        ):
            yield service
    finally:
        server.stop(grace=None).wait()


def _handler(service: BigQuery) -> grpc.GenericRpcHandler:
    begin, read = _noted(service, "CreateReadSession"), _noted(service, "ReadRows")

    def begun(request: types.CreateReadSessionRequest, context: grpc.ServicerContext) -> types.ReadSession:
        begin(context)
        try:
            return service.begin(request)
        except Refused as refused:
            context.abort(refused.code, str(refused))

    def rows(request: types.ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        try:
            for place, message in enumerate(service.read(request)):
                if place:
                    yield message
                    continue
                yield message
                read(context)  # behind the first message: whoever goes on has to say where he was
        except Refused as refused:
            context.abort(refused.code, str(refused))

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                begun,
                request_deserializer=types.CreateReadSessionRequest.deserialize,
                response_serializer=types.ReadSession.serialize,
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                rows,
                request_deserializer=types.ReadRowsRequest.deserialize,
                response_serializer=types.ReadRowsResponse.serialize,
            ),
        },
    )


def _noted(service: BigQuery, method: str) -> Callable[[grpc.ServicerContext], None]:
    def note(context: grpc.ServicerContext) -> None:
        service.asked.append(method)
        if fault := service.faults.take(method):
            context.abort(fault.code, fault.message)

    return note


def _filtered(rows: pa.Table, options: types.ReadSession.TableReadOptions) -> pa.Table:
    unknown = [name for name in options.selected_fields if name not in rows.column_names]
    if unknown:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"The following selected fields do not exist: {unknown}")
    if options.row_restriction:
        try:
            kept = pl.DataFrame(rows).select(pl.sql_expr(options.row_restriction)).to_series()
        except (pl.exceptions.PolarsError, AttributeError) as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Query error: {error}") from None
        rows = rows.filter(kept.to_arrow())
    wanted = set(options.selected_fields) or set(rows.column_names)
    return rows.select([name for name in rows.column_names if name in wanted])  # in the table's order


def _resource(name: str, states: list[State]) -> dict[str, Any]:
    now = states[-1]
    fields = [_field(one) for one in now.rows.schema]
    return {
        "kind": "bigquery#table",
        "etag": now.etag,
        "id": name,
        "tableReference": _reference(name),
        "type": now.kind,
        "schema": {"fields": fields},
        "numRows": str(now.rows.num_rows),
        "numBytes": str(now.rows.nbytes),
        "creationTime": str(_milliseconds(states[0].at)),
        "lastModifiedTime": str(_milliseconds(now.at)),
        "location": "EU",
    }


def _field(one: Any) -> dict[str, Any]:  # noqa: ANN401  pyarrow carries no types
    if pa.types.is_list(one.type) or pa.types.is_large_list(one.type):
        return {**_field(one.type.value_field.with_name(one.name)), "mode": "REPEATED"}
    if pa.types.is_struct(one.type):
        return {"name": one.name, "type": "RECORD", "mode": "NULLABLE", "fields": [_field(part) for part in one.type]}
    kind = "TIMESTAMP" if pa.types.is_timestamp(one.type) else _SQL.get(str(one.type), "NUMERIC")
    return {"name": one.name, "type": kind, "mode": "NULLABLE"}


def _plain(kind: Any) -> Any:  # noqa: ANN401  see above
    """As the real service has it: texts are not large ones."""
    return pa.string() if pa.types.is_large_string(kind) else kind


def _reference(name: str) -> Mapping[str, str]:
    return dict(zip(("projectId", "datasetId", "tableId"), name.rsplit(".", 2), strict=True))


def _refused(code: int, message: str) -> Message:
    error = {"code": code, "message": message, "errors": [{"reason": _CODES[code], "message": message}]}
    return _said(code, {"error": error})


def _said(status: int, body: Mapping[str, Any]) -> Message:
    headers = {"Content-Type": "application/json"}
    return Message(status=status, headers=headers, body=json.dumps(body).encode())


def _tick(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
