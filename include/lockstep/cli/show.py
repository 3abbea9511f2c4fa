"""What `status`, `log` and `decide` show: pure functions from a state or entries to JSON values and text."""

from collections.abc import Iterable, Mapping
from typing import Any

from lockstep.cli.context import Graphs
from lockstep.decisions.rule import text_of, word_of
from lockstep.registry import (
    Approved,
    Entry,
    Held,
    ModelTrained,
    Promoted,
    Rejected,
    Released,
    Resumed,
    RolledBack,
    SnapshotTaken,
    State,
    ThresholdTuned,
    model_key,
    threshold_key,
)
from lockstep.release import gate


def status(graphs: Graphs, state: State) -> dict[str, Any]:
    """For each group: the release in production, each member's newest, staged and released version, and the gate."""
    groups = []
    for _, group in graphs.groups():
        production = state.production(group.name)
        released = production.members if production else {}
        members = []
        for model in group.models:
            staged = state.staged_model(model.name)
            past = state.models.get(model.name, ())
            numbers = {version.digest: version.ref for version in past}
            members.append(
                _member("model", model.name, past, staged, numbers.get(released.get(model_key(model.name), "")))
            )
            for name in model.thresholds:
                tuned, cut = state.thresholds.get(name, ()), state.staged_threshold(name)
                numbers = {version.digest: version.ref for version in tuned}
                members.append(
                    _member("threshold", name, tuned, cut, numbers.get(released.get(threshold_key(name), "")))
                )
        verdict = gate(group, state)
        groups.append(
            {
                "group": group.name,
                "production": production.digest if production else None,
                "released_at": production.recorded.at.isoformat(timespec="seconds") if production else None,
                "gate": verdict.status.value,
                "reasons": list(verdict.reasons),
                "approved": verdict.approved,
                "on_hold": state.hold(group.name) is not None,
                "members": members,
            }
        )
    return {"head": state.head, "groups": groups}


def _member(kind: str, name: str, past: Any, staged: Any, released: str | None) -> dict[str, Any]:  # noqa: ANN401  either kind of version
    return {
        "kind": kind,
        "name": name,
        "newest": past[-1].ref if past else None,
        "staging": staged.ref if staged else None,
        "production": released,
    }


def status_text(found: Mapping[str, Any]) -> str:
    """A table for each group."""
    lines: list[str] = []
    for group in found["groups"]:
        production = group["production"][:12] if group["production"] else "nothing yet"
        lines.append(f"{group['group']}: production {production}, gate {group['gate']}")
        lines += [f"  {reason}" for reason in (*group["reasons"], group["approved"]) if reason]
        lines.append(f"  {'':32} {'newest':28} {'staging':28} production")
        lines += [
            f"  {member['kind'] + ' ' + member['name']:32} {member['newest'] or '-':28} {member['staging'] or '-':28}"
            f" {member['production'] or '-'}"
            for member in group["members"]
        ]
    return "\n".join(lines)


def log(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """A line for each entry, oldest first."""
    counted: dict[str, int] = {}
    refs: dict[str, str] = {}
    return [
        {
            "entry": entry.number,
            "at": entry.at.isoformat(timespec="seconds"),
            "by": entry.origin.by,
            "why": entry.origin.why,
            "what": entry.fact.kind,
            "says": _says(entry, counted, refs),
            "job": entry.origin.job.run if entry.origin.job else None,
        }
        for entry in entries
    ]


def _says(entry: Entry, counted: dict[str, int], refs: dict[str, str]) -> str:
    match entry.fact:
        case SnapshotTaken() as fact:
            ref = _ref(fact.dataset, fact.digest, counted, refs)
            said = f"{ref}: {fact.rows} rows, {fact.quarantined} quarantined"
        case ModelTrained() as fact:
            ref = _ref(fact.model, fact.digest, counted, refs)
            said = f"{ref} trained" + (" and missed expectations" if fact.missed else "")
        case ThresholdTuned() as fact:
            ref = _ref(fact.threshold, fact.digest, counted, refs)
            said = f"{ref} tuned for {refs[fact.model_digest]}: {text_of(fact.value, fact.rule)}"
        case Promoted() as fact:
            said = f"{', '.join(refs[digest] for digest in fact.members.values())} to staging"
        case Released() as fact:
            said = f"{fact.group} {fact.digest[:12]}: {', '.join(refs[digest] for digest in fact.members.values())}"
        case RolledBack() as fact:
            said = f"{fact.group} back to {fact.digest[:12]} from {fact.left[:12]}"
        case Approved() | Rejected() as fact:
            said = f"{fact.group} {fact.digest[:12]}: {', '.join(refs[digest] for digest in fact.members.values())}"
        case Held() | Resumed() as fact:
            said = f"{fact.group} {'on hold' if isinstance(fact, Held) else 'goes on'}"
        case gone:
            said = f"files of {len(gone.folders)} folders removed, {gone.size} bytes"
    return said


def decision_line(name: str, found: Mapping[str, Any]) -> str:
    """What a threshold said to one row, by which values of which segment, in an answer of an API."""
    word = "probability" if "probability" in found else "value"
    said = "a person decides" if found.get("refer") else word_of(found["decision"])
    values = found["threshold"]
    if isinstance(values, dict):
        cut = ", ".join(f"{edge} {value:.4f}" for edge, value in values.items())
    else:
        cut = f"{values:.4f}"
    if "segment" in found:
        cut += " of all rows" if found["fallback"] else f" of {found['segment']}"
    return f"  {name}: {said} ({word} {found[word]:.4f}, threshold {cut}; {found['version']}, {found['model']})"


def _ref(name: str, digest: str, counted: dict[str, int], refs: dict[str, str]) -> str:
    counted[name] = counted.get(name, 0) + 1
    refs[digest] = f"{name}@{counted[name]}"
    return refs[digest]


def log_text(lines: Iterable[Mapping[str, Any]]) -> str:
    """One entry a line."""
    return "\n".join(
        f"{line['entry']:>6}  {line['at']}  {line['by']:<12} {line['what']:<16} {line['says']}"
        + (f"  ({line['why']})" if line["why"] else "")
        for line in lines
    )
