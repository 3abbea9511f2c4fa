"""A store whose calls fail when they are told to: before they are done, after it, or done only later.

Rules:
- Every public call is counted, also those that one makes of another. A call that fails raises `StoreUnusable`; what it
  was asked to do is done as the kind of fault says, exactly once or never.
- One `Weather` may hang over several handles: what lands late lands before a later call of any of them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial, wraps
from inspect import isfunction
from typing import Any, Self

from lockstep.errors import StoreUnusable
from lockstep.registry import Objects

WRITES = frozenset({"put", "put_new", "move", "delete", "delete_scratch"})


class Fault(Enum):
    """How a call fails. The value says how many further calls are made before it is done; None: it never is."""

    REFUSED = None
    LOST = 0  # done at once, and the answer got lost
    SOON = 1  # timed out, and done before the call after the next one
    LATER = 3
    MUCH_LATER = 1000  # when the operation has long given up; `Weather.clear` lets it land


@dataclass
class Weather:
    """Which calls fail, and how; `calls` says what was called so far."""

    faults: dict[int, Fault] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    injected: int = 0
    _late: list[tuple[int, Callable[[], object]]] = field(default_factory=list)

    def strike(self, name: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401  what the call gives
        """Make one call of the store, or let it fail."""
        self._land(len(self.calls))
        self.calls.append(name)
        fault = self.faults.get(len(self.calls))
        if fault is None:
            return act()
        self.injected += 1
        if fault is Fault.LOST:
            act()
        elif fault.value is not None and name in WRITES:
            self._late.append((len(self.calls) + fault.value, act))
        raise StoreUnusable(f"{name}: timed out")

    def clear(self) -> None:
        """Let the sun shine: no call fails any more, and what is late may land before the next ones."""
        self.faults = {}
        self._late = [(min(due, len(self.calls) + 1), act) for due, act in self._late]

    def _land(self, made: int) -> None:
        due = [act for at, act in self._late if at <= made]
        self._late = [(at, act) for at, act in self._late if at > made]
        for act in due:
            with suppress(Exception):  # the answer reaches nobody
                act()


class Stormy(Objects):
    """Objects under a weather."""

    weather: Weather

    @classmethod
    def under(cls, weather: Weather, uri: str) -> Self:
        """Open the objects of a registry under a weather."""
        objects = cls.open(uri)
        objects.weather = weather
        return objects


def _under_weather(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def method(objects: Stormy, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as the call that it stands for
        return objects.weather.strike(name, partial(call, objects, *args, **options))

    return method


for _name, _call in vars(Objects).items():
    if isfunction(_call) and not _name.startswith("_"):
        setattr(Stormy, _name, _under_weather(_name, _call))
