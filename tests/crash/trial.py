"""One operation, done undisturbed once, and then on copies of the same registry under every weather."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from lockstep.errors import StoreUnusable
from lockstep.group import Group
from lockstep.registry import Job, Log, Objects, Origin, Registry, State
from tests.crash.weather import WRITES, Fault, Stormy, Weather
from tests.crash.whole import check_whole, said
from tests.release.conftest import TODAY

Act = Callable[[Registry, Origin], object]
Copy = Callable[[str], str]
Faults = Mapping[int, Fault]


def handle(uri: str, weather: Weather) -> Registry:
    """Open a registry under a weather, as a process that just started does."""
    objects = Stormy.under(weather, uri)
    return Registry(objects, Log(objects, clock=lambda: TODAY))


def everything(uri: str, state: State) -> object:
    """What the log says, and all bytes but those of entries, whose nonce differs, and of scratch, which may be left."""
    objects = Objects.open(uri)
    names = [name for name in objects.names("") if not name.startswith(("log/", "scratch/"))]
    return said(state), {name: objects.get_unverified(name) for name in names}


def recipes(_: str, state: State) -> object:
    """Which versions there are of which recipes; a fit that is saved again has other bytes, so no more can be equal."""
    return state.head, [(one.name, one.number, one.fact.recipe) for past in state.models.values() for one in past]


@dataclass
class Trial:
    """An operation, and the registry that it is done on a copy of; `calls` is what it asks of the store.

    `look` says what must be the same at the end: all that is said, and all bytes, unless it is told otherwise.
    """

    act: Act
    base: str
    copy: Copy
    group: Group
    look: Callable[[str, State], object] = everything

    def __post_init__(self) -> None:
        """Do it undisturbed, and once more, which changes nothing."""
        weather, uri = Weather(), self.copy(self.base)
        self.job = Origin(by="ada", why="a trial", job=Job(system="airflow", run="the run", task="it"))
        self.act(handle(uri, weather), self.job)
        self.calls = list(weather.calls)
        self.end = self.look(uri, check_whole(uri, self.group))
        self.act(handle(uri, Weather()), self.job)
        assert self.look(uri, check_whole(uri, self.group)) == self.end

    def faults(self) -> Iterator[tuple[int, Fault]]:
        """Each call with each fault that makes a difference there."""
        for place, name in enumerate(self.calls, start=1):
            yield from ((place, kind) for kind in (Fault if name in WRITES else (Fault.REFUSED,)))

    def run(self, *attempts: Faults, in_one_process: bool) -> int:
        """Try with the faults of each attempt, then with none; all is whole at each end, and the last is the right one.

        Returns:
            how many faults were injected.
        """
        uri, weather = self.copy(self.base), Weather()
        registry = handle(uri, weather)
        for faults in attempts:
            made = len(weather.calls)
            weather.faults = {made + place: fault for place, fault in faults.items()}
            with suppress(StoreUnusable):
                self.act(registry, self.job)
            check_whole(uri, self.group)
            weather.clear()
            if not in_one_process:
                registry = handle(uri, weather)
        self.act(registry, self.job)
        assert self.look(uri, check_whole(uri, self.group)) == self.end
        return weather.injected
