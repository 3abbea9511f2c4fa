"""The declarations of all release groups, out of the serialized DAGs in Airflow's database.

Rules:
- Of each `<group>_release` the newest version counts, if the DAG bears the tag "lockstep" and is not gone.
- Only what has changed since the last look is read; a look that finds nothing new is one small query.
- A text that is none of ours, or can't be read, is no declaration, and disturbs no other.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Final

from airflow.models.dag import DagModel, DagTag
from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from sqlalchemy import select

from lockstep.group import Group
from lockstep_airflow.for_ui import PROTOCOL, SUFFIX, TASK
from lockstep_airflow.ui.shapes import EdgeKind, Kind

TAG: Final = "lockstep"
_AT_ONCE: Final = 100  # serialized DAGs that are read by one query
_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node as it was declared; what its kind does not have is empty."""

    name: str
    kind: Kind
    description: str
    deprecated: str | None = None
    deprecated_after: date | None = None
    shared: bool = True
    only_for: tuple[str, ...] | None = None
    target: str = ""
    key: str = ""
    private: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A release group as its DAG file declares it. `version` changes whenever anything of it does."""

    group: Group
    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str, EdgeKind], ...]
    registry: str | None
    problem: str | None
    approval: bool
    watch: bool
    retrain_when: str | None
    version: str

    @property
    def name(self) -> str:
        """The group's."""
        return self.group.name

    @property
    def dag_id(self) -> str:
        """The DAG whose readers may see the group."""
        return f"{self.name}{SUFFIX}"

    @cached_property
    def datasets(self) -> tuple[Node, ...]:
        """Those that the group's models learn from."""
        return tuple(node for node in self.nodes.values() if node.kind == "dataset")

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """Node → everything that hangs on it, directly or not, in the order of the graph."""
        below: dict[str, set[str]] = {name: set() for name in self.nodes}
        children: dict[str, list[str]] = {name: [] for name in self.nodes}
        for start, end, kind in self.edges:
            if kind != "agrees":
                children[start].append(end)
        for name in reversed(list(self.nodes)):  # each stands after those that it uses
            for child in children[name]:
                below[name] |= below[child] | {child}
        place = {name: number for number, name in enumerate(self.nodes)}
        return {name: tuple(sorted(found, key=place.__getitem__)) for name, found in below.items()}


def declaration_of(text: str, version: str) -> Declaration | None:
    """The declaration that a text holds; None if it is none of ours."""
    try:
        said = json.loads(text)
        if said["lockstep"] != PROTOCOL:
            return None
        return Declaration(
            group=Group.from_json(said["group"]),
            nodes={node["name"]: _node(node) for node in said["nodes"]},
            edges=tuple((start, end, kind) for start, end, kind in said["edges"]),
            registry=said["registry"],
            problem=said.get("problem"),
            approval=bool(said["approval"]),
            watch=bool(said["watch"]),
            retrain_when=said["retrain_when"],
            version=version,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _logger.warning("A declaration can't be read (%s: %s).", type(error).__name__, error)
        return None


def _node(said: Mapping[str, Any]) -> Node:
    until, only_for = said.get("deprecated_after"), said.get("only_for")
    return Node(
        name=said["name"],
        kind=said["kind"],
        description=said["description"],
        deprecated=said.get("deprecated"),
        deprecated_after=date.fromisoformat(until) if until else None,
        shared=said.get("shared", True),
        only_for=None if only_for is None else tuple(only_for),
        target=said.get("target", ""),
        key=said.get("key", ""),
        private=frozenset(said.get("private", ())),
    )


class Declarations:
    """All that are there; `look` reads what is new of them. Not safe to use from threads."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}  # DAG → the version that was read
        self._read: dict[str, Declaration | None] = {}

    def look(self) -> dict[str, Declaration]:
        """Group → its declaration, sorted by name."""
        newest = _newest()
        changed = [dag_id for dag_id, (_, version) in newest.items() if self._seen.get(dag_id) != version]
        self._read = {dag_id: found for dag_id, found in self._read.items() if dag_id in newest}
        for dag_id, text in _texts({dag_id: newest[dag_id][0] for dag_id in changed}):
            found = declaration_of(text, newest[dag_id][1]) if text else None
            self._read[dag_id] = found if found is not None and found.dag_id == dag_id else None
        self._seen = {dag_id: version for dag_id, (_, version) in newest.items()}
        there = [found for found in self._read.values() if found is not None]
        return {found.name: found for found in sorted(there, key=lambda one: one.name)}


def _newest() -> dict[str, tuple[Any, str]]:
    """Release DAG → the row of its newest version, and what tells that version from others."""
    wanted = (
        select(SerializedDagModel.dag_id, SerializedDagModel.id, SerializedDagModel.dag_hash, DagVersion.version_number)
        .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
        .join(DagModel, DagModel.dag_id == SerializedDagModel.dag_id)
        .join(DagTag, DagTag.dag_id == SerializedDagModel.dag_id)
        .where(DagTag.name == TAG, DagModel.is_stale.is_(False), SerializedDagModel.dag_id.endswith(SUFFIX))
        .order_by(DagVersion.version_number)
    )
    with create_session() as session:
        return {dag_id: (row, f"{row}-{sha}") for dag_id, row, sha, _ in session.execute(wanted)}


def _texts(rows: Mapping[str, Any]) -> Iterable[tuple[str, str | None]]:
    """Release DAG → what its gate carries."""
    ids = list(rows.values())
    with create_session() as session:
        for start in range(0, len(ids), _AT_ONCE):
            wanted = select(SerializedDagModel).where(SerializedDagModel.id.in_(ids[start : start + _AT_ONCE]))
            for found in session.scalars(wanted):
                yield found.dag_id, _carried(found.data)


def _carried(data: Mapping[str, Any] | None) -> str | None:
    """The `doc_json` of the gate in a serialized DAG."""
    for task in (data or {}).get("dag", {}).get("tasks", ()):
        said = task.get("__var", task)
        if said.get("task_id") == TASK:
            text = said.get("doc_json")
            return text if isinstance(text, str) else None
    return None
