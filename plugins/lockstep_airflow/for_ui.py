"""What the web UI has to know of a group's declarations, as a text that Airflow keeps with the release DAG.

Rules:
- The API server parses no DAG files, and the registry holds no declarations: so the gate's task of `<group>_release`
  carries them, as its `doc_json`, which Airflow serializes with the DAG.
- The same declarations give the same text, so that no version of a DAG comes of parsing it again.
- Writing it reads declarations only; it is light.
"""

import json
from typing import Any, Final

from lockstep import declared
from lockstep.errors import UsageError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry.address import Address

PROTOCOL: Final = 1
TASK: Final = "gate"  # of the release DAG
SUFFIX: Final = "_release"


def said_of(graph: Graph, group: Group, *, registry: str | None, approval: bool, watch: bool) -> str:
    """The text for a group; the address of the registry is in it as it was given, if it can be one."""
    found: dict[str, Any] = {
        "lockstep": PROTOCOL,
        **declared.as_json(graph, group),
        "registry": registry,
        "approval": approval,
        "watch": watch,
    }
    if registry is not None:
        try:
            Address.parse(registry)
        except UsageError as error:  # what it looks like may be a password
            found |= {"registry": None, "problem": str(error)}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
