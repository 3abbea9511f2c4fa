"""What a task instance made, or moved."""

from collections.abc import Mapping

from lockstep_airflow.ui import shapes_of_data
from lockstep_airflow.ui.book import Happened, key_at
from lockstep_airflow.ui.declarations import Node
from lockstep_airflow.ui.history import event
from lockstep_airflow.ui.said import version_row
from lockstep_airflow.ui.world import Scene


def made(scene: Scene, dag_id: str, run_id: str, task_id: str, map_index: int) -> shapes_of_data.Made:
    """By any attempt; also by a job in a cloud that the task has asked for."""
    task = task_id if map_index < 0 else f"{task_id}[{map_index}]"
    found: shapes_of_data.Made = {"group": None, "versions": [], "events": []}
    for seen in scene.registries.values():
        if seen.book is None:
            continue
        items = seen.book.by_task(f"{dag_id}/{run_id}", task)
        groups = {name: one for name, one in scene.declared.items() if scene.seen(one).address == seen.address}
        for item in items:
            if isinstance(item, Happened):
                if item.group in groups:
                    found["group"] = item.group
                    found["events"].append(event(seen.book, item, frozenset()))
                continue
            home = next((one for one in groups.values() if _has(one.nodes, key_at(item))), None)
            own = groups.get(dag_id.rpartition("_")[0])
            if own is not None and _has(own.nodes, key_at(item)):
                home = own  # a dataset may belong to several groups
            if home is not None:
                found["group"] = found["group"] or home.name
                found["versions"].append(version_row(seen.book, item))
    return found


def _has(nodes: Mapping[str, Node], key: str) -> bool:
    kind, _, name = key.partition(":")
    return name in nodes and nodes[name].kind == kind
