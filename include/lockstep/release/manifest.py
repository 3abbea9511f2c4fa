"""What a release is made of: the exact version of every member, as canonical JSON that is named by its hash.

Rules:
- The manifest depends on the members and the shape of the group alone: the same set composed twice is the same release.
- It holds all that a service needs to find and verify the files it answers from. What came later is in it only where
  it is used, so that a set keeps its name.
"""

from dataclasses import asdict
from typing import Any, Final

from lockstep.errors import UsageError
from lockstep.group import Group
from lockstep.registry import State, digest_of, model_key, threshold_key

PROTOCOL: Final = 1


def compose(group: Group, state: State) -> dict[str, Any]:
    """The manifest of what stands in staging.

    Raises:
        UsageError: a member is not in staging (the gate tells which).
    """
    members: dict[str, Any] = {}
    for model in group.models:
        staged = state.staged_model(model.name)
        if staged is None:
            raise UsageError(
                f'Group "{group.name}": model "{model.name}" is not in staging, so there is no set to release.'
            )
        snapshot = state.snapshot_by_digest(staged.fact.dataset, staged.fact.snapshot)
        members[model_key(model.name)] = {
            "name": model.name,
            "number": staged.number,
            "digest": staged.digest,
            "manifest": asdict(staged.fact.manifest),
            "snapshot": {"name": snapshot.name, "number": snapshot.number, "digest": snapshot.digest},
            "upstream": dict(staged.fact.upstream),
        }
    for name, model_name in group.model_of_threshold.items():
        tuned = state.staged_threshold(name)
        if tuned is None:
            raise UsageError(
                f'Group "{group.name}": threshold "{name}" is not in staging, so there is no set to release.'
            )
        members[threshold_key(name)] = {
            "name": name,
            "number": tuned.number,
            "digest": tuned.digest,
            "manifest": asdict(tuned.fact.manifest),
            "model": model_name,
            "model_digest": tuned.fact.model_digest,
            "value": tuned.fact.value,
            **({} if tuned.fact.rule is None else {"rule": tuned.fact.rule}),
        }
    apis = {api.name: {"decides": list(api.decides), "explains": list(api.explains)} for api in group.apis}
    return {"protocol": PROTOCOL, "group": group.name, "members": members, "apis": apis}


def digest_of_release(manifest: dict[str, Any]) -> str:
    """The hash that names the release."""
    return digest_of(manifest)


def path_of_release(group: str, digest: str) -> str:
    """Where a release manifest stands."""
    return f"releases/{group}/{digest}.json"
