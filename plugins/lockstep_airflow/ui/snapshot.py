"""The page of a snapshot: what its columns hold, what was set aside and why. It brings the libraries of data.

Rules:
- Of private columns no value is shown: not in a profile, not in the quarantine, not in a reason that quotes one. Of the
  key, which names rows, only how many there are.
- Splits are laid side by side, not merged, which would throw dice: the same profile is the same page.
"""

import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from fastapi import HTTPException

from lockstep.data.bucket import RAW
from lockstep.data.compared import PRIVATE
from lockstep.data.profile import QUANTILES
from lockstep.data.rows import REASON
from lockstep.data.split import SPLIT
from lockstep.monitoring.summaries import Numbers, Summary, Words, summaries_of
from lockstep.registry.entries import SnapshotTaken
from lockstep_airflow.ui import shapes_of_data
from lockstep_airflow.ui.data import snapshot_row
from lockstep_airflow.ui.declarations import Node
from lockstep_airflow.ui.reading import file_of, manifest_of
from lockstep_airflow.ui.versions import version_in
from lockstep_airflow.ui.world import Place

_BINS: Final = 30
_ROWS: Final = 100  # of the quarantine
_FILES: Final = 1_000
_VALUES: Final = 50
HIDDEN: Final = "(not shown: a part of it is private)"


def snapshot(place: Place, ref: str) -> shapes_of_data.SnapshotPage:
    """The page."""
    found = version_in(place, ref)
    if not isinstance(found.fact, SnapshotTaken):
        raise HTTPException(404, f'"{ref}" is no snapshot. Its page is that of a version.')
    node, manifest = place.group.nodes[found.name], manifest_of(place, found) or {}
    profile = file_of(place, found, manifest, "profile.json") if manifest else None
    quarantine = file_of(place, found, manifest, "quarantine.parquet") if manifest else None
    return {
        **snapshot_row(place.book, found),
        "dataset": found.name,
        "rows_by_split": dict(manifest.get("rows_by_split", {})),
        "columns": columns_of(json.loads(profile), manifest.get("columns", {}), node) if profile else [],
        "reasons": reasons_of(manifest, node.private),
        "quarantine": _quarantine(quarantine, node.private) if quarantine else [],
        "build": _build(manifest),
        "inputs": [
            {"path": file["path"], "size": file["size"], "etag": file.get("etag"), "version": file.get("version")}
            for file in manifest.get("source", {}).get("files", [])[:_FILES]
        ],
        "checks": [_check(one) for one in manifest.get("checks", ())],
    }


def reasons_of(manifest: Mapping[str, Any], private: Iterable[str]) -> dict[str, int]:
    """Reason → rows; those that may quote a value of a private column are told together."""
    told = Counter[str]()
    for reason, rows in manifest.get("reasons", {}).items():
        told[_reason(reason, private)] += rows
    return dict(told.most_common())


def _reason(reason: str, private: Iterable[str]) -> str:
    return PRIVATE if any(f"{name}: " in reason for name in private) else reason


def _build(manifest: Mapping[str, Any]) -> shapes_of_data.Build:
    build = manifest.get("build", {"kind": "full"})
    based = f"on {build['base']}" if build.get("base") else ""
    return {"kind": build["kind"], "why": build.get("why") or based}


def _check(said: Mapping[str, Any]) -> shapes_of_data.CheckSays:
    """A check as the manifest has it: `between("tenure", 0, 100)`, which names its column first."""
    _, _, arguments = said["check"].partition("(")
    first = arguments.split('"')[1] if arguments.startswith('"') else ""
    failed = said["rows"] if said["rows"] is not None else int(not said["kept"])
    return {"column": first, "check": said["check"], "hard": said["weight"] == "hard", "failed": failed}


def _quarantine(content: bytes, private: frozenset[str]) -> list[dict[str, str | None]]:
    rows = pl.read_parquet(io.BytesIO(content)).head(_ROWS)
    return [_row(row, private) for row in rows.iter_rows(named=True)]


def _row(row: Mapping[str, Any], private: frozenset[str]) -> dict[str, str | None]:
    """A row as it came, column by column where it can be taken apart."""
    found: dict[str, str | None] = {REASON: _reason(str(row[REASON]), private)}
    found |= {name: None if row.get(name) is None else str(row[name]) for name in ("_file", "_line")}
    try:
        raw = json.loads(row[RAW])
    except (TypeError, ValueError):
        raw = None
    if isinstance(raw, dict):
        shown = {name: value for name, value in raw.items() if name not in private}
        return found | {name: None if value is None else str(value) for name, value in shown.items()}
    return found | {RAW: HIDDEN if private else row[RAW]}


# ------------------------------------------------------------------------------------------------------------ profile


def columns_of(
    profile: Mapping[str, Mapping[str, Any]], types: Mapping[str, str], node: Node
) -> list[shapes_of_data.ColumnProfile]:
    """Each column over all splits."""
    names = [name for name in dict.fromkeys(name for split in profile.values() for name in split) if name != SPLIT]
    sketched = {
        split: {name: one for name, one in columns.items() if "sketch" in one or "frequent" in one}
        for split, columns in profile.items()
    }
    summaries = summaries_of(sketched, node.key)
    return [
        _column(name, types.get(name, ""), [one[name] for one in profile.values() if name in one], summaries, node)
        for name in names
    ]


def _column(
    name: str, kind: str, splits: list[Mapping[str, Any]], summaries: Mapping[str, Summary], node: Node
) -> shapes_of_data.ColumnProfile:
    count, nulls = (sum(split[what] for split in splits) for what in ("count", "nulls"))
    is_private = name in node.private
    shown: shapes_of_data.ColumnProfile = {
        "name": name,
        "type": kind,
        "private": is_private,
        "count": count,
        "nulls": nulls,
        "min": None,
        "max": None,
        "mean": None,
        "std": None,
        "quantiles": {},
        "bins": None,
        "distinct": sum(split["distinct"] for split in splits) if name == node.key and _counted(splits) else None,
        "values": {},
    }
    if is_private or name == node.key:
        return shown
    if "min" in splits[0]:
        _add_numbers(shown, splits, summaries.get(name))
    else:
        _add_words(shown, splits, summaries.get(name))
    return shown


def _counted(splits: Iterable[Mapping[str, Any]]) -> bool:
    return all("distinct" in split for split in splits)


def _add_numbers(shown: shapes_of_data.ColumnProfile, splits: list[Mapping[str, Any]], summary: Summary | None) -> None:
    known = [split for split in splits if split["min"] is not None]
    if not known:
        return
    low, high = min(split["min"] for split in known), max(split["max"] for split in known)
    shown["min"], shown["max"] = low, high
    rows = sum(split["count"] - split["nulls"] for split in known)
    if all(split["mean"] is not None and split["std"] is not None for split in known):
        shares = [(split["count"] - split["nulls"]) / rows for split in known]
        mean = sum(share * split["mean"] for share, split in zip(shares, known, strict=True))
        squares = sum(
            share * (split["std"] ** 2 + split["mean"] ** 2) for share, split in zip(shares, known, strict=True)
        )
        shown["mean"] = _finite(mean)
        shown["std"] = _finite(math.sqrt(max(squares - mean * mean, 0.0)))
    if isinstance(summary, Numbers) and summary.known:
        values = summary.values.quantiles(list(QUANTILES)).tolist()
        shown["quantiles"] = {str(rank): value for rank, value in zip(QUANTILES, values, strict=True)}
        shown["bins"] = _bins(summary, low, high)


def _bins(summary: Numbers, low: float, high: float) -> shapes_of_data.Bins:
    """The histogram that a sketch tells."""
    if high <= low:
        return {"start": low, "width": 0.0, "counts": [float(summary.known)]}
    edges = np.linspace(low, high, _BINS + 1)
    shares = summary.values.up_to(edges[1:-1])
    counts = np.diff(np.concatenate([[0.0], shares, [1.0]])) * summary.known
    return {"start": low, "width": (high - low) / _BINS, "counts": [round(count, 3) for count in counts.tolist()]}


def _add_words(shown: shapes_of_data.ColumnProfile, splits: list[Mapping[str, Any]], summary: Summary | None) -> None:
    if isinstance(summary, Words):
        counts, shown["distinct"] = Counter(summary.counts), summary.distinct
    else:
        counts = sum((Counter(split.get("values", {})) for split in splits), Counter[str]())
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_VALUES]
    shown["values"] = dict(commonest)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
