"""Promotion, the release gate, words on a set, hold, release and rollback: how versions reach production."""

from lockstep.release.evidence import Weighed, find_evidence, keep_evidence
from lockstep.release.gate import MemberVerdict, Status, Verdict, consult, gate, weigh
from lockstep.release.hold import describe_hold, hold, resume
from lockstep.release.judge import approve, needs_word, reject
from lockstep.release.manifest import compose, digest_of_release, path_of_release
from lockstep.release.promote import Promotion, promote
from lockstep.release.release import Needs, release, rollback, verify_members
from lockstep.release.words import approval_of, describe_word, rejection_of

__all__ = [
    "MemberVerdict",
    "Needs",
    "Promotion",
    "Status",
    "Verdict",
    "Weighed",
    "approval_of",
    "approve",
    "compose",
    "consult",
    "describe_hold",
    "describe_word",
    "digest_of_release",
    "find_evidence",
    "gate",
    "hold",
    "keep_evidence",
    "needs_word",
    "path_of_release",
    "promote",
    "reject",
    "rejection_of",
    "release",
    "resume",
    "rollback",
    "verify_members",
    "weigh",
]
