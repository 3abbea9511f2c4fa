"""A released shop, what it was asked, and a place for the log that can be taken away."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from lockstep import Graph
from lockstep.errors import StoreUnusable
from lockstep.journal import Answered, Parcel
from tests.serving.conftest import a_row, decider, shop_rows
from tests.training import shop
from tests.training.conftest import released, released_template, shop_template

__all__ = ["a_row", "decider", "released", "released_template", "shop_rows", "shop_template"]

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
PATIENCE = 120.0
Row = Mapping[str, Any]


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds, and fail where it does not come to that."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def asked(
    rows: Sequence[Row],
    answers: Sequence[Row] | None = None,
    *,
    request: str = "r1",
    api: str = "calls",
    at: datetime = NOON,
    size: int = 100,
) -> Answered:
    """Say what was asked, and what was answered; by default each row was left out."""
    refusal = {"api": api, "release": "f" * 64, "error": "left out by clean"}
    return Answered(
        request=request,
        at=at,
        group="shop",
        api=api,
        release="f" * 64,
        rows=rows,
        answers=answers if answers is not None else [refusal] * len(rows),
        size=size,
    )


def with_private(*columns: str) -> Graph:
    """Declare calls and offers of the shop again, with columns that are private."""
    data = replace(shop.shoppers, private=columns)
    leaving, planning, filling = (replace(model, data=data) for model in (shop.leaving, shop.planning, shop.filling))
    return Graph(
        [
            replace(shop.calls, decides=[replace(shop.call, model=leaving)]),
            replace(shop.offers, decides=[replace(shop.offer, model=leaving)], explains=[planning, filling]),
        ],
        name="shop",
    )


class Shelf:
    """A place for parcels, which may be away for a while."""

    def __init__(self) -> None:
        self.is_away = threading.Event()
        self.parcels: list[Parcel] = []
        self.tries = 0

    def pack(self, group: str, day: date, rows: pl.DataFrame, dropped: int) -> Parcel:
        """Pack rows; their ids are all that is looked at."""
        data = ",".join(rows["_request"].to_list()).encode()
        return Parcel(group=group, path=day.isoformat(), data=data, rows=rows.height, dropped=dropped)

    def deliver(self, parcel: Parcel) -> None:
        """Put a parcel down, if the place is there."""
        self.tries += 1
        if self.is_away.is_set():
            raise StoreUnusable("the place is away")
        self.parcels.append(parcel)

    @property
    def requests(self) -> list[str]:
        """The ids of all requests that came, in order."""
        return [name for parcel in self.parcels for name in parcel.data.decode().split(",")]
