"""Long-running operations: an answer at once, the work behind it, and the result when somebody asks again.

Rules:
- An operation is never done in the answer that names it: who starts one has to wait for it, as with the real service.
- Its work runs in a thread of its own; what refuses in it becomes the operation's error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Lock, Thread
from typing import Any, Final, NoReturn

import grpc
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from loopback.vertex.wire import Method, Refused, missing

SERVICE: Final = "google.longrunning.Operations"


class Operations:
    """All operations of one service."""

    def __init__(self) -> None:
        self._known: dict[str, operations_pb2.Operation] = {}
        self._held: dict[str, Event] = {}
        self._failing: dict[str, list[Refused]] = {}
        self._lock = Lock()

    @contextmanager
    def holding(self, kind: str) -> Iterator[None]:
        """Let no operation of a kind (as `DeployModel`) begin its work until the block ends."""
        self._held[kind] = Event()
        try:
            yield
        finally:
            self._held.pop(kind).set()

    def fail(self, kind: str, code: grpc.StatusCode, message: str, *, times: int = 1) -> None:
        """Let the next operations of a kind end with an error, without their work: no machine was left, say."""
        self._failing.setdefault(kind, []).extend([Refused(code, message)] * times)

    def start(
        self, kind: str, parent: str, work: Callable[[], Any], ended: Callable[[], None] = lambda: None
    ) -> operations_pb2.Operation:
        """Start work on something; its result is a message. `ended` is called however it ends."""
        with self._lock:
            operation = operations_pb2.Operation(name=f"{parent}/operations/{len(self._known) + 1}")
            self._known[operation.name] = operation
            planned = self._failing.get(kind)
            failure = planned.pop(0) if planned else None
        if failure is not None:
            work = partial(_fail, failure)
        Thread(target=self._work, args=(operation.name, self._held.get(kind), work, ended), daemon=True).start()
        return operations_pb2.Operation(name=operation.name)

    def methods(self) -> dict[str, Method]:
        """What clients ask."""
        get, cancel = operations_pb2.GetOperationRequest, operations_pb2.CancelOperationRequest
        return {
            "GetOperation": Method(self._get, get, operations_pb2.Operation),
            "CancelOperation": Method(self._cancel, cancel, empty_pb2.Empty),
        }

    def _work(self, name: str, held: Event | None, work: Callable[[], Any], ended: Callable[[], None]) -> None:
        if held is not None:
            held.wait()
        done = operations_pb2.Operation(name=name, done=True)
        try:
            result = work()
            done.response.Pack(getattr(result, "_pb", result))
        except Refused as refused:
            done.error.code, done.error.message = refused.code.value[0], str(refused)
        except Exception as error:  # noqa: BLE001  as the real service does, it tells the client and goes on
            done.error.code, done.error.message = grpc.StatusCode.INTERNAL.value[0], f"{type(error).__name__}: {error}"
        ended()
        with self._lock:
            self._known[name] = done

    def _get(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        with self._lock:
            if request.name not in self._known:
                raise missing(request.name)
            return self._known[request.name]

    def _cancel(self, request: operations_pb2.CancelOperationRequest) -> empty_pb2.Empty:
        """Vertex AI tries its best, and here that is nothing."""
        if request.name not in self._known:
            raise missing(request.name)
        return empty_pb2.Empty()


def _fail(failure: Refused) -> NoReturn:
    raise failure
