"""Whole sentences of the server: the pages know each of their forms, so that they can say it in another language."""

import json
import random
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from lockstep.monitoring import measure_profiles
from lockstep.registry import Held, Promoted, Resumed, model_key
from lockstep.release import approve, consult, digest_of_release, reject, release, rollback
from lockstep.release.gate import weigh
from tests.monitoring.test_profiles import profiled
from tests.release.conftest import ADA, Desk
from tests.ui.conftest import Site

FIELDS: Final = {"approved", "blocks", "problem", "problems", "reason", "reasons", "says", "stale"}
PAGES: Final = (
    "/groups/shop/drift",  # first: the list of groups tells of drift once it is known
    "/groups",
    "/groups/shop",
    "/groups/churn",
    "/groups/nowhere",
    "/warnings",
    "/summary",
)
AWAY: Final = 'Registry "gs://'  # what an SDK says of a store stays as it is


def form(sentence: str) -> str:
    """A sentence with the same digest, day, DAG and fraction as all others."""
    some = re.sub(r"\b\d+\.\d+\b", "0.5", sentence)
    some = re.sub(r"\b[0-9a-f]{12}\b", "0123456789ab", some)
    some = re.sub(r"\w+_(hold|promote|release|resume|retrain|rollback|watch)\b", "churn_release", some)
    return re.sub(r"\d{4}-\d\d-\d\d(T[\d:+]+)?", "2026-01-05", some)


KNOWN: Final = frozenset(
    map(form, json.loads((Path(__file__).parents[2] / "ui" / "test" / "sentences.json").read_text(encoding="utf-8")))
)


def said(answer: Any, *, is_said: bool = False) -> Iterator[str]:  # noqa: ANN401  any JSON
    """All sentences of an answer."""
    if isinstance(answer, str) and is_said and answer:
        yield form(answer)
    elif isinstance(answer, list):
        for one in answer:
            yield from said(one, is_said=is_said)
    elif isinstance(answer, dict):
        for name, one in answer.items():
            yield from said(one, is_said=name in FIELDS)


def unknown(found: Iterable[str]) -> list[str]:
    """What the pages can't say in another language: add it to `ui/test/sentences.json`, and its form to the pages."""
    return sorted({one for one in found if one not in KNOWN and not one.startswith(AWAY)})


def test_the_pages_know_each_sentence_of_the_gate(tmp_path: Path) -> None:
    """Whatever keeps a gate shut, the pages have its form."""
    desk, found = Desk(tmp_path.as_uri()), list[str]()

    def look() -> None:
        verdict = consult(desk.group, desk.registry.state(), desk.registry.objects)
        found.extend(form(one) for one in (*verdict.reasons, verdict.approved) if one)
        found.extend(form(one) for member in verdict.members for one in member.reasons)

    look()
    desk.in_step()
    first = release(desk.registry, desk.group, ADA)
    look()
    snapshot = desk.snapshot("february")
    desk.reason(snapshot, None, "alone")
    churn = desk.churn(snapshot, "second")
    for ref, digest in (("churn", churn.digest), ("churn_reason", desk.registry.state().model("churn_reason").digest)):
        desk.record(Promoted(group="churn", members={model_key(ref): digest}))
        look()
    desk.in_step("third", "march")
    _, manifest = weigh(desk.group, desk.registry.state())
    assert manifest is not None
    for word in (approve, reject, approve):
        word(desk.registry, desk.group, ADA, digest=digest_of_release(manifest))
        look()
    release(desk.registry, desk.group, ADA)
    rollback(desk.registry, desk.group, ADA, to=first.digest)
    look()
    desk.record(Resumed(group="churn"))
    desk.record(Held(group="churn"))
    look()
    assert unknown(found) == []


def test_the_pages_know_each_sentence_of_drift() -> None:
    """Whatever two profiles say of columns, labels and the whole, the pages have its form."""
    many = 600

    def rows(count: int, *, up: float = 0.0, gold: int = 4, left: int = 1, plan: str = "gold") -> pl.DataFrame:
        """Customers; `gold` of 20 have that plan, `left` of 4 leave; of few it is not known yet who asks."""
        chance, few = random.Random(count), count < many  # noqa: S311  nothing secret
        return pl.DataFrame(
            {
                "id": [f"c{row}" for row in range(count)],
                "spent": [row % 97 + up for row in range(count)],
                "plan": [plan if row % 20 < gold else "basic" for row in range(count)],
                "town": [f"town {chance.randrange(40)}" for _ in range(count)],
                "mixed": pl.Series([row % 5 for row in range(count)]).cast(pl.String if few else pl.Int64),
                "note": [f"note {row}" for row in range(count)],
                "since": [date(2026, 1, 1) + timedelta(days=row) for row in range(count)],
                "leaves": [row % 4 < left for row in range(count)],
                "asks": [None if few else row % 3 > 0 for row in range(count)],
            },
            schema_overrides={"asks": pl.Boolean},
        )

    def said_of(one: pl.DataFrame, other: pl.DataFrame) -> Iterator[str]:
        targets = {"churn": "leaves", "call": "asks"}
        sides = (profiled(one, "customers@1", "id"), profiled(other, "customers@2", "id"))
        report = measure_profiles(*sides, dataset="customers", key="id", targets=targets)
        assert report is not None
        yield from (form(one) for one in (report.says, *(column.says for column in report.columns)))

    first = rows(many)
    others = (
        first,
        rows(many, up=40.0, left=3),
        rows(many, gold=7),
        rows(many, plan="silver"),
        rows(210),
        rows(20),
        first.select("id", "since", "note"),
    )
    found = {sentence for other in others for sentence in said_of(first, other)}
    assert unknown(found) == []


def test_the_pages_know_each_sentence_of_the_server(site: Site) -> None:
    """What the pages of real groups say, to somebody who may do all and to somebody who may only look."""
    found = [one for user in ("admin", "vic") for path in PAGES for one in said(site.api(path, user))]
    assert found
    assert unknown(found) == []
