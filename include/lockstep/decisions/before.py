"""The decision diff before a release, on all that there is: the test split, what was asked lately, what a shadow saw.

Rules:
- The log and the shadow come on top: where they can't be used, the diff on the test split is there all the same, and a
  sentence says what is missing.
- What nobody asked for and holds no rows is not told.
"""

from dataclasses import replace

from lockstep.decisions.diff import decision_diff
from lockstep.decisions.difference import Diff
from lockstep.decisions.logged import recent_requests
from lockstep.errors import DataError
from lockstep.graph import Graph
from lockstep.registry import Registry


def diff_before_release(registry: Registry, graph: Graph, name: str) -> tuple[Diff, str]:
    """What releasing a group would change, and why it is not on the decision log; blank where it is, or there is none.

    Raises:
        ReleaseRefused, DataError, VersionRemoved, ObjectMissing, ObjectDamaged: as `decision_diff`.
    """
    asked = recent_requests(registry, graph, name)
    if not asked:
        return decision_diff(registry, graph, name), ""
    problem = ""
    try:
        found = decision_diff(registry, graph, name, requests=asked, shadow=True)
    except DataError as error:
        found, problem = decision_diff(registry, graph, name, shadow=True), str(error)
    populations = tuple(population for population in found.populations if population.kind == "test" or population.rows)
    kinds = {population.kind for population in populations}
    splits = tuple(split for split in found.splits if split.kind in kinds)
    return replace(found, populations=populations, splits=splits), problem
