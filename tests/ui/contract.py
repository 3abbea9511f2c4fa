"""The interfaces of `ui/src/api/types.ts`, read: so that shapes and answers can be held against them.

It reads as much of TypeScript as the file uses: interfaces, `extends`, unions, arrays, records, objects, literals.
"""

import re
import types
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

FILE = Path(__file__).parents[2] / "ui" / "src" / "api" / "types.ts"
_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_]\w*|\d+|[{}\[\]<>|:;,=]')


@dataclass(frozen=True)
class Named:
    """A type by its name: of TypeScript, or an interface."""

    name: str


@dataclass(frozen=True)
class Text:
    """One text, literally."""

    text: str


@dataclass(frozen=True)
class Many:
    """An array, or with `is_record` an object of any names (or of those of `keys`)."""

    of: Any
    is_record: bool = False
    keys: Any = None


@dataclass(frozen=True)
class One:
    """One of several types."""

    of: frozenset[Any]


@dataclass(frozen=True)
class Object:
    """An object with these fields, in any order."""

    fields: frozenset[tuple[str, Any]]


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        assert wanted is None or token == wanted, (
            f"{token!r} stands where {wanted!r} should: {self.tokens[self.at - 9 :][:12]}"
        )
        self.at += 1
        return token

    def union(self) -> Any:  # noqa: ANN401  a type
        if self.peek() == "|":
            self.take()
        found = [self.array()]
        while self.peek() == "|":
            self.take()
            found.append(self.array())
        return found[0] if len(found) == 1 else One(frozenset(found))

    def array(self) -> Any:  # noqa: ANN401  a type
        found = self.single()
        while self.peek() == "[":
            self.take("[")
            self.take("]")
            found = Many(found)
        return found

    def single(self) -> Any:  # noqa: ANN401  a type
        token = self.peek()
        if token == "{":
            return Object(frozenset(self.fields().items()))
        self.take()
        if token.startswith('"'):
            return Text(token[1:-1])
        if token == "Record":
            self.take("<")
            keys = self.union()
            self.take(",")
            of = self.union()
            self.take(">")
            return Many(of, is_record=True, keys=None if keys == Named("string") else keys)
        return Named(token)

    def fields(self) -> dict[str, Any]:
        found = {}
        self.take("{")
        while self.peek() != "}":
            name = self.take()
            self.take(":")
            found[name] = self.union()
            if self.peek() == ";":
                self.take()
        self.take("}")
        return found


@cache
def interfaces() -> dict[str, Any]:
    """Name → what the file declares by it."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", FILE.read_text(encoding="utf-8"), flags=re.DOTALL)
    reader, found = _Reader(text), dict[str, Any]()
    while reader.peek():
        reader.take("export")
        kind, name = reader.take(), reader.take()
        if kind == "type":
            reader.take("=")
            found[name] = reader.union()
            reader.take(";")
            continue
        base: frozenset[Any] = frozenset()
        if reader.peek() == "extends":
            reader.take()
            base = found[reader.take()].fields
        found[name] = Object(base | frozenset(reader.fields().items()))
    return found


def as_declared(kind: Any) -> Any:  # noqa: ANN401  a type of Python
    """A type of Python in the words of TypeScript; a shape whose name is no interface is spelled out."""
    plain = {str: "string", int: "number", float: "number", bool: "boolean", types.NoneType: "null", Any: "unknown"}
    if kind in plain:
        return Named(plain[kind])
    origin, given = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _alias(One(frozenset(map(Text, given))) if len(given) > 1 else Text(given[0]))
    if origin in (Union, types.UnionType):
        members = [as_declared(one) for one in given]
        flat = [inner for one in members for inner in (one.of if isinstance(one, One) else [one])]
        return One(frozenset(flat))
    if origin is list:
        return Many(as_declared(given[0]))
    if origin is dict:
        keys = as_declared(given[0])
        return Many(as_declared(given[1]), is_record=True, keys=None if keys == Named("string") else keys)
    assert is_typeddict(kind), kind
    return Named(kind.__name__) if kind.__name__ in interfaces() else spelled_out(kind)


def spelled_out(shape: Any) -> Object:  # noqa: ANN401  a TypedDict
    """A shape with its fields."""
    return Object(frozenset((name, as_declared(kind)) for name, kind in get_type_hints(shape).items()))


def _alias(found: Any) -> Any:  # noqa: ANN401  a type
    return next((Named(name) for name, declared in interfaces().items() if declared == found), found)


def misfits(value: Any, declared: Any, where: str = "", *, may_have_more: bool = False) -> list[str]:  # noqa: ANN401  any JSON
    """Where a value is not what is declared."""
    match declared:
        case Named(name=name) if name in interfaces():
            found = misfits(value, interfaces()[name], where, may_have_more=may_have_more)
        case Named(name=name):
            found = [] if _is(value, name) else [f"{where}: {value!r} is no {name}"]
        case Text(text=text):
            found = [] if value == text else [f"{where}: {value!r} is not {text!r}"]
        case One(of=kinds):
            every = [misfits(value, kind, where, may_have_more=may_have_more) for kind in kinds]
            found = [] if [] in every else min(every, key=len)
        case Many():
            found = _misfits_of_many(value, declared, where, may_have_more=may_have_more)
        case Object(fields=fields):
            found = _misfits_of_object(value, dict(fields), where, may_have_more=may_have_more)
        case _:
            raise AssertionError(declared)
    return found


def _is(value: Any, name: str) -> bool:  # noqa: ANN401  any JSON
    kinds = {"string": str, "number": (int, float), "boolean": bool, "null": types.NoneType, "unknown": object}
    return isinstance(value, kinds[name]) and not (name == "number" and isinstance(value, bool))


def _misfits_of_many(value: Any, many: Many, where: str, *, may_have_more: bool) -> list[str]:  # noqa: ANN401  as above
    if not isinstance(value, dict if many.is_record else list):
        return [f"{where}: {value!r} is no {'record' if many.is_record else 'array'}"]
    items = value.items() if many.is_record else enumerate(value)
    names = [misfits(name, many.keys, f"{where}.{name}") for name, _ in items] if many.keys is not None else []
    found = [misfits(one, many.of, f"{where}.{name}", may_have_more=may_have_more) for name, one in items]
    return [fault for faults in (*names, *found) for fault in faults]


def _misfits_of_object(value: Any, fields: dict[str, Any], where: str, *, may_have_more: bool) -> list[str]:  # noqa: ANN401  as above
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no object"]
    missing = fields.keys() - value.keys()
    more = set() if may_have_more else value.keys() - fields.keys()
    found = [f"{where}: {sorted(missing)} missing, {sorted(more)} too many"] if missing or more else []
    for name in fields.keys() & value.keys():
        found += misfits(value[name], fields[name], f"{where}.{name}", may_have_more=may_have_more)
    return found
