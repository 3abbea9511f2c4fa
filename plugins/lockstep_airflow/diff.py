"""The decision diff as a task between gate and release: nobody releases blind.

Rules:
- What the release would change stands in the task's log, as Markdown, and is kept in the registry, where the conditions
  of the group are weighed by it. XCom gets the figures alone.
- Where the group has no conditions, a release in production that can't decide on today's rows keeps nothing back.
"""

from typing import Any

from airflow.sdk import Context

from lockstep.errors import DataError, SetChanged
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import Origin, Registry
from lockstep_airflow.operators import LockstepOperator


class DiffOperator(LockstepOperator):
    """Counts what releasing the group would change, and keeps it."""

    operator_extra_links = ()

    def __init__(self, *, graph: Graph, group: Group, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.graph, self.group = graph, group

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.decisions.diff_before_release`, and `keep_diff`."""
        from lockstep.decisions import diff_before_release, keep_diff

        try:
            diff, problem = diff_before_release(registry, self.graph, self.group.name)
        except DataError as error:
            if self.group.release_if:
                raise
            self.log.warning("%s", error)
            return {"group": self.group.name, "compared": False}
        if problem:
            self.log.warning("%s", problem)
        kept = keep_diff(registry, diff)
        self.log.info("%s", diff.as_markdown())
        test = [population for population in diff.populations if population.kind == "test"]
        thresholds = [threshold for population in test for threshold in population.thresholds]
        splits = [split for split in diff.splits if split.kind == "test"]
        return {
            "group": diff.group,
            "compared": True,
            "old": diff.old,
            "new": diff.new,
            "flips": {one.name: one.flips.as_json() if one.flips is not None else None for one in thresholds},
            "splits": {f"{split.api}, {split.other}": split.new.as_json() for split in splits},
            "kept": kept.path,
        }


def in_words(registry: Registry, graph: Graph, group: Group, old: str | None, new: str) -> str:
    """What releasing the set `new` in the place of `old` changes, as Markdown; that is kept, too.

    Raises:
        SetChanged: another set stands in staging, or another release is in production.
        DataError: it can't be counted, and the group has conditions.
    """
    from lockstep.decisions import diff_before_release, keep_diff

    try:
        diff, problem = diff_before_release(registry, graph, group.name)
    except DataError as error:
        if group.release_if:
            raise
        return f"What it changes can't be counted: {error}"
    if (diff.old, diff.new) != (old, new):
        raise SetChanged(f'Group "{group.name}": the set has changed while its diff was made.')
    keep_diff(registry, diff)
    return f"{diff.as_markdown()}\n{problem}".rstrip()
