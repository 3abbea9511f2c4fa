"""Promotion, the release gate, release and rollback: the rules by which versions reach production."""

from lockstep.release.gate import MemberVerdict, Status, Verdict, gate
from lockstep.release.manifest import compose, digest_of_release, path_of_release
from lockstep.release.promote import Promotion, promote
from lockstep.release.release import release, rollback, verify_members

__all__ = [
    "MemberVerdict",
    "Promotion",
    "Status",
    "Verdict",
    "compose",
    "digest_of_release",
    "gate",
    "path_of_release",
    "promote",
    "release",
    "rollback",
    "verify_members",
]
