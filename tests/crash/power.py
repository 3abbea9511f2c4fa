"""What of a registry on local disk outlasts a power failure, worked out from what a process asked of the system.

Rules:
- Of what was asked, only that lasts which was synced: a file's bytes, and, with its folder, a file's name. Everything
  else is lost here, which is the worst that a disk may do: a file whose bytes were not synced is empty.
- `Disk` follows the traces of several processes, one after the other, and is asked at any point.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.registry import Fact, Origin, Registry, State
from lockstep.release import promote, release
from tests.crash.lives import GROUP, job
from tests.registry.conftest import Facts

CALLS = "openat,write,fsync,fdatasync,link,linkat,unlink,unlinkat,mkdir,mkdirat,rename,renameat,renameat2"
_CALL = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<words>.*)\) += (?P<result>-?\d+|\?)")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HANDLE = re.compile(r"^\d+<([^>]*)>")


def work(uri: str, told: str) -> None:
    """Train, promote and release a set; note each job as soon as it is told that it is done. A retry does the rest."""
    registry = Registry.open(uri)
    notes = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    facts = Facts(registry.objects)

    def done(run: str) -> None:
        os.write(notes, f"{run}\n".encode())

    def record(run: str, fact: Fact) -> None:
        registry.record(lambda state: None if _knows(state, run) else fact, job(run))
        done(run)

    rows = facts.snapshot("customers", "january")
    record("snapshot", rows)
    churn = facts.model("churn", rows)
    record("churn", churn)
    for threshold in ("retention_offer", "priority_call"):
        record(threshold, facts.threshold(threshold, churn))
    record("churn_reason", facts.model("churn_reason", rows, upstream={"churn": churn.digest}))
    promote(registry, GROUP, ("churn", "churn_reason"), job("promote"))
    done("promote")
    release(registry, GROUP, job("release"))
    done("release")


def _knows(state: State, run: str) -> bool:
    pasts = (*state.snapshots.values(), *state.models.values(), *state.thresholds.values())
    origins: list[Origin] = [version.recorded.origin for past in pasts for version in past]
    return any(origin.job is not None and origin.job.run == run for origin in origins)


@dataclass
class Inode:
    """A file's bytes, and whether they are on the disk."""

    synced: bool = False


@dataclass
class Disk:
    """Files and folders below `top`, as the system has them, and which of their names are on the disk."""

    top: str
    told: str
    inodes: dict[str, Inode] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    lasting: set[str] = field(default_factory=set)

    def follow(self, trace: Path) -> Iterator[str]:
        """Follow a trace to its end; stops at each line that the process noted, and gives it."""
        begun: dict[str, str] = {}
        for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
            pid = line.partition(" ")[0]
            if line.endswith(" <unfinished ...>"):
                begun[pid] = line.removesuffix(" <unfinished ...>")
                continue
            whole = re.sub(r"^\d+ +<\.\.\. \w+ resumed>", lambda _, pid=pid: begun.pop(pid), line)
            call = _CALL.match(whole)
            if call is None or call["result"].startswith(("-", "?")):
                continue
            yield from self._do(call["name"], call["words"])

    def _do(self, name: str, words: str) -> Iterator[str]:
        paths = [path for path in _PATH.findall(words) if path.startswith(self.top)]
        handle = _HANDLE.match(words)
        place = handle[1] if handle else ""
        match name:
            case "openat" if paths and "O_CREAT" in words:
                self.inodes.setdefault(paths[0], Inode())
            case "write" if place == self.told:
                yield _PATH.findall(words)[0].removesuffix("\\n")
            case "write" if place in self.inodes:
                self.inodes[place].synced = False
            case "fsync" | "fdatasync" if place in self.inodes:
                self.inodes[place].synced = True
            case "fsync" if place.startswith(self.top):
                self.lasting |= {path for path in (*self.inodes, *self.folders) if os.path.dirname(path) == place}  # noqa: PTH120  a plain text
            case "link" | "linkat" if paths:
                self.inodes[paths[1]] = self.inodes[paths[0]]
            case "unlink" | "unlinkat" if paths:
                self.inodes.pop(paths[0], None)
            case "mkdir" | "mkdirat" if paths:
                self.folders.add(paths[0])
            case "rename" | "renameat" | "renameat2" if paths:
                raise AssertionError(f"a file was renamed, which is not followed here: {words}")

    def after_power_failure(self, root: Path, target: Path) -> None:
        """Build what would be left of the folder `root` at another place; the bytes are taken from it."""
        target.mkdir()
        for path, inode in self.inodes.items():
            if not path.startswith(f"{root}/") or not self._lasts(Path(path), root) or not Path(path).exists():
                continue
            copy = target / Path(path).relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if inode.synced:
                shutil.copyfile(path, copy)
            else:
                copy.touch()

    def _lasts(self, path: Path, root: Path) -> bool:
        return all(str(one) in self.lasting for one in (path, *path.parents) if one.is_relative_to(root))


if __name__ == "__main__":
    work(*sys.argv[1:])
