"""The news of a release group, as a notifier is told it: what happened, to what, why, and where to look.

Rules:
- It is made of plain texts and lists, so that a template can say any part of it; `subject` and `text` are sentences
  that need no template.
- It holds no secret: an address of a registry holds none, and a reason is what somebody gave for others to read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from airflow.sdk import Context

from lockstep.registry import Origin, Registry
from lockstep.release import Verdict
from lockstep_airflow.tasks import origin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is told.

    Attributes:
        moment: as it was asked for in `on(…)`.
        group: the release group.
        subject: one line.
        text: all of it, in lines.
        lines: what it is about: members with their versions, or what stands in the way.
        why: the reason that somebody gave; "" if nobody did.
        by: who.
        at: when, as ISO 8601 in UTC.
        release: the digest of the release; "" where there is none.
        run_url: Airflow's page of the task, with its log.
        group_url: Lockstep's page of the group.
    """

    moment: str
    group: str
    subject: str
    text: str
    lines: tuple[str, ...]
    why: str
    by: str
    at: str
    release: str
    run_url: str
    group_url: str

    def as_json(self) -> dict[str, Any]:
        """The news as JSON values."""
        return asdict(self) | {"lines": list(self.lines)}


def gate_opened(context: Context, verdict: Verdict) -> News:
    """The gate lets a release through."""
    lines = [f"{member.kind} {member.version}" for member in verdict.members if member.version]
    return _news(context, "gate_opened", verdict.group, "the gate is open", lines)


def gate_blocked(context: Context, verdict: Verdict, hours: float) -> News:
    """The gate has been closed for so long."""
    what = f"the gate has been closed for {hours:g} hours" if hours != 1 else "the gate has been closed for an hour"
    return _news(context, "blocked", verdict.group, what, verdict.reasons)


def released(context: Context, registry: Registry, found: Mapping[str, Any], origin: Origin) -> News:
    """A release is in production."""
    what = f"release {found['release'][:12]} is in production"
    return _moved(context, "released", registry, found, origin, what)


def rolled_back(context: Context, registry: Registry, found: Mapping[str, Any], origin: Origin) -> News:
    """An earlier release is in production again."""
    what = f"rolled back from release {found['left'][:12]} to {found['release'][:12]}; the group is on hold"
    return _moved(context, "rolled_back", registry, found, origin, what)


def due(context: Context, moment: str, found: Mapping[str, Any]) -> News:
    """The group is to be retrained; for "drift", because its data has moved."""
    met = [f"{answer['condition']}: {answer['says']}" for answer in found["answers"] if answer["met"]]
    what = "is to be retrained" if moment == "due" else "is to be retrained, since its data has drifted"
    return _news(context, moment, found["group"], what, met, joint=" ")


def _moved(
    context: Context, moment: str, registry: Registry, found: Mapping[str, Any], origin: Origin, what: str
) -> News:
    state = registry.state()
    lines = []
    for key, digest in found["members"].items():
        kind, _, name = key.partition(":")
        version = (state.model_by_digest if kind == "model" else state.threshold_by_digest)(name, digest)
        lines.append(f"{kind} {version.ref}")
    return _news(context, moment, found["group"], what, lines, release=found["release"], origin=origin)


def _news(
    context: Context,
    moment: str,
    group: str,
    what: str,
    lines: Sequence[str],
    *,
    release: str = "",
    origin: Origin | None = None,
    joint: str = ": ",
) -> News:
    by = origin or origin_of(context)
    run_url, group_url = by.job.log if by.job else "", page_of_group(group)
    subject = f"{group}{joint}{what}"
    reason = [f"Why: {by.why}"] if by.why else []
    text = [f"{subject}.", *(f"- {line}" for line in lines), *reason, f"By {by.by}.", f"Run: {run_url}"]
    return News(
        moment=moment,
        group=group,
        subject=subject,
        text="\n".join([*text, f"Group: {group_url}"]),
        lines=tuple(lines),
        why=by.why,
        by=by.by,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        release=release,
        run_url=run_url,
        group_url=group_url,
    )


def page_of_group(group: str) -> str:
    """The address of a group's page in this Airflow."""
    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="http://localhost:8080/")).rstrip("/")
    return f"{base}/plugin/lockstep/groups/{quote(group)}"
