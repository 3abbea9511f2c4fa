"""Releases and rollbacks under load: no request fails, no answer mixes versions, and every worker ends on the last."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.decisions import tune_threshold
from lockstep.registry import ModelTrained, Release, Version, read_manifest
from lockstep.release import promote, release, resume, rollback
from tests.serving.service import PATIENCE, serving, wait_for
from tests.training import shop
from tests.training.conftest import ADA, Shop, job

Row = dict[str, Any]
GROUP = shop.graph.group("shop")
CLIENTS, WORKERS, VARIANTS = 50, 2, 5
PACE = 0.02  # seconds that a client takes to think


@dataclass
class Load:
    """Clients that ask one API after another, each on its own connection, and what they were told."""

    url: str
    row: Row
    seen: Counter[tuple[str, frozenset[tuple[str, Any]]]] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)
    answered: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until it is enough."""
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._ask(number) for number in range(CLIENTS)))

    async def _ask(self, number: int) -> None:
        many = {"rows": [self.row, {**self.row, "shopper": "another", "spend": 3.5}]}
        bodies = [("offers", self.row), ("baskets", many), ("calls", self.row), ("offers", many)]
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False) as client:
            for turn in count(number):
                if self.stop.is_set():
                    return
                api, body = bodies[turn % len(bodies)]
                try:
                    response = await client.post(f"/apis/{api}/decisions", json=body)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if response.status_code != 200:
                    self.failures.append(response.text)
                    continue
                self._note(response.json())
                self.answered[number] += 1
                await asyncio.sleep(PACE)

    def _note(self, said: Row) -> None:
        """Keep which versions and values a response names, all of its answers together, by the release it names."""
        named: set[tuple[str, Any]] = set()
        for answer in said.get("answers", [said]):
            named.add(("release", answer["release"]))
            named |= {("version", found["model"]) for found in answer["explanations"].values()}
            for decided in answer["decisions"].values():
                named |= {("version", decided["model"]), ("version", decided["version"])}
                named.add((decided["version"], decided["threshold"]))
        self.seen[said["release"], frozenset(named)] += 1
        self.told.add(said["release"])


@pytest.fixture
def variants(released: Shop) -> list[Version[ModelTrained]]:
    """Train every model anew, and the last one in several variants: sets that share no version with the first."""
    made = {}
    for name in ("leaving", "planning", "filling", "buying"):
        above = {model.name: made[model.name] for model in shop.graph.upstream(name)}
        made[name] = released.train(name, job("second"), upstream=above, force=True).version
        for threshold in shop.graph.thresholds_of(name):
            tune_threshold(released.registry, shop.graph, threshold.name, ADA, model=made[name])
    above = {model.name: made[model.name] for model in shop.graph.upstream("advising")}
    versions = [released.train("advising", job(f"{n}"), upstream=above, force=True).version for n in range(VARIANTS)]
    promote(released.registry, GROUP, [version.ref for version in (*made.values(), versions[0])], ADA)
    return versions


def moves(desk: Shop, first: Release, variants: list[Version[ModelTrained]]) -> Iterator[Release]:
    """Release each variant, go back to the first release, forward again and back: twenty moves of production."""
    for variant in variants:
        if desk.registry.state().hold("shop"):
            resume(desk.registry, GROUP, ADA)
        promote(desk.registry, GROUP, variant.ref, ADA)
        made = release(desk.registry, GROUP, ADA)
        yield made
        yield rollback(desk.registry, GROUP, ADA, to=first.digest)
        yield rollback(desk.registry, GROUP, ADA, to=made.digest)
        if variant is not variants[-1]:
            yield rollback(desk.registry, GROUP, ADA, to=first.digest)
    yield rollback(desk.registry, GROUP, ADA)


def workers_on(client: httpx.Client, digest: str) -> int:
    """Ask how many workers answer from a release, and from no other."""
    samples = {
        (sample.name, sample.labels.get("release")): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    on = {release: value for (name, release), value in samples.items() if name == "lockstep_release_workers"}
    return int(on[digest]) if set(on) == {digest} else 0


def named_by(desk: Shop, digest: str) -> set[tuple[str, Any]]:
    """List all that answers from a release may name."""
    found = next(one for one in desk.registry.state().releases["shop"] if one.digest == digest)
    members = read_manifest(desk.registry.objects, found.manifest)["members"].values()
    versions = {("version", f"{one['name']}@{one['number']}") for one in members}
    values = {(f"{one['name']}@{one['number']}", one["value"]) for one in members if "value" in one}
    return {("release", digest)} | versions | values


def test_twenty_releases_and_rollbacks_under_load(
    released: Shop, variants: list[Version[ModelTrained]], a_row: Row, tmp_path: Path
) -> None:
    """Fifty clients get an answer to every request, each wholly of one release, while all workers switch each time."""
    first = released.registry.state().production("shop")
    with (
        serving(released, tmp_path, "--workers", str(WORKERS)) as service,
        service.client() as control,
    ):
        wait_for(lambda: workers_on(control, first.digest) == WORKERS)
        load = Load(service.url, a_row)
        asking = threading.Thread(target=load.run)
        asking.start()
        done: list[str] = []
        try:
            for made in moves(released, first, variants):
                done.append(made.digest)
                wait_for(lambda: workers_on(control, done[-1]) == WORKERS)
                wait_for(lambda: done[-1] in load.told)
        finally:
            load.stop.set()
            asking.join()
        assert service.end() == 0
    assert load.failures == []
    assert len(done) == 4 * VARIANTS
    assert load.told == {first.digest, *done}
    allowed = {digest: named_by(released, digest) for digest in {first.digest, *done}}
    mixed = [(digest, named - allowed[digest]) for digest, named in load.seen if not named <= allowed[digest]]
    assert mixed == []
    assert set(load.answered) == set(range(CLIENTS))
