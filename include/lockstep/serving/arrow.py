"""Many rows as an Arrow IPC stream: columns from one end to the other, where JSON would be most of the work.

Rules:
- What is decided, and what is refused, is what the same rows in JSON would get.
- A body is at most `MOST_BYTES`, and nothing in it unfolds into more: compressed bodies, dictionaries and views, which
  say much in a few bytes, are refused.
- Nothing of a body is believed before Arrow has validated all of it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import polars as pl
import pyarrow as pa

from lockstep.serving.body import ARROW, MOST_ROWS, RequestRefused
from lockstep.serving.framed import decide_frame, frame_of_answers
from lockstep.serving.loaded import Answer, Loaded
from lockstep.serving.sending import json_of
from lockstep.serving.wide import FrameRows

_RELEASE, _VERSIONS = b"lockstep.release", b"lockstep.versions"
_BATCH: Final = 3  # what a Message of Arrow's Message.fbs may hold: a RecordBatch
_HEADER, _COMPRESSION = 2, 3  # the places of these fields in Message and in RecordBatch
_TAKEN: Final = "bool, int, float, string, large_string, date32 and null"


def frame_of(body: bytes) -> pl.DataFrame:
    """The rows of a stream.

    Raises:
        RequestRefused: it is no stream, has no rows or too many, or columns of a type that is not taken.
    """
    try:
        table = _table_of(body)
    except (pa.ArrowException, OSError, struct.error, IndexError, UnicodeError) as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The body is no Arrow IPC stream: {said}.") from None
    if not 0 < table.num_rows <= MOST_ROWS:
        raise _refused(
            f"The stream holds {table.num_rows:,} rows; between 1 and {MOST_ROWS:,} are decided in one request."
        )
    return pl.DataFrame(table.to_reader())  # as a stream, in two thirds of the time of a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of a stream.

    Attributes:
        body: the answer.
        rows: what was asked.
        decided: as `decide_frame` gives it; of no meaning where there are `answers`.
        answers: one for each row, where they were needed.
    """

    body: bytes
    rows: FrameRows
    decided: pl.DataFrame
    answers: list[Answer] | None


def decide_stream(loaded: Loaded, api: str, body: bytes, *, as_json: bool, needs_rows: bool) -> Decided:
    """Decide on the rows of a stream; the answer is a stream of what `decide_frame` gives, or the JSON of many rows.

    Raises:
        RequestRefused: the stream can't be used.
        UsageError: the release has no such API.
    """
    frame = frame_of(body)
    rows = FrameRows(frame)
    answers = loaded.decide(api, rows) if needs_rows else None
    if answers is not None and as_json:
        document = {"api": api, "release": loaded.release, "answers": answers}
        return Decided(body=json_of(document), rows=rows, decided=frame, answers=answers)
    decided = decide_frame(loaded, api, frame) if answers is None else frame_of_answers(loaded, api, answers)
    return Decided(body=body_of(decided, loaded, api), rows=rows, decided=decided, answers=answers)


def body_of(frame: pl.DataFrame, loaded: Loaded, api: str) -> bytes:
    """The decisions as a stream, whose metadata names the release and the versions behind each threshold."""
    cuts = loaded.plans[api].cuts
    told = {_RELEASE: loaded.release, _VERSIONS: json.dumps({name: dict(cut.names) for name, cut in cuts.items()})}
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).replace_schema_metadata(told)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def wants_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether who sent a stream would rather have JSON back."""
    accepted = headers.get(b"accept", b"").lower()
    return b"application/json" in accepted and ARROW.encode() not in accepted


def _table_of(body: bytes) -> pa.Table:
    """All batches, validated."""
    _check_plain(body)
    with pa.ipc.open_stream(body) as reader:
        _check_schema(reader.schema)
        batches: list[pa.RecordBatch] = []
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            if rows > MOST_ROWS:
                raise _refused(f"The stream holds more than {MOST_ROWS:,} rows; send it in several requests.")
            batch.validate(full=True)
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _check_schema(schema: pa.Schema) -> None:
    names: set[str] = set()
    for field in schema:
        if field.name in names:
            raise _refused(f'The stream has several columns "{field.name[:40]}"; a name stands for one.')
        names.add(field.name)
        if not _is_taken(field.type):
            shown = str(field.type)[:40]
            raise _refused(f'Column "{field.name[:40]}" is of type {shown}; taken are {_TAKEN}.')


def _is_taken(kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_number or is_text or pa.types.is_date32(kind) or pa.types.is_null(kind))


def _check_plain(body: bytes) -> None:
    """Refuse batches that are compressed, before Arrow unpacks one: nobody knows how large it would be."""
    for message in pa.ipc.MessageReader.open_stream(body):
        if _is_compressed(message.metadata.to_pybytes()):
            raise RequestRefused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Compressed Arrow batches are not taken; write them plain."
            )


def _is_compressed(metadata: bytes) -> bool:
    """Whether a flatbuffer Message is a batch that says how it is compressed."""
    (message,) = struct.unpack_from("<I", metadata)
    kind = _field(metadata, message, _HEADER - 1)
    if not kind or metadata[kind] != _BATCH:
        return False
    at = _field(metadata, message, _HEADER)
    batch = at + int(struct.unpack_from("<I", metadata, at)[0])
    return bool(_field(metadata, batch, _COMPRESSION))


def _field(data: bytes, table: int, place: int) -> int:
    """Where a field of a flatbuffer's table stands; 0 where it is left out."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = int(struct.unpack_from("<H", data, vtable)[0])
    entry = 4 + 2 * place
    offset = int(struct.unpack_from("<H", data, vtable + entry)[0]) if entry < size else 0
    return table + offset if offset else 0


def _refused(sentence: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
