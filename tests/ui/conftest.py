"""Airflow's real API server with the groups of `graphs`, real registries behind it, and users before it."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.ui.server import Server
from lockstep.data import take_snapshot
from lockstep.decisions import diff_before_release, keep_diff, tune_threshold
from lockstep.registry import Job, Origin, Registry
from lockstep.release import promote, release
from lockstep.training import train_model
from tests.release.conftest import Desk
from tests.ui import graphs

LIVE = 2.0  # seconds within which a change has to be seen
USERS = ("admin:admin", "olga:op", "bob:user", "vic:viewer")
ADA = Origin(
    by="ada",
    why="new data",
    job=Job(
        system="airflow",
        run="shop_retrain/manual__2026-03-01",
        task="returning.train",
        log="http://airflow/log",
        commit="c0ffee" * 6 + "beef",
    ),
)


@dataclass(kw_only=True)
class Shop:
    """A registry with data, models and thresholds that were really made."""

    registry: Registry
    data: Path

    def month(self, number: int, shift: float = 0.0) -> None:
        """Shoppers come in place of those before; a few rows can't be used."""
        chance = random.Random(number)  # noqa: S311  nothing secret
        lines = ["shopper,spent,visits,email,city,returns"]
        for row in range(600):
            spent = chance.gauss(50 + shift, 10)
            returns = "yes" if spent + chance.gauss(0, 8) > 50 else "no"
            city = chance.choice(["Kyoto", "Basel", "Lagos"])
            lines.append(f"s{row},{spent:.2f},{chance.randint(1, 9)},someone{row}@mail.example,{city},{returns}")
        lines += [f"bad{row},much,3,leak{row}@mail.example,Kyoto,yes" for row in range(5)]
        folder = self.data / "shoppers"
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.csv"):
            file.unlink()
        (folder / f"month-{number}.csv").write_text("\n".join(lines))

    def train(self, number: int, shift: float = 0.0) -> None:
        """Take a snapshot of a month, and train and tune on it."""
        self.month(number, shift)
        snapshot = take_snapshot(self.registry, graphs.shop.dataset("shoppers"), ADA)
        made = train_model(
            self.registry, graphs.shop, "returning", ADA, snapshot=snapshot, upstream={}, parameters={"C": 0.5}
        )
        tune_threshold(self.registry, graphs.shop, "mail", ADA, model=made.version)

    def keep_diff(self) -> str:
        """Count what the set in staging would change, and keep it; its digest."""
        diff, _ = diff_before_release(self.registry, graphs.shop, "shop")
        keep_diff(self.registry, diff)
        return diff.new


@dataclass(frozen=True, kw_only=True)
class Site:
    """The server, and the registries that it shows."""

    server: Server
    desk: Desk
    shop: Shop
    folder: Path

    def get(self, path: str, user: str = "admin", **kwargs: Any) -> httpx.Response:
        """The answer to a request."""
        return self.server.client(user).get(f"/lockstep{path}", **kwargs)

    def api(self, path: str, user: str = "admin") -> Any:  # noqa: ANN401  any JSON
        """What an answer says, which has to be one."""
        answer = self.get(f"/api{path}", user)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def soon(self, path: str, holds: Callable[[Any], bool], user: str = "admin", within: float = LIVE) -> Any:  # noqa: ANN401  any JSON
        """What is answered once it is so, which has to be soon: a browser asks every second."""
        until = time.monotonic() + within
        while not holds(found := self.api(path, user)):
            assert time.monotonic() < until, json.dumps(found)[:3000]
            time.sleep(0.1)
        return found


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two months of shoppers; the first is in production, the second's versions are candidates."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKSTEP_DATA", str(folder / "data"))
        made = Shop(registry=Registry.open((folder / "registry").as_uri()), data=folder / "data")
        made.train(1)
        promote(made.registry, graphs.shop.group("shop"), "returning@1", ADA)
        made.keep_diff()
        release(made.registry, graphs.shop.group("shop"), ADA)
        made.train(2, shift=30.0)
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[Site]:
    """The server with a churn group that stands in step, the shop, and a group that not everybody may see."""
    folder = tmp_path_factory.mktemp("site")
    desk = Desk((folder / "churn").as_uri())
    desk.in_step()
    variables = {
        "UI_CHURN": desk.registry.uri,
        "UI_SHOP": shop.registry.uri,
        "UI_SECRET": desk.registry.uri,
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",  # nobody answers there
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.ui.guard.ByDag",
    }
    server = Server(
        home=folder / "airflow", module="tests.ui.graphs", commands=["tests.ui.clerk"], users=USERS, variables=variables
    )
    with server:
        yield Site(server=server, desk=desk, shop=shop, folder=folder)
