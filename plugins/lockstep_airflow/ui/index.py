"""What a registry's log can be searched by: hashes, jobs. It grows with the log.

Rules:
- An entry is taken in once. Looking something up reads no file.
- Safe to use from threads.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal

from lockstep.registry.lineage import AnyVersion
from lockstep.registry.past import Judgement, Release
from lockstep_airflow.ui.book import Book, Happened, run_and_task

Item = AnyVersion | Happened
Role = Literal["digest", "release", "commit", "source"]
SHORTEST: Final = 6  # characters of a hash that a person has to give


@dataclass(slots=True)
class Index:
    """Of one book; `of` takes in what is new of a later one."""

    read: int = 0
    hashes: dict[str, list[tuple[Role, Item]]] = field(default_factory=lambda: defaultdict(list))
    jobs: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))  # lower-case → what it did
    _source: list[Item] | None = None
    _lock: Lock = field(default_factory=Lock)

    def of(self, book: Book) -> "Index":
        """This index, up to the end of a book."""
        with self._lock:
            if self._source is not book.in_order:
                self.read, self._source = 0, book.in_order
                self.hashes.clear()
                self.jobs.clear()
            for item in book.in_order[self.read :]:
                self._add(item)
                self.read += 1
        return self

    def by_hash(self, start: str, most: int) -> list[tuple[str, Role, Item]]:
        """What has a hash that begins so, newest first."""
        with self._lock:
            found = [
                (sha, role, item) for sha, items in self.hashes.items() if sha.startswith(start) for role, item in items
            ]
        return sorted(found, key=lambda one: -one[2].recorded.number)[:most]

    def by_job(self, part: str, most: int) -> list[tuple[str, list[Item]]]:
        """The jobs whose name holds a text, newest first, each with what it did."""
        with self._lock:
            found = [(job, list(items)) for job, items in self.jobs.items() if part in job]
        return sorted(found, key=lambda one: -one[1][-1].recorded.number)[:most]

    def _add(self, item: Item) -> None:
        job = item.recorded.origin.job
        if job is not None:
            run, task = run_and_task(job)
            names = {f"{run}/{task}" if task else run, job.run if job.run != run else ""}
            for name in names - {""}:
                self.jobs[name.lower()].append(item)
            if job.commit:
                self.hashes[job.commit].append(("commit", item))
        if isinstance(item, Happened):
            if isinstance(item.what, Release | Judgement):
                self.hashes[item.what.digest].append(("release", item))
            return
        self.hashes[item.digest].append(("digest", item))
        if source := getattr(item.fact, "source", ""):
            self.hashes[source].append(("source", item))
