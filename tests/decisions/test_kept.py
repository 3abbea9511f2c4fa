"""The diff that a release is weighed by is made of the real set, kept, and found by the release."""

from dataclasses import replace
from pathlib import Path

import pytest

from lockstep import flip_rate
from lockstep.decisions import decision_diff, ensure_diff, keep_diff
from lockstep.errors import ReleaseRefused
from lockstep.registry import canonical_json
from lockstep.registry.trace import by_file
from lockstep.release import consult, release
from lockstep.upkeep.verify import verify
from tests.decisions.conftest import GROUP, graph
from tests.training.conftest import ADA, Shop


def kept(at: Shop) -> list[str]:
    """List the diffs that are kept."""
    return at.registry.objects.names("diffs/")


def test_a_release_believes_the_diff_of_its_own_set(changing: Shop) -> None:
    """Kept once, the diff of what is in staging lets it through, and the refusal has the figures of the diff itself."""
    with pytest.raises(ReleaseRefused, match="none is kept"):
        release(changing.registry, GROUP, ADA)
    ensure_diff(changing.registry, graph, "shop")
    ensure_diff(changing.registry, graph, "shop")
    assert len(kept(changing)) == 1
    diff = decision_diff(changing.registry, graph, "shop")
    assert changing.registry.objects.get_unverified(kept(changing)[0]) == canonical_json(diff.as_json())
    found = {name: diff.threshold(name).flips for name in GROUP.model_of_threshold}
    name, flips = next((name, flips) for name, flips in found.items() if flips.part)
    strict = replace(GROUP, release_if=(flip_rate(name, at_most=0.0),))
    with pytest.raises(ReleaseRefused, match=f"{flips.part} of {flips.whole} decisions change"):
        release(changing.registry, strict, ADA)
    verdict = consult(GROUP, changing.registry.state(), changing.registry.objects)
    assert [one.holds for one in verdict.conditions] == [True, True]
    done = release(changing.registry, GROUP, ADA)
    assert kept(changing)[0].startswith(f"diffs/shop/{done.digest}/")  # what the release believed
    told = by_file(changing.registry.state(), changing.registry.log.entries(), kept(changing)[0])
    assert [deed.release for deed in told["deeds"]] == [done.digest]
    assert verify(changing.registry).is_sound


def test_requests_are_no_evidence(changing: Shop, shop_template: Path) -> None:
    """Of a diff that also looked at requests, what it says of the test split is kept."""
    rows = str(shop_template / "data" / "shoppers" / "part.csv")
    keep_diff(changing.registry, decision_diff(changing.registry, graph, "shop", requests={"shoppers": rows}))
    plain = decision_diff(changing.registry, graph, "shop")
    assert [changing.registry.objects.get_unverified(path) for path in kept(changing)] == [
        canonical_json(plain.as_json())
    ]


def test_nothing_is_made_that_nobody_needs(changing: Shop) -> None:
    """Without conditions, or with nothing new in staging, no diff is made."""
    ensure_diff(changing.registry, graph, "shop")
    release(changing.registry, GROUP, ADA)
    before = kept(changing)
    ensure_diff(changing.registry, graph, "shop")
    assert kept(changing) == before
