"""Ours: a snapshot of the customers, as `lockstep train` takes it, from hashing the files to the entry in the log."""

from dataclasses import replace
from pathlib import Path

from groups.churn import customers
from lockstep.data import take_snapshot
from lockstep.places import direct
from lockstep.registry import Origin, Registry
from lockstep.source import Source


def run(data: Path, kind: str, out: Path) -> str:
    """Preprocess `data/*.kind` into a registry at `out`, and say where the parts are."""
    dataset = replace(customers, source=Source(kind, str(data / f"*.{kind}")))
    version = take_snapshot(Registry.open(str(out)), dataset, Origin(by="bench"), engine=direct())
    return str(out / version.fact.manifest.path.replace("manifest.json", "part-*.parquet"))
