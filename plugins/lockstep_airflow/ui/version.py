"""The page of a version: what it is, what made it, and what became of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lockstep.registry.entries import ModelTrained, ThresholdTuned
from lockstep.registry.lineage import AnyVersion, key_of
from lockstep.registry.past import Release, Staging
from lockstep_airflow.ui import libraries, shapes
from lockstep_airflow.ui.book import Book
from lockstep_airflow.ui.reading import file_of, manifest_of
from lockstep_airflow.ui.said import said, version_row
from lockstep_airflow.ui.versions import version_in
from lockstep_airflow.ui.world import Place

_CURVES = "curve.json"


def version(place: Place, ref: str) -> shapes.VersionPage:
    """The page."""
    found, book = version_in(place, ref), place.book
    manifest = manifest_of(place, found) or {}
    curves = file_of(place, found, manifest, _CURVES) if manifest and isinstance(found.fact, ThresholdTuned) else None
    return {
        **version_row(book, found),
        "parameters": dict(found.fact.parameters) if isinstance(found.fact, ModelTrained) else {},
        "source": _source(found, manifest),
        "made_from": [version_row(book, other) for other in book.made_from(found)],
        "made_into": [version_row(book, other) for other in book.made_into(found)],
        "promotions": [said(what.recorded) for what in _moves(place, found, Staging)],
        "releases": [_held_by(book, what) for what in _moves(place, found, Release)],
        "curves": list(_curves(json.loads(curves))) if curves else [],
        "calibration": _calibration(manifest),
        "policy": _in_words(manifest["policy"]) if "policy" in manifest else None,
        "rule": _rule(found),
        "interval": _interval(manifest),
        "rows": _rows(manifest),
        "expects": dict(manifest.get("expects", {})),
        "estimator": dict(manifest.get("estimator", {}).get("params", {})),
        "files": [
            {"path": f"{_folder(found)}/{name}", "sha256": file["sha256"], "size": file["size"]}
            for name, file in sorted(manifest.get("files", {}).items())
        ],
        "libraries": dict(manifest.get("libraries", {})),
        "onnx": _onnx(manifest),
        "importance": manifest.get("importance"),
        "manifest": _shown(place, manifest) if manifest else None,
    }


def _shown(place: Place, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest, without what may quote a value of a private column."""
    node = place.group.nodes.get(manifest.get("dataset", ""))
    if node is None or not node.private or "reasons" not in manifest:
        return manifest
    libraries.load()
    from lockstep_airflow.ui.snapshot import reasons_of

    return manifest | {"reasons": reasons_of(manifest, node.private)}


def _folder(found: AnyVersion) -> str:
    return found.fact.manifest.path.rpartition("/")[0]


def _source(found: AnyVersion, manifest: Mapping[str, Any]) -> shapes.Source | None:
    if not isinstance(found.fact, ModelTrained):
        return None
    code = manifest.get("code", {})
    job = found.recorded.origin.job
    return {
        "sha256": found.fact.source,
        "path": f"sources/{found.fact.source}.tar.gz",
        "commit": code.get("commit") or (job.commit if job else ""),
        "dirty": bool(code.get("dirty", False)),
    }


def _moves(place: Place, found: AnyVersion, kind: type[Staging | Release]) -> Iterator[Any]:
    """What moved a version; a snapshot is moved where a model that was trained on it is."""
    book = place.book
    versions = [found] if key_of(found) else book.made_into(found)
    moved = {(key_of(other), other.digest) for other in versions}
    for happened in reversed(book.events(place.group.name)):
        if isinstance(happened.what, kind) and moved.intersection(happened.what.members.items()):
            yield happened.what


def _held_by(book: Book, release: Release) -> shapes.HeldBy:
    production = book.state.production(release.group)
    return {
        "digest": release.digest,
        "did": "released" if release.left is None else "rolled_back",
        "said": said(release.recorded),
        "is_production": production is not None and production.digest == release.digest,
    }


def _curves(kept: Mapping[str, Any]) -> Iterator[shapes.Curve]:
    """Precision by recall, where there are classes; else the share that is decided yes, by threshold."""
    for split, of_split in kept.items():
        several = (
            {split: of_split} if "threshold" in of_split else {f"{split}, {one}": of for one, of in of_split.items()}
        )
        for name, points in several.items():
            if not points.get("threshold"):
                continue
            x_label, y_label = ("recall", "precision") if "recall" in points else ("threshold", "share")
            pairs = sorted(zip(points[x_label], points[y_label], strict=True))
            yield {
                "name": name,
                "x_label": x_label,
                "y_label": "share of yes" if y_label == "share" else y_label,
                "x": [x for x, _ in pairs],
                "y": [y for _, y in pairs],
            }


def _calibration(manifest: Mapping[str, Any]) -> shapes.Calibration | None:
    found = manifest.get("calibration")
    if not found:
        return None
    return {
        "predicted": found["predicted"],
        "observed": found["observed"],
        "brier_score": found["brier_score"],
    }


def _in_words(policy: Mapping[str, Any]) -> str:
    """A policy as it was declared."""
    given = {name: value for name, value in policy.items() if name != "policy"}
    if any(isinstance(value, Mapping) for value in given.values()):
        inner = (f"{name}={_in_words(value) if isinstance(value, Mapping) else value}" for name, value in given.items())
        return f"{policy['policy']}({', '.join(inner)})"
    return f"{policy['policy']}({', '.join(f'{value:g}' for value in given.values())})"


def _rule(found: AnyVersion) -> str | None:
    """What a threshold decides by, in words."""
    if not isinstance(found.fact, ThresholdTuned):
        return None
    libraries.load()
    from lockstep.decisions.rule import text_of

    return text_of(found.fact.value, found.fact.rule)


def _interval(manifest: Mapping[str, Any]) -> shapes.Interval | None:
    found = manifest.get("interval")
    if not isinstance(found, Mapping) or found.get("low") is None or found.get("high") is None:
        return None
    return {"low": found["low"], "high": found["high"]}


def _rows(manifest: Mapping[str, Any]) -> dict[str, int]:
    """By split, where a manifest says it."""
    if "rows_by_split" in manifest:
        return dict(manifest["rows_by_split"])
    if isinstance(manifest.get("rows"), Mapping):
        return dict(manifest["rows"])
    return {split: manifest[split]["rows"] for split in ("validation", "test") if "rows" in manifest.get(split, {})}


def _onnx(manifest: Mapping[str, Any]) -> shapes.Onnx | None:
    found = manifest.get("onnx")
    if not isinstance(found, Mapping):
        return None
    largest = found.get("largest_difference")
    return {
        "used": bool(found.get("used")),
        "largest_difference": largest if isinstance(largest, int | float) else None,
        "reason": str(found.get("reason", "")),
    }
