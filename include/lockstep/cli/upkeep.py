"""`lockstep verify` and `lockstep retain`: is the registry whole, and what need not be kept any longer?"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Final

import typer

from lockstep.cli import say
from lockstep.errors import UsageError
from lockstep.upkeep.keep import Heap, Rule
from lockstep.upkeep.retention import DECISIONS, SPECS, Retention, preview
from lockstep.upkeep.retention import retain as remove
from lockstep.upkeep.verify import Depth, Verification
from lockstep.upkeep.verify import verify as look

_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SPAN: Final = re.compile(r"([0-9]{1,5})([hdw])")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def verify(
    ctx: typer.Context,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Compare names and sizes; read no large file.")] = False,
    as_json: Json = False,
) -> None:
    """Compare all that stands in the registry with its log; exit status 0 only if nothing is broken."""
    verification = look(ctx.obj.registry(), depth=Depth.QUICK if quick else Depth.WHOLE)
    with say.spinner("verifying"):
        findings = list(verification)
    document = {**verification.as_json(), "findings": [finding.as_json() for finding in findings]}
    lines = [*(finding.as_text() for finding in findings), summary(verification)]
    say.result(document, "\n".join(lines), as_json=as_json)
    if not verification.is_sound:
        raise typer.Exit(1)


def summary(verification: Verification) -> str:
    """How much was verified, and what was found, in one line."""
    counts = verification.counts
    seen = f"{_some(counts.entries, 'entry')}, {_some(counts.versions, 'version')}, {_some(counts.objects, 'object')}"
    found = f"{_some(counts.errors, 'error')}, {_some(counts.notes, 'note')}"
    return f"{seen}, {counts.size:,} bytes: {found}"


def retain(
    ctx: typer.Context,
    keep: Annotated[int, typer.Option(help="How many of the newest versions of each name stay.")] = 10,
    older_than: Annotated[str, typer.Option(help="Only what is older goes: 30d, 12h or 8w.")] = "30d",
    rollbacks: Annotated[int, typer.Option(help="How many releases before production stay whole, by group.")] = 5,
    decisions: Annotated[str, typer.Option(help="Of the decision log, what is older goes: 90d or 8w.")] = "90d",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the files of old versions that nobody needs. The log keeps what it says of them."""
    rule = Rule(
        keep=keep,
        older_than=span(older_than),
        rollbacks=rollbacks,
        decisions=span(decisions, "--decisions"),
    )
    registry = ctx.obj.registry()
    with say.spinner("looking for what need not be kept"):
        done = preview(registry, rule) if dry_run else remove(registry, rule, ctx.obj.origin())
    say.result({**done.as_json(), "dry_run": dry_run}, "\n".join(as_text(done, dry_run=dry_run)), as_json=as_json)


def span(text: str, option: str = "--older-than") -> timedelta:
    """`30d` → thirty days.

    Raises:
        UsageError: another form.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        raise UsageError(f'{option} {text}: this is no time span; write "12h", "30d" or "8w".')
    return int(found[1]) * _UNITS[found[2]]


def as_text(done: Retention, *, dry_run: bool) -> Iterator[str]:
    """What went, or would go, a line each; what stays and why; and how much it was."""
    removals, gone = done.plan.removals, "would go" if dry_run else "removed"
    for removal in removals:
        what = f"{removal.what} ({removal.why})" if removal.what else removal.why
        yield f"{gone}: {removal.folder}: {what}, {_files(removal.files, removal.size)}"
    yield from _left(done.unfinished, "left by a run that was stopped", dry_run=dry_run)
    yield from _left(done.scratch, "left by a killed pipeline", dry_run=dry_run)
    yield from _left(
        {SPECS: done.specs} if done.specs.files else {}, "told to jobs that ended long ago", dry_run=dry_run
    )
    logged = {f"{DECISIONS}/{group}": heap for group, heap in done.decisions.items()}
    yield from _left(logged, "of the decision log, long past", dry_run=dry_run)
    for name, whys in sorted(done.plan.kept.items()):
        reasons = ", ".join(f"{count} {why}" for why, count in whys.items())
        yield f"kept: {name}: {_some(sum(whys.values()), 'version')} ({reasons})"
    if dry_run:
        yield f"would go: {_some(len(removals), 'folder')}, {done.plan.size:,} bytes; nothing was changed"
        return
    entries = f" (log entries {', '.join(map(str, done.entries))})" if done.entries else ""
    yield f"removed: {_some(len(removals), 'folder')}{entries}; deleted: {_files(done.files, done.size)}"


def _left(heaps: Mapping[str, Heap], why: str, *, dry_run: bool) -> Iterator[str]:
    for folder, heap in heaps.items():
        yield f"{'would be deleted' if dry_run else 'deleted'}: {folder}: {why}, {_files(heap.files, heap.size)}"


def _files(files: int, size: int) -> str:
    return f"{_some(files, 'file')}, {size:,} bytes"


def _some(count: int, what: str) -> str:
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else many}"
