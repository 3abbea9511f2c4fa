"""gRPC as Vertex AI speaks it: methods, what was called, what is refused, and faults on demand.

Rules:
- The messages are those of the official clients, so a call that they can make is a call that arrives.
- Every call is remembered before anything comes of it.
- A fault is said for a method and a number of calls, in order; each call takes one at most.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from threading import Event, Lock
from typing import Any, Final

import grpc

_NAME: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)(/.*)?")
_TERM: Final = re.compile(
    r'\s*(?:(AND|OR|NOT|-(?=\w))\b|([()])|([\w.-]+|"[^"]*")\s*(!=|=|:)\s*("(?:[^"\\]|\\.)*"|[^\s()"]+)|(\S))'
)


class Refused(Exception):
    """A call that the service does not carry out."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def missing(name: str) -> Refused:
    """What a service says of a name that it does not know."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"The resource {name} is not found.")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came in: its method, as `CreateCustomJob`, its request, and when."""

    method: str
    request: Any
    at: datetime


class Kind(Enum):
    """What becomes of a call."""

    REFUSED = auto()  # nothing is done; the client gets a status
    LOST = auto()  # done, but the line is cut before the answer
    LATE = auto()  # done, but no answer comes before the client gives up
    SILENT = auto()  # nothing is done, and no answer comes before the client gives up


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of one call."""

    kind: Kind
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    message: str = "The service is currently unavailable."


class Faults:
    """The faults that are still to come, by method."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Fault]] = {}
        self._lock = Lock()

    def refuse(self, method: str, code: grpc.StatusCode, message: str = "", *, times: int = 1) -> None:
        """Let calls fail with a status: UNAVAILABLE is HTTP's 503, RESOURCE_EXHAUSTED is 429 and any quota."""
        self._add(method, Fault(kind=Kind.REFUSED, code=code, message=message or f"Injected: {code.name}."), times)

    def lose(self, method: str, *, times: int = 1) -> None:
        """Carry calls out, and cut the line before the answer."""
        self._add(method, Fault(kind=Kind.LOST), times)

    def delay(self, method: str, *, times: int = 1) -> None:
        """Carry calls out, and answer no sooner than the client has given up."""
        self._add(method, Fault(kind=Kind.LATE), times)

    def silence(self, method: str, *, times: int = 1) -> None:
        """Do nothing, and answer no sooner than the client has given up."""
        self._add(method, Fault(kind=Kind.SILENT), times)

    def clear(self) -> None:
        """Forget those that are still to come."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str) -> Fault | None:
        """The fault of this call, if it has one."""
        with self._lock:
            waiting = self._waiting.get(method)
            return waiting.pop(0) if waiting else None

    def _add(self, method: str, fault: Fault, times: int) -> None:
        with self._lock:
            self._waiting.setdefault(method, []).extend([fault] * times)


@dataclass(frozen=True, slots=True)
class Method:
    """What carries a call out, and the types of its messages."""

    does: Callable[[Any], Any]
    request: type
    response: type


class Wire:
    """Makes handlers of methods; `cut` hangs up on whoever called from a port."""

    def __init__(self, cut: Callable[[int], None]) -> None:
        self.calls: list[Call] = []
        self.faults = Faults()
        self._cut = cut

    def handler(self, service: str, methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
        """Make the handler of a whole service."""
        return grpc.method_handlers_generic_handler(
            service,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    self._carried_out(name, method.does),
                    request_deserializer=getattr(method.request, "deserialize", None) or method.request.FromString,  # type: ignore[attr-defined]
                    response_serializer=getattr(method.response, "serialize", None)
                    or method.response.SerializeToString,  # type: ignore[attr-defined]
                )
                for name, method in methods.items()
            },
        )

    def _carried_out(self, name: str, does: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def carry_out(request: object, context: grpc.ServicerContext) -> object:
            self.calls.append(Call(name, request, datetime.now(UTC)))
            fault = self.faults.take(name)
            if fault and fault.kind is Kind.REFUSED:
                context.abort(fault.code, fault.message)
            if fault and fault.kind is Kind.SILENT:
                _until_given_up(context)
            try:
                answer = does(request)
            except Refused as refused:
                context.abort(refused.code, str(refused))
            if fault and fault.kind is Kind.LOST:
                self._cut(int(context.peer().rpartition(":")[2]))
            if fault and fault.kind is Kind.LATE:
                _until_given_up(context)
            return answer

        return carry_out


def _until_given_up(context: grpc.ServicerContext) -> None:
    gone = Event()
    if context.add_callback(gone.set):
        gone.wait()
    context.abort(grpc.StatusCode.CANCELLED, "The client has gone.")


def number_of(project: str) -> str:
    """The number of a project; answers name it so, whatever a request calls it."""
    if project.isdecimal():
        return project
    return str(int.from_bytes(hashlib.sha256(project.encode()).digest()[:5]))


def canonical(name: str) -> str:
    """A resource name as the service gives it back."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid resource name: {name}")
    return f"projects/{number_of(found[1])}/locations/{found[2]}{found[3] or ''}"


def parent_of(name: str) -> str:
    """The location that a resource is in."""
    return "/".join(canonical(name).split("/")[:4])


def page(found: Sequence[Any], size: int, token: str) -> tuple[Sequence[Any], str]:
    """A page of a list, and the token of the next one, blank on the last."""
    start, size = int(token or 0), size or 100
    following = start + size
    return found[start:following], str(following) if following < len(found) else ""


Wanted = Callable[[Mapping[str, Any]], bool]


def parse_filter(text: str) -> Wanted:
    """Read a filter, as `labels.a="b" AND NOT state="X"`; it is asked about a mapping of field → value."""
    terms = [match for match in _TERM.finditer(text) if match[0].strip()]
    wanted, rest = _either(terms, text) if terms else (lambda _: True, [])
    if rest:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: {text}")
    return wanted


Terms = list[re.Match[str]]


def _either(terms: Terms, text: str) -> tuple[Wanted, Terms]:
    left, terms = _both(terms, text)
    while terms and terms[0][1] == "OR":
        right, terms = _both(terms[1:], text)
        left = _joined(left, right, any)
    return left, terms


def _both(terms: Terms, text: str) -> tuple[Wanted, Terms]:
    left, terms = _one(terms, text)
    while terms and terms[0][1] != "OR" and terms[0][2] != ")":
        right, terms = _one(terms[1:] if terms[0][1] == "AND" else terms, text)
        left = _joined(left, right, all)
    return left, terms


def _one(terms: Terms, text: str) -> tuple[Wanted, Terms]:
    if terms and terms[0][1] in ("NOT", "-"):
        inner, rest = _one(terms[1:], text)
        return (lambda fields: not inner(fields)), rest
    if terms and terms[0][2] == "(":
        inner, rest = _either(terms[1:], text)
        if rest and rest[0][2] == ")":
            return inner, rest[1:]
    elif terms and terms[0][3]:
        return _comparison(terms[0]), terms[1:]
    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: {text}")


def _joined(left: Wanted, right: Wanted, how: Callable[[Sequence[bool]], bool]) -> Wanted:
    return lambda fields: how([left(fields), right(fields)])


def _comparison(term: re.Match[str]) -> Wanted:
    name, operator, value = (
        term[3].strip('"'),
        term[4],
        re.sub(r"\\(.)", r"\1", term[5].removeprefix('"').removesuffix('"')),
    )
    if operator == ":":
        return lambda fields: name in fields and (value == "*" or value in str(fields[name]))
    if operator == "!=":
        return lambda fields: str(fields.get(name, "")) != value
    return lambda fields: name in fields and str(fields[name]) == value
