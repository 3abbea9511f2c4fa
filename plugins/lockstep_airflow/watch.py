"""The tasks of `<group>_watch`: each looks at one dataset, and takes a snapshot only where its content is new.

Rules:
- What was seen of the files is said in the task's log, in one sentence for each that is not as it was.
- Where nothing is new the task is skipped, without an event. Else the event of the dataset's asset names the snapshot.
- An attempt that was killed behind the record and before the event has told nobody: the next one finds the snapshot
  that its own task has recorded, and tells of that.
- It starts no training.
- Where nothing is new, `fresh` is asked all the same: a hard one fails the task, and so the run, and nothing else.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.errors import DeclarationError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.places import Dataflow, Engine
from lockstep.registry import Origin, Registry, SnapshotTaken, Version
from lockstep_airflow.assets import asset_of
from lockstep_airflow.snapshot import SnapshotOperator
from lockstep_airflow.switch import engine_of

if TYPE_CHECKING:
    from lockstep.data.taking import Taking

_PRESETS: Final = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON: Final = re.compile(r"[0-9A-Za-z*/,#-]+( [0-9A-Za-z*/,#-]+){4}")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_TOLD: Final = 20  # sentences in an event


def every(text: str) -> str | timedelta:
    """When to look: "@hourly" and its like, a cron text as "0 6 * * *", or a span as "15m", "6h" or "1d".

    Raises:
        DeclarationError: none of these.
    """
    said = " ".join(text.split())
    if said in _PRESETS or _CRON.fullmatch(said):
        return said
    if span := _SPAN.fullmatch(said):
        return int(span[1]) * _UNITS[span[2]]
    raise DeclarationError(
        f'every("{text}") is no time to look; write one of {", ".join(_PRESETS)}, a cron text of five fields as'
        ' "0 6 * * *", or a span as "15m", "6h" or "1d".'
    )


def look_tasks(graph: Graph, group: Group, registry: str | None, engine: Engine | None) -> dict[str, BaseOperator]:
    """Dataset → the task that looks at it, in the DAG that is being built."""
    return {
        name: WatchOperator(
            task_id=f"look_{name}",
            graph=graph,
            dataset=name,
            registry=registry,
            engine="{{ params.engine or '' }}",
            engine_of_dags=engine,
            works_for=[model.name for model in group.models if model.dataset == name],
            outlets=[asset_of(graph.dataset(name))],
        )
        for name in dict.fromkeys(model.dataset for model in group.models)
    }


class WatchOperator(SnapshotOperator):
    """Looks at a dataset's source, and takes a snapshot if what it holds is new; else it is skipped."""

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:
        """`lockstep.data.refresh_snapshot`, or a look and then a job of Dataflow that reads all files."""
        from lockstep.data import look_at, refresh_snapshot
        from lockstep.data.aging import check_age
        from lockstep.training.source import hash_of_clean

        dataset = self.graph.dataset(self.dataset)
        code = hash_of_clean(dataset)
        settled = engine_of(dataset, run=self.engine, dags=self.engine_of_dags, registry=registry.uri)
        self.log.info("%s", settled)
        if not isinstance(settled.place, Dataflow):
            done = refresh_snapshot(registry, dataset, origin, code=code, engine=settled.place)
            told = {"how": done.how, "why": done.why, "says": list(done.says[:_TOLD])}
            return self._seen(done.version, is_new=done.is_new, origin=origin) | told
        look = look_at(registry, dataset, code)
        for sentence in look.sentences():
            self.log.info("%s", sentence)
        if look.known is not None:
            check_age(registry, dataset, look.known, look.newest)
            return self._seen(look.known, is_new=False, origin=origin)
        return self._on_dataflow(registry, origin, context, settled.place)

    def carried_out(
        self, context: Context, work: Callable[[Registry, Origin, Context], dict[str, Any]]
    ) -> dict[str, Any]:
        """As the base; the event names the snapshot, or there is none."""
        found = super().carried_out(context, work)
        if not found["new"]:
            raise AirflowSkipException(f"Nothing is new: the source holds {found['version']}.")
        named = ("version", "digest", "rows", "quarantined", "how", "says")
        context["outlet_events"][asset_of(self.graph.dataset(self.dataset))].extra = {
            "dataset": self.dataset,
            **{name: found[name] for name in named if name in found},
        }
        return found

    def _seen(self, version: Version[SnapshotTaken], *, is_new: bool, origin: Origin) -> dict[str, Any]:
        """What is known of a snapshot; one that an earlier attempt of this task has recorded is new, too."""
        job = version.recorded.origin.job
        return self._made(version) | {"new": is_new or (job is not None and job.is_same_as(origin.job))}

    def _taken(
        self, registry: Registry, taking: "Taking", version: Version[SnapshotTaken], by: Origin
    ) -> dict[str, Any]:
        """By a job of Dataflow: keep which files gave that content, before the scratch that names them goes."""
        from lockstep.data.refresh import remember

        dataset = self.graph.dataset(self.dataset)
        remember(registry, dataset, version, files=taking.files, code=taking.code)
        return self._seen(version, is_new=False, origin=by)
