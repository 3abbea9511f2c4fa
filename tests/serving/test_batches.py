"""Requests that arrive together are one batch, and each gets what it would have got alone."""

import asyncio
from typing import Any

import pytest

from lockstep.data.few import as_frame
from lockstep.errors import UsageError
from lockstep.serving import Decider, NotReleased
from lockstep.serving.batches import MOST_TOGETHER, Batches
from lockstep.serving.loaded import Answer, Loaded
from tests.training import shop
from tests.training.conftest import Shop

Row = dict[str, Any]


def test_requests_that_arrive_together_are_answered_as_alone(decider: Decider, a_row: Row) -> None:
    """Rows that are bad, that have one key, and that have none, among those of others."""
    nameless = {name: value for name, value in a_row.items() if name != "shopper"}
    requests = [
        [a_row],
        [a_row | {"visits": 20}, a_row | {"age": "old"}],
        [nameless, nameless],
        [{}],
        [nameless],
        [a_row | {"shopper": "b", "region": "staff"}],
    ]

    async def ask() -> list[list[Answer]]:
        return await asyncio.gather(*(decider.answer("offers", rows) for rows in requests))

    together = asyncio.run(ask())
    for rows, answers in zip(requests, together, strict=True):
        alone = decider.decide("offers", rows)
        assert [answer.get("key") for answer in answers] == [answer.get("key") for answer in alone]
        assert [answer.get("error") for answer in answers] == [answer.get("error") for answer in alone]
        for answer, expected in zip(answers, alone, strict=True):
            for name, entry in expected.get("decisions", {}).items():
                assert answer["decisions"][name] == pytest.approx(entry)


class Counting:
    """Stands where a release does, and notes the batches that it is given."""

    def __init__(self, *, quick: bool) -> None:
        self.quick, self.batches = quick, list[list[Row]]()

    def is_quick(self, _: str) -> bool:
        """Say whether it is decided in the loop."""
        return self.quick

    def decide(self, _: str, rows: list[Row], __: object = None) -> list[Answer]:
        """Answer with the rows."""
        self.batches.append(list(rows))
        if any("fail" in row for row in rows):
            raise UsageError("it is gone")
        return [{"row": row} for row in rows]


def ask_all(release: Counting, requests: list[list[Row]]) -> list[Any]:
    """Ask all requests at once."""
    current: Any = lambda _: release  # noqa: E731  a release that is none

    async def ask() -> list[Any]:
        batches = Batches(current)
        return await asyncio.gather(*(batches.answer("a", rows) for rows in requests), return_exceptions=True)

    return asyncio.run(ask())


@pytest.mark.parametrize("quick", [True, False])
def test_they_are_decided_in_one_batch(quick: bool) -> None:  # noqa: FBT001  two ways
    """In the loop or in a thread, what waits is decided once but for a first quick one, and each gets its own rows."""
    release = Counting(quick=quick)
    requests: list[list[Row]] = [[{"n": 1}], [{"n": 2}, {"n": 3}], [{"n": 4}]]
    answers = ask_all(release, requests)
    assert [[answer["row"] for answer in own] for own in answers] == requests
    assert len(release.batches) == (2 if quick else 1)


def test_they_wait_for_each_other_while_they_come_together() -> None:
    """Of the first two, one did not know; then all of a turn are one batch, until many came alone."""
    release = Counting(quick=True)

    async def ask() -> list[int]:
        current: Any = lambda _: release  # noqa: E731  as above
        batches = Batches(current)
        sizes = []
        for together in (1, 3, 3, 3, *[1] * 20, 3):
            release.batches.clear()
            requests: list[list[Row]] = [[{"n": n}] for n in range(together)]
            found = await asyncio.gather(*(batches.answer("a", rows) for rows in requests))
            assert [[answer["row"] for answer in own] for own in found] == requests
            sizes.append(len(release.batches))
        return sizes

    assert asyncio.run(ask()) == [1, 2, 1, 1, *[1] * 20, 2]


def test_a_batch_has_a_most() -> None:
    """Large requests are not put together; none is taken apart."""
    release = Counting(quick=False)
    requests: list[list[Row]] = [[{"n": 1}] * MOST_TOGETHER, [{"n": 2}] * (MOST_TOGETHER + 1), [{"n": 3}]]
    ask_all(release, requests)
    assert [len(batch) for batch in release.batches] == [MOST_TOGETHER, MOST_TOGETHER + 1, 1]


def test_what_is_raised_reaches_who_waits_and_the_next_are_answered() -> None:
    """An error of the batch is everybody's in it; the queue goes on."""
    release = Counting(quick=False)
    failed = [[{"fail": 1}], [{"n": 1}]]
    assert [str(error) for error in ask_all(release, failed)] == ["it is gone"] * 2

    async def one_after_the_other() -> list[Answer]:
        current: Any = lambda _: release  # noqa: E731  as above
        batches = Batches(current)
        with pytest.raises(UsageError):
            await batches.answer("a", [{"fail": 1}])
        return await batches.answer("a", [{"n": 2}])

    assert asyncio.run(one_after_the_other()) == [{"row": {"n": 2}}]


def test_who_no_longer_waits_is_left_out() -> None:
    """A client that hung up costs nothing more."""
    release = Counting(quick=False)

    async def ask() -> list[Answer]:
        current: Any = lambda _: release  # noqa: E731  as above
        batches = Batches(current)
        gone = asyncio.ensure_future(batches.answer("a", [{"n": 1}]))
        stays = asyncio.ensure_future(batches.answer("a", [{"n": 2}]))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(ask()) == [{"row": {"n": 2}}]
    assert [len(batch) for batch in release.batches] in ([1], [2])


def test_what_can_not_be_answered_is_refused_at_once(desk: Shop) -> None:
    """An unknown API, and a group without a release, as `decide` refuses them."""
    decider = Decider(desk.registry, [shop.graph])
    for api, refusal in (("offer", UsageError), ("offers", NotReleased)):
        with pytest.raises(refusal):
            asyncio.run(decider.answer(api, [{}]))


def test_a_row_that_a_model_can_not_use_harms_no_other(released: Shop, a_row: Row) -> None:
    """It is answered with the model's reason; the others are decided."""

    class Refusing:
        reason, is_quick = "a test", False

        def scores(self, rows: Any, known: Any) -> Any:  # noqa: ANN401
            if 99 in as_frame(rows)["age"].to_list():
                raise ValueError("Found unknown categories")
            return whole.scorers["leaving"].scores(rows, known)

    decider = Decider(released.registry, [shop.graph])
    decider.refresh()
    whole = decider.releases["shop"]
    broken: Loaded = _with_scorer(whole, Refusing())
    rows = [a_row | {"shopper": f"s{age}", "age": age} for age in (20, 99, 30, 40, 99)]
    answers = broken.decide("calls", rows)
    reason = 'model "leaving" can\'t use this row: ValueError: Found unknown categories'
    assert [answer.get("error") for answer in answers] == [None, reason, None, None, reason]
    assert [answer.get("key") for answer in answers] == ["s20", None, "s30", "s40", None]


def _with_scorer(loaded: Loaded, scorer: Any) -> Loaded:  # noqa: ANN401  a test's
    from dataclasses import replace

    return replace(loaded, scorers={**loaded.scorers, "leaving": scorer})
