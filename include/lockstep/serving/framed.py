"""Decisions on a frame as a frame: by column from one end to the other, where each row can be used.

Rules:
- Whichever way is taken, the values are those of `Loaded.decide`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from lockstep.decisions.rule import Codes, Rule
from lockstep.decisions.segments import segments_of
from lockstep.serving.intake import Keys
from lockstep.serving.loaded import Answer, Loaded
from lockstep.serving.wide import FrameRows

_NO_ERROR: Final = pl.Series("error", [None], dtype=pl.String)


def decide_frame(loaded: Loaded, api: str, frame: pl.DataFrame) -> pl.DataFrame:
    """A row for each row of the frame, in order.

    Returns:
        `key`, `release`, `error` (null where there is none), and for each threshold its decision (`offer`; null where a
        person is to decide) and the score behind it (`offer_score`).

    Raises:
        UsageError: the release has no such API.
    """
    rows = FrameRows(frame)
    return _by_columns(loaded, api, rows) if frame.height else _by_rows(loaded, api, rows)


def _by_columns(loaded: Loaded, api: str, rows: FrameRows) -> pl.DataFrame:
    scored = loaded.score(api, rows)
    if scored is None:
        return _by_rows(loaded, api, rows)
    cleaned, keys, scores = scored
    columns = _about(loaded, keys, None)
    for name, cut in loaded.plans[api].cuts.items():
        found, rule = scores[cut.model], cut.rule
        codes = rule.decide(found, segments_of(cleaned, rule.per, name))
        columns[name] = _outcomes(name, rule, codes)
        columns[f"{name}_score"] = pl.Series(f"{name}_score", rule.scores_of(found), dtype=pl.Float64)
    return pl.DataFrame(columns)


def _outcomes(name: str, rule: Rule, codes: Codes) -> pl.Series:
    if rule.can_refer:
        return pl.Series(name, [rule.outcomes[code] for code in codes.tolist()], strict=False)
    return pl.Series(name, np.array(rule.outcomes)[codes])  # yes or no: numpy has no word for neither


def _by_rows(loaded: Loaded, api: str, rows: FrameRows) -> pl.DataFrame:
    return frame_of_answers(loaded, api, loaded.decide(api, rows))


def frame_of_answers(loaded: Loaded, api: str, answers: Sequence[Answer]) -> pl.DataFrame:
    """As `decide_frame`, from what `Loaded.decide` says of the same rows."""
    columns = _about(loaded, [answer.get("key") for answer in answers], [answer.get("error") for answer in answers])
    for name in loaded.apis[api]["decides"]:
        given = [answer.get("decisions", {}).get(name, {}) for answer in answers]
        scores = [one.get("probability", one.get("value")) for one in given]
        columns[name] = pl.Series(name, [one.get("decision") for one in given], strict=False)
        columns[f"{name}_score"] = pl.Series(f"{name}_score", scores, dtype=pl.Float64)
    return pl.DataFrame(columns)


def _about(loaded: Loaded, keys: Keys, errors: list[str | None] | None) -> dict[str, pl.Series]:
    count = len(keys)
    return {
        "key": keys.alias("key") if isinstance(keys, pl.Series) else pl.Series("key", keys, strict=False),
        "release": pl.Series("release", [loaded.release]).new_from_index(0, count),
        "error": _NO_ERROR.new_from_index(0, count) if errors is None else pl.Series("error", errors, dtype=pl.String),
    }
