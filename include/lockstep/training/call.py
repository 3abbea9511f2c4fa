"""How an estimator is made: the name of the declared function, and the arguments that a `functools.partial` adds.

Rules:
- Two calls that may differ read differently.
- What is recorded makes the same call again from the same code, or the record says why it can't.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, Final

from lockstep.errors import TrainingError

_PLAIN: Final = (bool, int, str, type(None))


def name_of(function: Callable[..., Any]) -> str:
    """`package.module.function`, as it is shown and recorded."""
    plain = unwrapped(function)
    return f"{plain.__module__}.{getattr(plain, '__qualname__', repr(plain))}"


def call_of(function: Callable[..., Any]) -> str:
    """As `name_of`, with the arguments that a `functools.partial` adds; two calls that may differ read differently."""
    if not isinstance(function, partial):
        return name_of(function)
    given = [*map(repr, function.args), *(f"{name}={value!r}" for name, value in sorted(function.keywords.items()))]
    return f"{call_of(function.func)}({', '.join(given)})"


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, without what a `functools.partial` adds."""
    while isinstance(function, partial):
        function = function.func
    return function


def recorded_call(function: Callable[..., Any]) -> dict[str, Any]:
    """The call as JSON values, for `recalled`; where it can't be said so, only `unrepeatable`, with the reason."""
    plain = unwrapped(function)
    module, name = plain.__module__, getattr(plain, "__qualname__", "")
    try:
        is_found = _found(module, name) is plain
    except (ImportError, AttributeError):
        is_found = False
    if not is_found:
        return {"unrepeatable": f"{name_of(function)} can't be imported by that name"}
    args, keywords = (function.args, function.keywords) if isinstance(function, partial) else ((), {})
    for given in (*args, *keywords.values()):
        if not is_json(given):
            return {"unrepeatable": f"{name_of(function)} is given {given!r}, which JSON can't say exactly"}
    return {"module": module, "name": name, "args": list(args), "keywords": dict(keywords)}


def recalled(call: Mapping[str, Any]) -> Callable[[], Any]:
    """The function of a recorded call, found where Python imports from now, with its arguments.

    Raises:
        TrainingError: there is none of that name.
    """
    try:
        function = _found(call["module"], call["name"])
    except (ImportError, AttributeError) as error:
        raise TrainingError(
            f"{call['module']}.{call['name']} is not in the recorded source, or can't be imported: {error}."
        ) from error
    return partial(function, *call["args"], **call["keywords"])


def _found(module: str, name: str) -> Any:  # noqa: ANN401  whatever bears that name
    return reduce(getattr, name.split("."), importlib.import_module(module))


def is_json(value: Any) -> bool:  # noqa: ANN401  asked of any value
    """Whether JSON gives back just this value; a tuple would come back as a list, a NumPy number as a plain one."""
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is list:
        return all(map(is_json, value))
    if type(value) is dict:
        return all(type(key) is str and is_json(item) for key, item in value.items())
    return type(value) in _PLAIN
