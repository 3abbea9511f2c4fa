"""Verify and retain, on every kind of store."""

from lockstep.registry import Registry
from lockstep.upkeep.findings import Kind
from lockstep.upkeep.retention import retain
from lockstep.upkeep.verify import verify
from tests.upkeep.years import BOT, TIGHT, Years


def test_a_registry_is_verified_and_cleared(uri: str) -> None:
    """A registry is sound before and after old versions are removed, and what is put or lost by hand is found."""
    years = Years(uri)
    for recipe in "ab":
        years.trained(recipe)
    assert list(verify(years.registry)) == []
    done = retain(years.registry, TIGHT, BOT)
    assert {removal.what for removal in done.plan.removals} >= {"churn@1", "customers@1"}
    assert done.files == 12
    again = Registry.open(uri, clock=lambda: years.time)
    verification = verify(again)
    assert list(verification) == []
    assert (verification.counts.versions, verification.counts.objects) == (10, 12 + 1)
    lost = years.registry.state().model("churn@2").fact.manifest.path
    years.registry.objects.delete(lost)
    years.registry.objects.put("models/notes.txt", b"mine")
    assert [(finding.kind, finding.path) for finding in verify(again)] == [
        (Kind.MISSING, lost),
        (Kind.MISNAMED, "models/notes.txt"),
    ]
