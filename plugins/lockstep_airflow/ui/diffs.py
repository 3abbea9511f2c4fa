"""The decision diff that was kept of a set.

Rules:
- Of several, the one in the place of what is in production now is shown; else the one on the newest rows.
- Rows are named by their keys: where the key is private, no examples are told.
"""

import json
import re
from typing import Any, Final

from fastapi import HTTPException

from lockstep.registry import ObjectRef
from lockstep.release.evidence import FIRST
from lockstep_airflow.ui.reading import told
from lockstep_airflow.ui.world import Place

_NAME: Final = re.compile(r"([0-9a-f]{64})-([0-9]{20})-([0-9a-f]{64})\.json")
_SHA: Final = re.compile(r"[0-9a-f]{64}")


def diff(place: Place, digest: str) -> dict[str, Any]:
    """The diff, as it was kept."""
    path = newest(place, digest)
    objects = place.seen.objects
    if path is None or objects is None:
        raise HTTPException(
            404,
            f"No decision diff is kept of set {digest[:12]}. The release DAG keeps one; so does `lockstep diff"
            f" {place.group.name} --record`.",
        )
    sha256 = path.rpartition("/")[2][:64]
    with told():
        content = place.scene.world.files.made(
            (place.seen.address, path), lambda: objects.get(ObjectRef(path=path, sha256=sha256, size=0))
        )
    found: dict[str, Any] = json.loads(content)
    return _without_private(place, found)


def newest(place: Place, digest: str) -> str | None:
    """Where the diff of a set stands; None where none is kept."""
    objects = place.seen.objects
    if objects is None or not _SHA.fullmatch(digest):
        return None
    with told():
        paths = objects.names(f"diffs/{place.group.name}/{digest}/")
    production = place.book.state.production(place.group.name)
    now = production.digest if production else FIRST
    kept = [
        (name[3] == now, int(name[2]), path) for path in paths if (name := _NAME.fullmatch(path.rpartition("/")[2]))
    ]
    return max(kept)[2] if kept else None


def _without_private(place: Place, found: dict[str, Any]) -> dict[str, Any]:
    for population in found.get("populations", ()):
        node = place.group.nodes.get(population.get("dataset", ""))
        if node is not None and node.key in node.private:
            for threshold in population.get("thresholds", ()):
                threshold["examples"] = []
    return found
