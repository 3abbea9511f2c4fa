"""Looking after a registry: is all there that the log promises, and what may go.

Rules:
- Nothing that promotes, releases, trains or decides needs this package: a registry works without it.
- `verify` reads and changes nothing; `retain` deletes, behind an entry of the log that says so.
"""

from lockstep.upkeep.findings import Finding, Kind, Severity
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import Retention, preview, retain
from lockstep.upkeep.verify import Depth, Verification, verify

__all__ = [
    "Depth",
    "Finding",
    "Kind",
    "Retention",
    "Rule",
    "Severity",
    "Verification",
    "preview",
    "retain",
    "verify",
]
