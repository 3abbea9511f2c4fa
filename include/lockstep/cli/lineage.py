"""`lockstep lineage`: what made it, what it fed, who promoted it, which releases held it, and which log to read."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lockstep.checks import said_of
from lockstep.cli import say
from lockstep.decisions.rule import text_of
from lockstep.errors import ObjectDamaged, ObjectMissing, UsageError
from lockstep.registry import Registry, SnapshotTaken, read_manifest
from lockstep.registry.lineage import AnyVersion, describe, find
from lockstep.registry.lineage import lineage as lineage_of
from lockstep.registry.trace import Deed, by_file, by_job, by_source


def lineage(
    ctx: typer.Context,
    ref: Annotated[str | None, typer.Argument(help="A version, as churn@3, offer@2 or customers@1.")] = None,
    job: Annotated[
        str | None, typer.Option(help="A job: its run (Airflow, Vertex, Beam), also with its task, or the end of it.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The SHA-256 of a source archive, or a git commit, or the beginning of it.")
    ] = None,
    snapshot: Annotated[str | None, typer.Option(help="A snapshot, as customers@3.")] = None,
    file: Annotated[str | None, typer.Option(help="A file: its name in the registry, its address or its path.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look up where something comes from and what became of it: a version, a job, a source, a snapshot or a file."""
    asked = {"version": ref, "job": job, "source": source, "snapshot": snapshot, "file": file}
    given = {what: value for what, value in asked.items() if value is not None}
    if len(given) != 1:
        raise UsageError(
            "lineage: give one of a version (churn@3), --job RUN, --source HASH, --snapshot NAME@NUMBER or --file PATH."
        )
    ((what, value),) = given.items()
    document, lines = _look_up(ctx.obj.registry(), what, value)
    say.result(document, "\n".join(lines), as_json=as_json)


def _look_up(registry: Registry, what: str, value: str) -> tuple[Any, list[str]]:
    """The document and the text of one look-up."""
    state = registry.state()
    match what:
        case "job":
            done = by_job(registry.log.entries(), value)
            return [asdict(deed) for deed in done], [line for deed in done for line in _deed_lines(deed)]
        case "source":
            made = [describe(state, version) for version in by_source(state, value)]
            return made, [line for item in made for line in _made_lines(item)]
        case "file":
            found = by_file(state, registry.log.entries(), value)
            lines = [f"{found['file']} ({found['is']})", *_file_lines(found)]
            return found | {"deeds": [asdict(deed) for deed in found["deeds"]]} if "deeds" in found else found, lines
        case "snapshot":
            found = lineage_of(state, version := state.snapshot(value)) | _checks(registry, version)
            return found, version_lines(found)
        case _:
            found = lineage_of(state, other := find(state, value)) | _checks(registry, other)
            return found, version_lines(found)


def _checks(registry: Registry, version: AnyVersion) -> dict[str, Any]:
    """What the checks of a snapshot's dataset said when it was taken, if it has any and its manifest is there."""
    if not isinstance(version.fact, SnapshotTaken):
        return {}
    try:
        manifest = read_manifest(registry.objects, version.fact.manifest)
    except (ObjectMissing, ObjectDamaged) as error:
        return {} if registry.state().is_removed(version) else {"unread": str(error)}
    return {"checks": manifest["checks"]} if "checks" in manifest else {}


def version_lines(found: Mapping[str, Any]) -> list[str]:
    """A version, what it was made of, what was made of it, and who moved it."""
    facts = ("source", "parameters", "metrics", "missed", "value", "rows", "quarantined")
    return [
        f"{found['version']} ({_standing(found)})",
        f"  made {_by(found)}, entry {found['entry']}",
        *_job_lines(found["job"]),
        f"  manifest {found['manifest']}",
        *(f"  {name} {found[name]}" for name in facts if found.get(name) not in (None, [])),
        *(f"  check {said_of(result)}" for result in found.get("checks", ())),
        *([f"  manifest can't be read: {found['unread']}"] if "unread" in found else []),
        *([f"  rule {text_of(None, found['rule'])}"] if "rule" in found else []),
        *(f"  made from {other['version']} ({_standing(other)})" for other in found["made_from"]),
        *(f"  made into {other['version']} ({_standing(other)})" for other in found["made_into"]),
        *(f"  promoted {_by(item)}, entry {item['entry']}{_where(item['job'])}" for item in found["promotions"]),
        *(
            f"  in release {item['release'][:12]} of {item['group']}, {item['did'].replace('_', ' ')} {_by(item)},"
            f" entry {item['entry']}{_where(item['job'])}"
            for item in found["releases"]
        ),
    ]


def _standing(item: Mapping[str, Any]) -> str:
    gone = f"files removed by entry {item['removed']}" if item["removed"] else None
    return ", ".join(word for word in (item["kind"], item["stage"], gone) if word)


def _by(item: Mapping[str, Any]) -> str:
    return f"{item['at']} by {item['by']}" + (f": {item['why']}" if item["why"] else "")


def _job_lines(job: Mapping[str, Any] | None) -> Iterator[str]:
    known = job or {}
    yield f"  job {known.get('system', '-')} {known.get('run', '')} {known.get('task', '')}".rstrip()
    yield f"  log {known.get('log') or '-'}"
    yield f"  commit {known.get('commit') or '-'}"


def _where(job: Mapping[str, Any] | None) -> str:
    """Which job, and which log to read, at the end of a line."""
    if not job:
        return ""
    return f", job {job['run']}" + (f", log {job['log']}" if job["log"] else "")


def _made_lines(item: Mapping[str, Any]) -> Iterator[str]:
    yield f"{item['version']} ({_standing(item)}), made {_by(item)}, entry {item['entry']}"
    if "source" in item:
        yield f"  source sources/{item['source']}.tar.gz"
    yield from _job_lines(item["job"])


def _deed_lines(deed: Deed) -> Iterator[str]:
    group = f" of {deed.group}" if deed.group else ""
    release = f" release {deed.release[:12]}" if deed.release else ""
    yield f"entry {deed.entry}: {deed.did.replace('_', ' ')}{release}{group}: {', '.join(deed.versions)}"
    yield f"  {deed.at} by {deed.by}" + (f": {deed.why}" if deed.why else "")
    yield from _job_lines(asdict(deed.job) if deed.job else None)


def _file_lines(found: Mapping[str, Any]) -> Iterator[str]:
    if "version" in found:
        yield from version_lines(found["version"])
    for item in found.get("made", ()):
        yield from _made_lines(item)
    for deed in found.get("deeds", ()):
        yield from _deed_lines(deed)
    if "note" in found:
        yield f"  {found['note']}"
