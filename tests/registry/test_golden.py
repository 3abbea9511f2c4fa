"""Registries that older versions left: read as they were meant, and gone on with."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import ReleaseRefused
from lockstep.registry import Origin, Registry, SnapshotTaken, State, model_key, threshold_key
from lockstep.registry.entries import PROTOCOLS
from lockstep.registry.lineage import versions
from lockstep.release import promote, release, rollback
from tests.release.conftest import telecom

GOLDEN = Path(__file__).parent / "golden"
ADA = Origin(by="ada")


@pytest.fixture(params=sorted(PROTOCOLS))
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the registry of each protocol."""
    return Path(shutil.copytree(GOLDEN / f"protocol_{request.param}", tmp_path / "golden"))


def said(state: State) -> dict[str, Any]:
    """What a state says, in the words of `expected.json`."""
    keys = {"model_trained": model_key, "threshold_tuned": threshold_key}
    return {
        "head": state.head,
        "head_hash": state.head_hash,
        "versions": {
            version.ref: {
                "digest": version.digest,
                "entry": version.recorded.number,
                "at": version.recorded.at.isoformat(),
                "stage": None
                if isinstance(version.fact, SnapshotTaken)
                else state.stage_of(keys[version.fact.kind](version.name), version.digest).value,
            }
            for version in versions(state)
        },
        "staging": dict(state.staging),
        "releases": {
            group: [
                {"digest": one.digest, "members": dict(one.members), "left": one.left, "entry": one.recorded.number}
                for one in past
            ]
            for group, past in state.releases.items()
        },
        "undo": {group: [one.digest for one in past] for group, past in state.undo.items()},
        "judgements": {
            group: [
                {
                    "digest": one.digest,
                    "word": one.word.value,
                    "why": one.recorded.origin.why,
                    "by": one.recorded.origin.by,
                }
                for one in past
            ]
            for group, past in state.judgements.items()
        },
        "holds": {
            group: [{"on": one.is_on, "left": one.left, "entry": one.recorded.number} for one in past]
            for group, past in state.holds.items()
        },
        "rules": {
            version.ref: version.fact.rule
            for past in state.thresholds.values()
            for version in past
            if version.fact.rule is not None
        },
        "removed": sorted(state.removed),
    }


def test_there_is_one_for_every_protocol() -> None:
    """No protocol that was ever written is without its registry."""
    assert sorted(path.name for path in GOLDEN.glob("protocol_*")) == [f"protocol_{number}" for number in PROTOCOLS]


def test_it_says_what_it_said(golden: Path) -> None:
    """Versions, stages, releases and the way back are read as the Lockstep that wrote them meant them."""
    older = {"removed": [], "judgements": {}, "holds": {}, "rules": {}}
    expected = older | json.loads((golden / "expected.json").read_text(encoding="utf-8"))
    assert said(Registry.open(str(golden / "registry")).state()) == expected


def test_it_says_the_same_through_a_checkpoint_and_without(golden: Path) -> None:
    """A checkpoint that is written or taken away changes nothing of what a registry says."""
    registry = Registry.open(str(golden / "registry"))
    shutil.rmtree(golden / "registry" / "log" / "checkpoint", ignore_errors=True)
    plain = said(Registry.open(registry.uri).state())
    registry.log.write_checkpoint()
    assert said(Registry.open(registry.uri).state()) == plain == said(registry.state())


def test_work_goes_on(golden: Path) -> None:
    """Behind the entries of an older protocol, versions are promoted, released and rolled back as ever."""
    registry, group = Registry.open(str(golden / "registry")), telecom()
    before = registry.state()
    with pytest.raises(ReleaseRefused):
        release(registry, group, ADA)
    promote(registry, group, ["churn@1", "churn_reason@2"], ADA)
    with pytest.raises(ReleaseRefused, match=r"churn_reason@2 was built on churn@2, but churn@1 is in staging"):
        release(registry, group, ADA)
    done = rollback(registry, group, ADA, to=before.releases["churn"][1].digest)
    assert dict(done.members) == dict(before.releases["churn"][1].members)
    assert said(Registry.open(registry.uri).state()) == said(registry.state())
    assert registry.state().head > before.head
