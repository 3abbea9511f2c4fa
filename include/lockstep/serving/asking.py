"""`POST /apis/{api}/decisions`: the path that every decision takes, and as little else as can be.

Rules:
- Each response comes from one release, which it names.
- One row is answered by one answer, `{"rows": […]}` by one for each row. What is wrong with a row of many is answered
  for that row; what is wrong with a request, or its only row, is an error with one sentence.
- Rows that come as an Arrow stream get the same decisions, as a stream unless JSON is asked for.
- No value of a row reaches a log.
"""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from lockstep.errors import LockstepError, UsageError
from lockstep.journal import Answered
from lockstep.serving.arrow import decide_stream, wants_json
from lockstep.serving.body import ARROW, Asked, Gone, Receive, RequestRefused, Send, is_arrow, read_body, rows_of
from lockstep.serving.decider import Decider, NotReleased
from lockstep.serving.loaded import Answer
from lockstep.serving.metrics import Metrics
from lockstep.serving.recorder import Recorder
from lockstep.serving.sending import JSON, Scope, send_bytes, send_json

logger = logging.getLogger(__name__)
_BROKEN: Final = "This could not be decided; the service's log says where it broke, by the X-Request-ID."
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Decisions:
    """The ASGI app behind the route; `recorder` is told of every answer after it was sent."""

    def __init__(self, decider: Decider, metrics: Metrics, recorder: Recorder | None) -> None:
        self._decider, self._metrics, self._recorder = decider, metrics, recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = time.perf_counter()
        api: str = scope["path_params"]["api"]
        headers = dict(scope["headers"])
        request = _request_id(headers)
        said = {"X-Request-ID": request}
        try:
            _check_method(scope["method"])
            body = await read_body(headers, receive)
            if is_arrow(headers):
                await self._answer_stream(send, api, body, headers, request, begun)
                return
            asked = rows_of(body)
            answers = await self._decider.answer(api, asked.rows)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets an answer
            status = await _refuse(send, api, error, said)
            self._count(api, status, begun)
            return
        status = await _send(send, api, asked, answers, said)
        self._count(api, status, begun)
        self._tell(request, api, asked.rows, answers, len(body))

    async def _answer_stream(
        self, send: Send, api: str, body: bytes, headers: Mapping[bytes, bytes], request: str, begun: float
    ) -> None:
        """Answer an Arrow stream: decided in a thread, and by one release, since it is one request."""
        loaded, as_json = self._decider.current(api), wants_json(headers)
        needs_rows = as_json or self._recorder is not None
        found = await asyncio.to_thread(decide_stream, loaded, api, body, as_json=as_json, needs_rows=needs_rows)
        kind = JSON if as_json else ARROW.encode()
        status = await send_bytes(send, HTTPStatus.OK, found.body, kind, {"X-Request-ID": request})
        self._count(api, status, begun)
        if found.answers is None:
            self._metrics.decided_frame(api, found.decided, loaded.apis[api]["decides"])
        else:
            self._tell(request, api, found.rows, found.answers, len(body))

    def _tell(
        self, request: str, api: str, rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer], size: int
    ) -> None:
        """Say what was answered to those who count and record."""
        self._metrics.decided(api, answers)
        if self._recorder is not None:
            self._recorder.record(
                Answered(
                    request=request,
                    at=datetime.now(UTC),
                    group=self._decider.group_of(api) or "",
                    api=api,
                    release=answers[0]["release"],
                    rows=rows,
                    answers=answers,
                    size=size,
                )
            )

    def _count(self, api: str, status: int, begun: float) -> None:
        known = api if self._decider.group_of(api) else ""
        self._metrics.answered(known, status, time.perf_counter() - begun)


def _check_method(method: str) -> None:
    if method != "POST":
        raise RequestRefused(
            HTTPStatus.METHOD_NOT_ALLOWED, f"Decisions are asked for by POST, not by {method}.", {"Allow": "POST"}
        )


async def _send(send: Send, api: str, asked: Asked, answers: Sequence[Answer], said: Mapping[str, str]) -> int:
    if asked.is_one:
        (answer,) = answers
        if "error" in answer:
            return await send_json(send, HTTPStatus.UNPROCESSABLE_ENTITY, {"detail": answer["error"]}, said)
        return await send_json(send, HTTPStatus.OK, answer, said)
    for place, reason in asked.bad.items():
        answers[place]["error"] = reason
    document = {"api": api, "release": answers[0]["release"], "answers": answers}
    return await send_json(send, HTTPStatus.OK, document, said)


async def _refuse(send: Send, api: str, error: Exception, said: Mapping[str, str]) -> int:
    """Say what is wrong in one sentence. Of what nobody foresaw only the place is logged: its text may quote a row."""
    if isinstance(error, RequestRefused):
        return await send_json(send, error.status, {"detail": str(error)}, {**said, **error.headers})
    if isinstance(error, UsageError):
        return await send_json(send, HTTPStatus.NOT_FOUND, {"detail": str(error)}, said)
    if isinstance(error, NotReleased):
        return await send_json(send, HTTPStatus.SERVICE_UNAVAILABLE, {"detail": str(error)}, said)
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("API %s broke with a %s, request %s:\n%s", api, type(error).__name__, said["X-Request-ID"], where)
    sentence = str(error) if isinstance(error, LockstepError) else _BROKEN
    return await send_json(send, HTTPStatus.INTERNAL_SERVER_ERROR, {"detail": sentence}, said)


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own, where it is one, so that both sides speak of the request by one name."""
    given = headers.get(b"x-request-id")
    return given.decode() if given and _REQUEST_ID.fullmatch(given) else uuid4().hex
