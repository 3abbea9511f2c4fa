"""The decision log in each kind of store."""

from datetime import timedelta

from lockstep.journal import DecisionLog, InRegistry, layout_of, read_decisions
from lockstep.registry import Registry
from lockstep.upkeep import verify
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import retain
from tests.journal.conftest import NOON, asked
from tests.training import shop
from tests.training.conftest import ADA


def test_it_is_written_read_and_removed(uri: str) -> None:
    """Wherever a registry is, it holds the log, and lets it go by the day."""
    registry = Registry.open(uri, clock=lambda: NOON + timedelta(days=2))
    log = DecisionLog(InRegistry(registry.objects), [layout_of(shop.graph, "shop")])
    log.start()
    for day in range(3):
        log.add(asked([{"shopper": f"s{day}"}], at=NOON + timedelta(days=day)))
    log.stop()
    assert log.problem == ""
    assert [frame["shopper"].to_list() for frame in read_decisions(registry, "shop")] == [["s0"], ["s1"], ["s2"]]
    since = NOON + timedelta(days=1)
    assert [frame["shopper"].to_list() for frame in read_decisions(registry, "shop", since=since)] == [["s1"], ["s2"]]
    assert list(verify(registry)) == []
    assert retain(registry, Rule(decisions=timedelta(days=1)), ADA).decisions["shop"].files == 1
    assert [frame["shopper"].to_list() for frame in read_decisions(registry, "shop")] == [["s1"], ["s2"]]
