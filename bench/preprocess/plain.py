"""The peer that is fast: the same steps in a plain polars script, all rows in memory, without Beam and store.

Rules:
- It is what somebody would write who knows polars: lazy scan, expressions, one frame. It hashes keys and content as we
  do, since a split that moves with the version of a library would be no split.
- It keeps no account of the rows that it drops, and syncs nothing to the disk.
"""

import glob
import json
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
import polars as pl

from groups.churn import clean_customers, customers

RANKS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
WORDS = {"Yes": True, "No": False, "1": True, "0": False}
COMMONEST = 100


def run(data: Path, kind: str, out: Path) -> str:
    """Preprocess `data/*.kind` into `out`, and say where the result is."""
    out.mkdir(parents=True)
    files = sorted(glob.glob(str(data / f"*.{kind}")))  # noqa: PTH207  for polars
    source = pl.scan_csv(files, infer_schema=False) if kind == "csv" else pl.scan_parquet(files)
    typed = source.select(_typed(name, column.kind, kind) for name, column in customers.schema.items()).collect()
    usable = typed.filter(~pl.any_horizontal(pl.all().is_null()))
    again = usable[customers.key].is_duplicated()
    kept = _with_split(clean_customers(usable.filter(~again) if again.any() else usable).sort(customers.key))
    (out / "profile.json").write_text(json.dumps(_profile(kept)))
    (out / "digest").write_text(_digest(kept))
    kept.write_parquet(out / "rows.parquet", compression="zstd")
    return str(out / "rows.parquet")


def _typed(name: str, wanted: str, kind: str) -> pl.Expr:
    cell = pl.col(name)
    if wanted == "bool":
        return cell.replace_strict(WORDS, default=None, return_dtype=pl.Boolean)
    if wanted == "str" or kind == "csv":
        cell = cell.str.strip_chars()
    return cell if wanted == "str" else cell.cast(pl.Int64 if wanted == "int" else pl.Float64, strict=False)


def _with_split(kept: pl.DataFrame) -> pl.DataFrame:
    keys = kept[customers.key].cast(pl.Binary).to_list()
    hashes = np.frombuffer(b"".join([blake2b(key, digest_size=8).digest() for key in keys]), ">u8").astype(np.uint64)
    share = pl.Series(hashes)
    return kept.with_columns(
        pl.when(share < round(0.2 * 2**64))
        .then(pl.lit("test"))
        .when(share < round(0.4 * 2**64))
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
        .alias("_split")
    )


def _profile(kept: pl.DataFrame) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for (split,), part in kept.partition_by("_split", as_dict=True).items():
        columns: dict[str, object] = {}
        for series in part.get_columns():
            if series.dtype.is_numeric():
                quantiles = [series.quantile(rank) for rank in RANKS]
                columns[series.name] = [series.null_count(), series.min(), series.max(), series.mean(), series.std()]
                columns[f"{series.name} quantiles"] = quantiles
            elif series.name != customers.key:
                columns[series.name] = series.value_counts(sort=True).head(COMMONEST).rows()
        found[str(split)] = columns
    return found


def _digest(kept: pl.DataFrame) -> str:
    total = sha256()
    for series in kept.get_columns():
        total.update(f"{series.name} {series.dtype} {len(series)}".encode())
        total.update(series.is_not_null().to_numpy().tobytes())
        if series.dtype == pl.String:
            _, places, data = series.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
            total.update(places)
            total.update(data)
        else:
            total.update(series.to_physical().to_numpy().tobytes())
    return total.hexdigest()
