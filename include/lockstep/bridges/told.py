"""What another system is told of a version: parameters, metrics, tags and files, by the entry that recorded it.

Rules:
- It is read from the log and the manifests, and is the same each time.
- Versions come in the order of their entries, so that the number of the last one says how far somebody was told.
- A version whose files were removed is told by what the log says of it alone.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockstep.decisions.tune import CURVE
from lockstep.group import Group
from lockstep.registry import (
    ModelTrained,
    Past,
    Registry,
    State,
    ThresholdTuned,
    Version,
    canonical_json,
    files_of,
    read_manifest,
)

_SPLITS: Final = ("validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A version of a model, or of a threshold that belongs to one.

    Attributes:
        entry: the number of the log's entry.
        model: the model version that it is, or that it belongs to.
        threshold: the threshold version; None for a model.
        tags, params: texts.
        metrics: numbers; what could not be computed is left out.
        files: path → bytes.
    """

    entry: int
    model: Version[ModelTrained]
    threshold: Version[ThresholdTuned] | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, bytes]

    @property
    def ref(self) -> str:
        """The version that was made, as `churn@3`."""
        return (self.threshold or self.model).ref


def made_since(registry: Registry, group: Group, state: State, entry: int) -> Iterator[Made]:
    """The versions of a group's models and thresholds that were recorded behind an entry, oldest first."""
    found: list[tuple[int, Past[Any], int]] = []
    pasts: list[Past[Any] | None] = [state.models.get(model.name) for model in group.models]
    pasts += [state.thresholds.get(name) for name in group.model_of_threshold]
    for past in pasts:
        if past:
            found += [(number, past, place) for place, number in enumerate(past.entries()) if number > entry]
    for _, past, place in sorted(found, key=lambda one: one[0]):
        version = past[place]
        if isinstance(version.fact, ModelTrained):
            yield _model(registry, state, version)
        else:
            yield _threshold(registry, state, version)


def _model(registry: Registry, state: State, version: Version[ModelTrained]) -> Made:
    fact, job = version.fact, version.recorded.origin.job
    is_there = not state.is_removed(version)
    manifest = read_manifest(registry.objects, fact.manifest) if is_there else {}
    tags = {
        "version": version.ref,
        "digest": version.digest,
        "entry": str(version.recorded.number),
        "snapshot": state.snapshot_by_digest(fact.dataset, fact.snapshot).ref,
        "recipe": fact.recipe,
        "source": fact.source,
        "by": version.recorded.origin.by,
        "why": version.recorded.origin.why,
        "missed": "; ".join(fact.missed),
        "address": f"{registry.uri.rstrip('/')}/{fact.manifest.path.rpartition('/')[0]}",
        **{f"upstream.{name}": state.model_by_digest(name, digest).ref for name, digest in fact.upstream.items()},
    }
    if job is not None:
        tags |= {"job": f"{job.system}: {job.run}", "commit": job.commit}
    params = {name: json.dumps(value) for name, value in fact.parameters.items()}
    estimator = manifest.get("estimator", {}).get("params", {})
    metrics = {name: value for name, value in fact.metrics.items() if value is not None}
    validation = manifest.get("validation_metrics", {})
    metrics |= {f"validation.{name}": value for name, value in validation.items() if value is not None}
    return Made(
        entry=version.recorded.number,
        model=version,
        threshold=None,
        tags={name: value for name, value in tags.items() if value},
        params={**estimator, **params},
        metrics=metrics,
        files={"manifest.json": canonical_json(manifest)} if is_there else {},
    )


def _threshold(registry: Registry, state: State, version: Version[ThresholdTuned]) -> Made:
    fact = version.fact
    metrics: dict[str, float] = {} if fact.value is None else {f"{version.name}.value": fact.value}
    files: dict[str, bytes] = {}
    told = "by a rule" if fact.value is None else f"{fact.value:g}"
    if not state.is_removed(version):
        manifest = read_manifest(registry.objects, fact.manifest)
        folder = f"thresholds/{version.ref}"
        curve = registry.objects.get(files_of(fact.manifest, manifest)[CURVE])
        files = {f"{folder}/manifest.json": canonical_json(manifest), f"{folder}/{CURVE}": curve}
        if (plot := plot_of(version.ref, json.loads(curve), fact.value)) is not None:
            files[f"{folder}/curve.png"] = plot
        metrics |= {
            f"{version.name}.{split}.{name}": float(value)
            for split in _SPLITS
            for name, value in (manifest.get(split) or {}).items()
            if isinstance(value, int | float)
        }
    return Made(
        entry=version.recorded.number,
        model=state.model_by_digest(fact.model, fact.model_digest),
        threshold=version,
        tags={f"threshold.{version.name}": f"{version.ref}: {told}"},
        params={},
        metrics=metrics,
        files=files,
    )


def plot_of(title: str, curves: Mapping[str, Any], value: float | None) -> bytes | None:
    """What each threshold would decide, as a PNG; None where it takes several values, or matplotlib is not there."""
    shown = [(split, curves[split]) for split in _SPLITS if curves.get(split, {}).get("threshold")]
    if not shown or value is None:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(4.5 * len(shown), 3.4), layout="constrained")
    for place, (split, curve) in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        for name in ("precision", "recall", "share"):
            if name in curve:
                axes.plot(curve["threshold"], curve[name], label="decided yes" if name == "share" else name)
        axes.axvline(value, color="0.4", linestyle="--", label=f"chosen: {value:.3g}")
        axes.set(title=f"{title}, {split} split", xlabel="threshold", ylim=(0, 1.02))
        axes.legend(fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
