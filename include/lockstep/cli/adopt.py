"""`lockstep adopt`: start with the models and thresholds that are in production today."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from lockstep.cli import say
from lockstep.errors import UsageError


def adopt(  # noqa: PLR0913, PLR0917  each is an option of the command
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The declared model that the file is a version of.")],
    file: Annotated[Path, typer.Argument(help="A .onnx, .skops, .joblib or .pkl file, or a folder of MLflow's.")],
    snapshot: Annotated[
        str, typer.Option(help="What it is evaluated on, as customers@3; default: one is taken now.")
    ] = "",
    trust: Annotated[
        list[str] | None,
        typer.Option(help="What a pickle may hold: scikit-learn, or a name in full. Without it, it is only listed."),
    ] = None,
    features: Annotated[str, typer.Option(help="Its columns in its order, with commas between.")] = "",
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="A class, in the order of its scores; may be repeated.")
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="A threshold's value, as retention_offer=0.43; may be repeated.")
    ] = None,
    origin: Annotated[
        str, typer.Option("--from", help="Where it comes from, in your words; kept in its manifest.")
    ] = "",
    *,
    promote: Annotated[bool, typer.Option("--promote", help="Move it, with its thresholds, to staging.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Register an existing model, with thresholds that are in use, as a candidate; a pickle only by --trust."""
    from lockstep.adoption import Asked, check_trusted, recognise
    from lockstep.adoption import adopt as take
    from lockstep.data import take_snapshot
    from lockstep.decisions.tune import adopt_threshold
    from lockstep.registry.lineage import describe
    from lockstep.release import promote as move
    from lockstep.training import own_packages
    from lockstep.training.source import hash_of_clean

    registry, who, graph = ctx.obj.registry(), ctx.obj.origin(), ctx.obj.graphs().of(model)
    values = {name: _value(word, value) for word in threshold or () for name, value in [_divided(word)]}
    for name in values:
        if graph.model_of(name).name != model:
            raise UsageError(
                f'--threshold {name}: it belongs to model "{graph.model_of(name).name}", not to "{model}".'
            )
    found = recognise(file)
    check_trusted(found, trust or (), own_packages(graph))  # before anything is written
    dataset = graph.model(model).data
    if snapshot:
        taken = registry.state().snapshot(snapshot)
        if taken.name != dataset.name:
            raise UsageError(f'--snapshot {snapshot}: model "{model}" is declared on dataset "{dataset.name}".')
    else:
        with say.progress(f"snapshot of {dataset.name}"):
            taken = take_snapshot(registry, dataset, who, code=hash_of_clean(dataset))
    asked = Asked(
        trust=tuple(trust or ()),
        features=tuple(name.strip() for name in features.split(",") if name.strip()),
        classes=tuple(class_ or ()),
        note=origin,
    )
    done = take(registry, graph, model, found, who, snapshot=taken, asked=asked)
    told = {"file": found.name, "sha256": found.sha256, "note": origin}
    tuned = [
        adopt_threshold(registry, graph, name, value, who, model=done.version, told=told)
        for name, value in values.items()
    ]
    result: dict[str, Any] = {
        "model": describe(registry.state(), done.version) | {"new": done.is_new, "warnings": list(done.warnings)},
        "thresholds": [describe(registry.state(), one.version) | {"new": one.is_new} for one in tuned],
        "promoted": [],
    }
    if promote:
        moved = move(registry, graph.group_of(model), done.version.ref, who)
        result["promoted"] = [version.ref for version in moved.versions]
    say.result(result, _text(result, found.name), as_json=as_json)


def _divided(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals and value):
        raise UsageError(f"--threshold {word}: the form is name=value; for example retention_offer=0.43.")
    return name, value


def _value(word: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"--threshold {word}: the value must be a finite number; for example retention_offer=0.43.")
    return value


def _text(result: dict[str, Any], name: str) -> str:
    model = result["model"]
    metrics = ", ".join(f"{metric} {value:.4f}" for metric, value in model["metrics"].items() if value is not None)
    note = "" if model["new"] else " (this file was adopted before)"
    lines = [f"{model['version']}, adopted from {name}: {metrics}{note}"]
    lines += [f"  can't be promoted: {miss}" for miss in model["missed"]]
    lines += [f"  said while it was loaded: {warning}" for warning in model["warnings"]]
    lines += [f"{one['version']}: {one['value']:g}, as given" for one in result["thresholds"]]
    if result["promoted"]:
        lines.append(f"in staging: {', '.join(result['promoted'])}")
    return "\n".join(lines)
