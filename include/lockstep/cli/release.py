"""`promote`, `gate`, `approve`, `reject`, `release`, `rollback`, `hold`, `resume`: how versions reach production.

Rules:
- Each calls one function of `lockstep.release`; what that refuses is one sentence and exit status 1.
- Whoever approves or rejects says a word on one set: the one that `--set` names, else the one that stands in staging
  when the command starts. The command says which it was.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from lockstep.cli import say
from lockstep.errors import SetChanged
from lockstep.group import Group
from lockstep.registry import Hold, Judgement, Release, State
from lockstep.release import (
    Needs,
    approve,
    consult,
    describe_hold,
    digest_of_release,
    hold,
    promote,
    reject,
    release,
    resume,
    rollback,
    weigh,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Set = Annotated[str | None, typer.Option("--set", help="The first characters of the set; default: that in staging.")]
_SHOWN: Final = 12  # characters of a digest


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    commands: dict[str, Callable[..., None]] = {
        "promote": promote_command,
        "gate": gate_command,
        "approve": approve_command,
        "reject": reject_command,
        "release": release_command,
        "rollback": rollback_command,
        "hold": hold_command,
        "resume": resume_command,
    }
    for name, command in commands.items():
        app.command(name=name)(command)


def promote_command(
    ctx: typer.Context,
    versions: Annotated[list[str], typer.Argument(help="As churn@3; without a number, the newest.")],
    *,
    as_json: Json = False,
) -> None:
    """Move model versions with their thresholds, or threshold versions, to staging: all that are named, or none."""
    graphs, name = ctx.obj.graphs(), versions[0].partition("@")[0]
    group = graphs.of(name).group_of(name)
    done = promote(ctx.obj.registry(), group, versions, ctx.obj.origin())
    refs = [version.ref for version in done.versions]
    document = {"group": done.group, "staging": refs, "entry": done.entry.number if done.entry else None}
    already = "" if done.entry else " (as before)"
    say.result(document, f"in staging: {', '.join(refs)}{already}", as_json=as_json)


def gate_command(ctx: typer.Context, group: str, *, as_json: Json = False) -> None:
    """Say whether a release group may be released, and why not; exit status 0 only if it may."""
    _, declared = ctx.obj.graphs().group(group)
    registry = ctx.obj.registry()
    verdict = consult(declared, registry.state(), registry.objects)
    say.result(verdict.as_json(), verdict.as_text(), as_json=as_json)
    if not verdict.is_open:
        raise typer.Exit(1)


def approve_command(ctx: typer.Context, group: str, wanted: Set = None, *, as_json: Json = False) -> None:
    """Approve the set in staging, for a release that needs it (release --needs approval); nothing is released yet."""
    _, declared = ctx.obj.graphs().group(group)
    registry = ctx.obj.registry()
    state = registry.state()
    digest = _set(declared, state, wanted)
    word = approve(registry, declared, ctx.obj.origin(), digest=digest, seen=state.head)
    say.result(_word(word), f"{group}: set {digest[:_SHOWN]} is approved", as_json=as_json)


def reject_command(ctx: typer.Context, group: str, wanted: Set = None, *, as_json: Json = False) -> None:
    """Keep exactly the set in staging from being released, with --why before the command; other sets may be."""
    _, declared = ctx.obj.graphs().group(group)
    registry = ctx.obj.registry()
    state = registry.state()
    digest = _set(declared, state, wanted)
    word = reject(registry, declared, ctx.obj.origin(), digest=digest, seen=state.head)
    says = f"{group}: set {digest[:_SHOWN]} is rejected, and will not be released"
    say.result(_word(word), says, as_json=as_json)


def release_command(
    ctx: typer.Context,
    group: str,
    needs: Annotated[
        Needs, typer.Option(help="What it needs: an open gate, or somebody's approval of exactly this set, too.")
    ] = Needs.GATE,
    *,
    as_json: Json = False,
) -> None:
    """Release what stands in staging: all members at once, or nothing."""
    from lockstep.decisions import ensure_diff

    graph, declared = ctx.obj.graphs().group(group)
    registry = ctx.obj.registry()
    with say.spinner(f"verifying and releasing {group}"):
        ensure_diff(registry, graph, declared.name)
        done = release(registry, declared, ctx.obj.origin(), needs=needs)
    say.result(_release(done), f"{group}: release {done.short} is in production", as_json=as_json)


def rollback_command(
    ctx: typer.Context,
    group: str,
    to: Annotated[str | None, typer.Option(help="The first characters of a release; default: the one before.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Put an earlier release back into production: all members at once; the group is on hold behind it."""
    _, declared = ctx.obj.graphs().group(group)
    with say.spinner(f"verifying and rolling back {group}"):
        done = rollback(ctx.obj.registry(), declared, ctx.obj.origin(), to=to)
    says = f"{group}: release {done.short} is back in production; on hold until `lockstep resume {group}`"
    say.result(_release(done), says, as_json=as_json)


def hold_command(ctx: typer.Context, group: str, *, as_json: Json = False) -> None:
    """Put a group on hold: nothing of it is released until somebody resumes."""
    _, declared = ctx.obj.graphs().group(group)
    done = hold(ctx.obj.registry(), declared, ctx.obj.origin())
    say.result(_hold(done), describe_hold(done), as_json=as_json)


def resume_command(ctx: typer.Context, group: str, *, as_json: Json = False) -> None:
    """Lift the hold on a group: what stands in staging may be released again."""
    _, declared = ctx.obj.graphs().group(group)
    done = resume(ctx.obj.registry(), declared, ctx.obj.origin())
    say.result(_hold(done), f"{group} is not on hold any more", as_json=as_json)


def _set(group: Group, state: State, wanted: str | None) -> str:
    """The digest of the set that is meant: that in staging, which has to be the one that is named."""
    verdict, manifest = weigh(group, state)
    found = digest_of_release(manifest) if manifest is not None else ""
    if wanted and not found.startswith(wanted):
        stands = f"in staging is {found[:_SHOWN]} now" if found else f"no whole set is in staging\n{verdict.as_text()}"
        raise SetChanged(f'Group "{group.name}": the set has changed. You name {wanted}, {stands}.')
    return found


def _word(said: Judgement) -> dict[str, Any]:
    return {"group": said.group, "set": said.digest, "word": said.word.value, "entry": said.recorded.number}


def _hold(done: Hold) -> dict[str, Any]:
    return {"group": done.group, "on_hold": done.is_on, "entry": done.recorded.number}


def _release(done: Release) -> dict[str, Any]:
    return {
        "group": done.group,
        "release": done.digest,
        "entry": done.recorded.number,
        "members": dict(done.members),
        "left": done.left,
    }
