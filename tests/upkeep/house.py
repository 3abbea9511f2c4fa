"""A sound registry, and what somebody without manners does to it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import obstore

from lockstep.registry import Registry, canonical_json, sha256_of
from lockstep.registry.entries import path_of
from lockstep.release import release
from lockstep.upkeep.findings import Finding, Severity
from lockstep.upkeep.verify import Depth, verify
from tests.release.conftest import ADA, Desk

LATER = timedelta(days=3, hours=1)


class House:
    """A sound registry with one release, and the hands of somebody who knows no rules."""

    def __init__(self, uri: str) -> None:
        self.desk = Desk(uri)
        self.desk.in_step()
        release(self.desk.registry, self.desk.group, ADA)
        self.objects = self.desk.registry.objects
        self.state = self.desk.registry.state()

    def overwrite(self, path: str, data: bytes) -> None:
        """Put other bytes where an object stands, or new ones where none does."""
        obstore.put(self.objects._store.handle, path, data)

    def lose(self, path: str) -> None:
        """Delete an object."""
        obstore.delete(self.objects._store.handle, path)

    def change(self, number: int, act: Callable[[dict[str, object]], object]) -> None:
        """Change an entry, and seal it again as an attacker would."""
        found = json.loads(self.objects.get_unverified(path_of(number)))
        found.pop("seal")
        act(found)
        body = canonical_json(found)
        self.overwrite(path_of(number), body[:-1] + b',"seal":"' + sha256_of(body).encode() + b'"}')

    def found(self, *, depth: Depth = Depth.WHOLE, later: timedelta = timedelta()) -> list[Finding]:
        """Verify with a clock that is ahead."""
        registry = Registry.open(self.desk.registry.uri, clock=lambda: datetime.now(UTC) + later)
        verification = verify(registry, depth=depth)
        findings = list(verification)
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        assert verification.counts.errors == len(errors)
        assert verification.counts.notes == len(findings) - len(errors)
        assert verification.is_sound == (not errors)
        return findings

    def texts(self, *, later: timedelta = timedelta()) -> list[str]:
        """What verify says."""
        return [finding.as_text() for finding in self.found(later=later)]

    def folder(self, ref: str = "churn@1") -> str:
        """The folder of a model version."""
        return self.state.model(ref).fact.manifest.path.removesuffix("/manifest.json")


def short(digest: str) -> str:
    """How a digest is shown."""
    return f"{digest[:12]}…"
