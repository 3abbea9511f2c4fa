"""Decision diffs that were kept, for the conditions of a release to be weighed by.

Rules:
- A diff stands under the set that would be released (`diffs/<group>/<new>/`), by a name that says the hash of its
  bytes, what it was compared with, and how new its rows were. It is never overwritten, and counts only for exactly that
  set in the place of exactly that release.
- Of several that count what the conditions ask for, the one on the newest rows is taken; of these, the first by name.
- Where a group has conditions, a set without such a diff is not released.
- What is about to be decided for the first time can't flip: a flip rate then holds. A split rate has to hold all the
  same.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockstep.conditions import Condition, FlipRate
from lockstep.errors import ReleaseRefused
from lockstep.group import Group
from lockstep.registry import ObjectRef, Objects, canonical_json, sha256_of

FIRST: Final = "0" * 64  # stands for the release that there is none of
_NAME: Final = re.compile(r"([0-9a-f]{64})-([0-9]{20})-([0-9a-f]{64})\.json")
_SHOWN: Final = 12  # characters of a digest
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A condition, whether it holds, and the figure with its limit as a sentence."""

    condition: str
    holds: bool
    says: str


def keep_evidence(objects: Objects, diff: Document, entry: int) -> ObjectRef:
    """Keep the JSON of a diff whose newest rows came by log entry `entry`; the same diff again is the same file."""
    data = canonical_json(diff)
    name = f"{sha256_of(data)}-{entry:020d}-{diff['old']['release'] or FIRST}.json"
    return objects.put(f"{_folder(diff['group'], diff['new']['release'])}/{name}", data)


def find_evidence(objects: Objects, group: Group, old: str | None, new: str) -> Document | None:
    """The diff of the set `new` in the place of release `old`, on the newest rows; None if none that will do is kept.

    Raises:
        ObjectDamaged: its bytes are not those of its name.
    """
    found = [(path, _NAME.fullmatch(path.rpartition("/")[2])) for path in objects.names(f"{_folder(group.name, new)}/")]
    kept = [(-int(name[2]), path, name[1]) for path, name in found if name is not None and name[3] == (old or FIRST)]
    for _, path, sha256 in sorted(kept):
        document: Document = json.loads(objects.get(ObjectRef(path=path, sha256=sha256, size=0)))
        is_whole = _is_of(document, group.name, old, new)
        if is_whole and all(_figure(condition, group, document) is not None for condition in group.release_if):
            return document
    return None


def weigh_conditions(group: Group, diff: Document) -> tuple[Weighed, ...]:
    """Each condition of a group against the figures of a diff."""
    return tuple(_weighed(condition, group, diff) for condition in group.release_if)


def check_conditions(objects: Objects, group: Group, old: str | None, new: str) -> None:
    """Refuse a set that changes more than the conditions of its group allow.

    Raises:
        ReleaseRefused: a condition does not hold, or no diff of exactly this set was kept.
        ObjectDamaged: the bytes of the diff are not those of its name.
    """
    if not group.release_if:
        return
    diff = find_evidence(objects, group, old, new)
    if diff is None:
        raise ReleaseRefused(missing(group, old, new))
    broken = [weighed for weighed in weigh_conditions(group, diff) if not weighed.holds]
    if broken:
        raise ReleaseRefused(
            f'Group "{group.name}": set {new[:_SHOWN]} fits together, but release_if does not hold.\n'
            + "\n".join(f"  {weighed.condition}: {weighed.says}" for weighed in broken)
            + f"\nLook at what changes with `lockstep diff {group.name} --html …`. Promote another version; or, if the"
            " change is meant, allow it in release_if."
        )


def missing(group: Group, old: str | None, new: str) -> str:
    """What to do where no diff of this set was kept."""
    place = f"release {old[:_SHOWN]}" if old else "nothing"
    return (
        f'Group "{group.name}": release_if needs the decision diff of exactly the set that would be released'
        f" ({new[:_SHOWN]} in the place of {place}), and none is kept. Make it with `lockstep diff {group.name}"
        " --record`, then release."
    )


def _folder(group: str, new: str) -> str:
    return f"diffs/{group}/{new}"


def _is_of(diff: Any, group: str, old: str | None, new: str) -> bool:  # noqa: ANN401  any JSON
    match diff:
        case {
            "kind": "decision_diff",
            "protocol": 1,
            "group": name,
            "old": {"release": before},
            "new": {"release": now},
        }:
            return bool((name, before, now) == (group, old, new))
    return False


def _weighed(condition: Condition, group: Group, diff: Document) -> Weighed:
    found, allowed = _figure(condition, group, diff), f"allowed is at most {_percent(condition.at_most)}"
    what = "decisions change" if isinstance(condition, FlipRate) else "keys get a yes from the one, a no from the other"
    if not found:
        return Weighed(condition=str(condition), holds=True, says="nothing was decided before, so nothing changes")
    if not found["of"]:
        return Weighed(condition=str(condition), holds=False, says=f"there are no rows to count on, {allowed}")
    says = f"{found['count']} of {found['of']} {what} ({_percent(found['rate'])}), {allowed}"
    return Weighed(condition=str(condition), holds=found["rate"] <= condition.at_most, says=says)


def _figure(condition: Condition, group: Group, diff: Document) -> Document | None:
    """The share that a condition limits; None where it was not counted, empty where nothing was decided before."""
    return _flips(condition, diff) if isinstance(condition, FlipRate) else _splits(condition.names, group, diff)


def _flips(condition: FlipRate, diff: Document) -> Document | None:
    """The share of flips; empty where there are no decisions to compare with, None where the threshold is not there."""
    for population in diff["populations"]:
        for threshold in population["thresholds"]:
            if population["rows_of"] == "test" and threshold["threshold"] == condition.threshold:
                return threshold["flips"] if threshold["old"] is not None else {}
    return None


def _splits(names: tuple[str, ...], group: Group, diff: Document) -> Document | None:
    on = {api.name: api.on for api in group.apis}
    for split in diff["splits"]:
        wanted = ("test", *names, on[names[0]])
        if (split["rows_of"], split["api"], split["other"], split["on"]) == wanted:
            return dict(split["new"])
    return None


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
