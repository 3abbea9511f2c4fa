"""The fold: a state and further entries give the next state.

Rules:
- The same entries give the same state, in one fold or in pieces; folding does no I/O and asks for no time.
- One more entry costs time for the names that it speaks of, not for all that was ever recorded.
- What an entry needs was made by an earlier one, and its files were not removed. A folder whose files were removed is
  never used again.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from lockstep.errors import LogDamaged
from lockstep.registry.entries import (
    Approved,
    Entry,
    Fact,
    Held,
    Made,
    ModelTrained,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    ThresholdTuned,
)
from lockstep.registry.past import Hold, Judgement, Past, Recorded, Release, Staging, T_co, Version, Word
from lockstep.registry.state import State, folder_of

_HOLDS_FROM: Final = 3  # the first protocol whose rollbacks put the group on hold
_LOOKED_UP: Final = ("digest", "recipe", "model_digest")  # the fields of a fact that become columns of a past


class Contradiction(Exception):
    """A fact that can't be true behind what the log says; the message is the end of a sentence."""


def fold(state: State, entries: Iterable[tuple[Entry, str]]) -> State:
    """The state after further entries, each with its SHA-256. `state` itself is left as it is.

    Raises:
        LogDamaged: an entry contradicts the entries before it.
    """
    folding = _Folding(state)
    for entry, sha256 in entries:
        try:
            folding.add(entry, sha256)
        except Contradiction as wrong:
            raise LogDamaged(
                f"Log entry {entry.number} {wrong}. Nothing is written until the log is restored from a copy."
            ) from None
    return folding.result()


def behind(state: State, entry: Entry, sha256: str) -> State:
    """The state after one more entry, which is to be written.

    Raises:
        Contradiction: it must not be written.
    """
    folding = _Folding(state)
    folding.add(entry, sha256)
    return folding.result()


def version_at(name: str, place: int, entry: Entry) -> Version[Any]:
    """The version that an entry recorded, at a place (from 0 on) among those of its name."""
    return Version(name=name, number=place + 1, fact=entry.fact, recorded=_recorded(entry))


def staging_at(_group: str, _place: int, entry: Entry) -> Staging:
    """What an entry moved to staging."""
    promoted = entry.fact
    if not isinstance(promoted, Promoted):
        raise _taken_for(entry, "promotion")
    return Staging(members=MappingProxyType(promoted.members), recorded=_recorded(entry))


def release_at(group: str, _place: int, entry: Entry) -> Release:
    """The release that an entry brought to production."""
    moved = entry.fact
    if not isinstance(moved, Released | RolledBack):
        raise _taken_for(entry, "release")
    return Release(
        group=group,
        digest=moved.digest,
        manifest=moved.manifest,
        members=MappingProxyType(moved.members),
        left=moved.left if isinstance(moved, RolledBack) else None,
        recorded=_recorded(entry),
    )


def judgement_at(group: str, _place: int, entry: Entry) -> Judgement:
    """What an entry says of a set."""
    said = entry.fact
    if not isinstance(said, Approved | Rejected):
        raise _taken_for(entry, "judgement")
    return Judgement(
        group=group,
        digest=said.digest,
        word=Word(said.kind),
        members=MappingProxyType(said.members),
        recorded=_recorded(entry),
    )


def hold_at(group: str, _place: int, entry: Entry) -> Hold:
    """That an entry put a group on hold, or lifted it."""
    said = entry.fact
    if not isinstance(said, Held | Resumed | RolledBack):
        raise _taken_for(entry, "hold")
    left = said.left if isinstance(said, RolledBack) else None
    return Hold(group=group, is_on=not isinstance(said, Resumed), left=left, recorded=_recorded(entry))


class _Growing:
    """The past of one name for the length of one fold, so that it is linear in the number of entries."""

    def __init__(self, past: Past[Any]) -> None:
        self.past = past
        self.items: list[Any] = []
        self.columns: dict[str, list[str]] = {}
        self._digests: set[str] | None = None

    def __len__(self) -> int:
        return len(self.past) + len(self.items)

    def add(self, item: Any, entry: Entry, looked_up: Collection[str] = _LOOKED_UP) -> None:  # noqa: ANN401  a version, a promotion or a release
        """Add an item, which has the same columns as all others of its past."""
        self.items.append(item)
        job = entry.origin.job
        values = {name: getattr(entry.fact, name) for name in looked_up if hasattr(entry.fact, name)}
        for column, value in {**values, "job": job.key if job else ""}.items():
            self.columns.setdefault(column, []).append(value)
        if self._digests is not None:
            self._digests.add(values["digest"])

    def has(self, digest: str) -> bool:
        if self._digests is None:
            self._digests = {*self.past.columns.get("digest", ()), *self.columns.get("digest", ())}
        return digest in self._digests

    def count(self, digest: str) -> int:
        """How many items have that digest."""
        return len(self.past.places("digest", digest)) + self.columns.get("digest", []).count(digest)

    def cut_before(self, digest: str) -> None:
        """Drop the last item of that digest, and all behind it."""
        added = self.columns.get("digest", [])
        if digest in added:
            length = len(added) - 1 - added[::-1].index(digest)
            del self.items[length:]
            self.columns = {name: values[:length] for name, values in self.columns.items()}
        elif places := self.past.places("digest", digest):
            self.past, self.items, self.columns = self.past.only(places[-1]), [], {}

    def grown(self) -> Past[Any]:
        return self.past.and_on(self.items, self.columns) if self.items else self.past


class _Folding:
    """Copies only what entries touch: each mapping is shallow, each name's past grows when it is spoken of."""

    def __init__(self, state: State) -> None:
        self.before = state
        self.head, self.head_hash = state.head, state.head_hash
        self.growing: dict[tuple[str, str], _Growing] = {}
        self.staging = dict(state.staging)
        self.staged_once: dict[str, set[str]] = {}
        self.members = dict(state.members)
        self.abandoned = dict(state.abandoned)
        self.removed: dict[str, int] = {}

    def _contradiction(self, fact: Fact) -> str:
        match fact:
            case Promoted() | Released() | RolledBack() | Approved() | Rejected():
                for key, digest in fact.members.items():
                    kind, _, name = key.partition(":")
                    if not self._past(f"{kind}s", name).has(digest):
                        return f'names {kind} "{name}" with digest {digest[:12]}…, which no earlier entry made'
                used = [(*key.split(":", 1), digest) for key, digest in fact.members.items()]
            case ModelTrained():
                used = [("model", name, digest) for name, digest in fact.upstream.items()]
                used.append(("dataset", fact.dataset, fact.snapshot))
            case ThresholdTuned():
                used = [("model", fact.model, fact.model_digest)]
            case _:
                used = []
        for kind, name, digest in used:
            if self._all_removed(kind, name, digest):
                return f'needs {kind} "{name}" with digest {digest[:12]}…, whose files an earlier entry has removed'
        if not isinstance(fact, Made | Released | RolledBack) or not self._is_removed(folder_of(fact.manifest.path)):
            return ""
        return f'names a file in "{folder_of(fact.manifest.path)}", a folder that an earlier entry has removed'

    def _is_removed(self, folder: str) -> bool:
        return folder in self.removed or folder in self.before.removed

    def _all_removed(self, kind: str, name: str, digest: str) -> bool:
        """Whether the files of a version are gone; a snapshot may have been taken again since, in another folder."""
        folder = f"{kind}s/{name}/{digest}"
        if not self._is_removed(folder):
            return False
        if kind != "dataset":
            return True
        times = self._past("snapshots", name).count(digest)
        return all(self._is_removed(f"{folder}.{again}") for again in range(1, times))

    def add(self, entry: Entry, sha256: str) -> None:
        wrong = self._contradiction(entry.fact)
        if wrong:
            raise Contradiction(wrong)
        self.head, self.head_hash = entry.number, sha256
        match entry.fact:
            case SnapshotTaken() as taken:
                self._add_version("snapshots", taken.dataset, entry)
            case ModelTrained() as trained:
                self._add_version("models", trained.model, entry)
            case ThresholdTuned() as tuned:
                self._add_version("thresholds", tuned.threshold, entry)
            case Promoted() as promoted:
                self._past("promotions", promoted.group).add(staging_at(promoted.group, 0, entry), entry)
                self.staging.update(promoted.members)
                for key, digest in promoted.members.items():
                    self.staged_once.setdefault(key, set()).add(digest)
            case Released() | RolledBack() as moved:
                self._move(moved, entry)
            case Approved() | Rejected() | Held() | Resumed() as said:
                self._say(said, entry)
            case Removed() as gone:
                self.removed |= {folder: entry.number for folder in gone.folders if folder not in self.before.removed}

    def _past(self, kind: str, name: str) -> _Growing:
        found = self.growing.get((kind, name))
        if found is None:
            pasts: Mapping[str, Past[Any]] = getattr(self.before, kind, {})
            found = self.growing[kind, name] = _Growing(pasts.get(name) or Past(name))
        return found

    def _add_version(self, kind: str, name: str, entry: Entry) -> None:
        past = self._past(kind, name)
        past.add(version_at(name, len(past), entry), entry)

    def _say(self, said: Approved | Rejected | Held | Resumed, entry: Entry) -> None:
        if isinstance(said, Approved | Rejected):
            self._past("judgements", said.group).add(judgement_at(said.group, 0, entry), entry)
        else:
            self._hold(said.group, entry)

    def _hold(self, group: str, entry: Entry) -> None:
        """A rollback names a release, a hold by hand does not: they are looked up by their jobs alone."""
        self._past("holds", group).add(hold_at(group, 0, entry), entry, looked_up=())

    def _move(self, moved: Released | RolledBack, entry: Entry) -> None:
        group = moved.group
        release = release_at(group, 0, entry)
        self._past("releases", group).add(release, entry)
        abandoned = self.abandoned.get(group, frozenset()) - {release.digest}
        if isinstance(moved, RolledBack):
            self._past("undo", group).cut_before(release.digest)
            if entry.protocol >= _HOLDS_FROM:
                self._hold(group, entry)
            abandoned |= {moved.left}
        self._past("undo", group).add(release, entry)
        self.abandoned[group] = abandoned
        self.members[group] = release.members

    def result(self) -> State:
        before = self.before
        staged_once = {
            key: frozenset({*before.staged_once.get(key, ()), *digests}) for key, digests in self.staged_once.items()
        }
        return State(
            head=self.head,
            head_hash=self.head_hash,
            snapshots=self._grown("snapshots", before.snapshots),
            models=self._grown("models", before.models),
            thresholds=self._grown("thresholds", before.thresholds),
            staging=MappingProxyType(self.staging),
            staged_once=MappingProxyType({**before.staged_once, **staged_once}),
            promotions=self._grown("promotions", before.promotions),
            releases=self._grown("releases", before.releases),
            undo=self._grown("undo", before.undo),
            members=MappingProxyType(self.members),
            abandoned=MappingProxyType(self.abandoned),
            judgements=self._grown("judgements", before.judgements),
            holds=self._grown("holds", before.holds),
            removed=MappingProxyType({**before.removed, **self.removed}) if self.removed else before.removed,
        )

    def _grown(self, kind: str, before: Mapping[str, Past[T_co]]) -> Mapping[str, Past[T_co]]:
        touched = {name: past.grown() for (of, name), past in self.growing.items() if of == kind and past.items}
        return MappingProxyType({**before, **touched}) if touched else before


def _taken_for(entry: Entry, what: str) -> LogDamaged:
    return LogDamaged(f"Log entry {entry.number} is no {what}, but a checkpoint says so. Delete log/checkpoint/.")


def _recorded(entry: Entry) -> Recorded:
    return Recorded(number=entry.number, at=entry.at, origin=entry.origin)
