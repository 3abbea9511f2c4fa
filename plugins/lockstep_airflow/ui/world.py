"""All that the answers are made of, as it is now: declarations, registries, Airflow, and what this user may see of it.

Rules:
- It is looked at when somebody asks, at most twice a second, and by one thread for all who ask meanwhile.
- A scene holds nothing that its viewer may not see. What an answer depends on is in its `version`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Generic, TypeVar

from airflow.configuration import conf
from fastapi import HTTPException

from lockstep_airflow.ui import libraries
from lockstep_airflow.ui.book import Book
from lockstep_airflow.ui.declarations import Declaration, Declarations
from lockstep_airflow.ui.kept import Kept
from lockstep_airflow.ui.readers import Readers, Seen
from lockstep_airflow.ui.shapes import DagName
from lockstep_airflow.ui.surroundings import Surroundings
from lockstep_airflow.ui.surroundings import look as look_around
from lockstep_airflow.ui.viewer import Viewer

T = TypeVar("T")
PAUSE: Final = 0.5  # seconds
DAGS: Final[tuple[DagName, ...]] = ("retrain", "promote", "release", "rollback", "hold", "resume", "watch")


class Fresh(Generic[T]):
    """A value that is made again when somebody asks and it is older than `PAUSE`; by one thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._last: tuple[float, T] | None = None

    def value(self) -> T:
        """The value, not older than `PAUSE`."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > PAUSE:
                made = self._make()
                self._last = time.monotonic(), made
            return self._last[1]


class World:
    """One for an app; what is known once and for all is kept in it, with bounds."""

    def __init__(self) -> None:
        with_teams = conf.getboolean("core", "multi_team", fallback=False)
        self.readers = Readers()
        self._declared = Fresh(Declarations().look)
        self._around = Fresh(lambda: look_around(with_teams=with_teams))
        self.files: Kept[bytes] = Kept(64 << 20, len)

    def scene(self, viewer: Viewer) -> "Scene":
        """All groups that a user may see."""
        readable = viewer.readable()
        declared = {name: one for name, one in self._declared.value().items() if one.dag_id in readable}
        return self._scene(viewer, declared)

    def place(self, viewer: Viewer, group: str) -> "Place":
        """One group.

        Raises:
            HTTPException: 404 where there is none, or none that this user may see.
        """
        found = self._declared.value().get(group)
        if found is None or not viewer.may_read(found):
            raise HTTPException(404, f'There is no release group "{group}", or you may not read its DAG.')
        scene = self._scene(viewer, {group: found})
        return Place(scene=scene, group=found, seen=scene.seen(found))

    def _scene(self, viewer: Viewer, declared: Mapping[str, Declaration]) -> "Scene":
        libraries.begin()
        around = self._around.value()
        registries = self.readers.look({one.registry for one in declared.values() if one.problem is None})
        today = datetime.now(UTC).date()
        return Scene(world=self, viewer=viewer, declared=declared, around=around, registries=registries, today=today)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a user sees at one time."""

    world: World
    viewer: Viewer
    declared: Mapping[str, Declaration]
    around: Surroundings
    registries: Mapping[str | None, Seen]
    today: date

    def seen(self, group: Declaration) -> Seen:
        """What is known of a group's registry."""
        if group.problem is not None:
            return Seen(address="", problem=group.problem)
        return self.registries[group.registry]

    def problems(self) -> list[str]:
        """What keeps something from being known of the groups, each sentence once."""
        return list(dict.fromkeys(said for one in self.declared.values() if (said := self.seen(one).problem)))

    def version(self) -> tuple[Any, ...]:
        """What changes whenever anything that is seen does."""
        groups = tuple((name, self.version_of(one)) for name, one in self.declared.items())
        return (groups, tuple(seen.version for seen in self.registries.values()), self.today)

    def version_of(self, group: Declaration) -> tuple[Any, ...]:
        """What changes whenever anything of one group does, but its registry."""
        dag_ids = dags_of(group)
        around = self.around.of(group.name, dag_ids)
        question = self.around.questions.get(group.dag_id)
        may_answer = self.viewer.may_answer(question, self.around.teams) if question else None
        return (group.version, around, may_answer)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A group as a user sees it."""

    scene: Scene
    group: Declaration
    seen: Seen

    @property
    def book(self) -> Book:
        """The registry's.

        Raises:
            HTTPException: 503 where it was never read.
        """
        if self.seen.book is None:
            raise HTTPException(503, self.seen.problem or f"Registry {self.seen.address} has not been read yet.")
        return self.seen.book

    @property
    def may_run(self) -> tuple[bool, ...]:
        """For each of its DAGs, whether the user may start it."""
        return self.scene.viewer.may_run(dags_of(self.group), self.scene.around.teams)

    def version(self) -> tuple[Any, ...]:
        """What changes whenever anything of it does."""
        return (self.scene.version_of(self.group), self.seen.version, self.may_run, self.scene.today)


def dags_of(group: Declaration) -> tuple[str, ...]:
    """The ids of the DAGs that the group may have."""
    return tuple(f"{group.name}_{what}" for what in DAGS)


def named(groups: Iterable[Declaration], node: str) -> list[Declaration]:
    """The groups that have a node of that name."""
    return [group for group in groups if node in group.nodes]
