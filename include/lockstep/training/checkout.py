"""What git says of the files that a model is made of: which commit they are at, and what differs from it.

Rules:
- The repository is that of the file itself, wherever the process was started.
- What differs is said as a patch that `git apply` takes on a checkout of the commit. It covers the files that git
  knows, and never one that it does not know or is told to ignore, like `.env`. Files by whose name one expects a secret
  are left out of it, and named.
- Equal content gives an equal patch, whatever the person has set for git; git runs no program that is configured.
- Where there is no git, or it does not answer, nothing is said; an image can say its commit by `LOCKSTEP_COMMIT`.
"""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockstep.registry.commit import COMMIT_VARIABLE

MOST_PATCH: Final = 10 << 20  # bytes
MOST_NAMES: Final = 10_000
SECRETS: Final = (".env", ".env.*", ".netrc", ".pgpass", "*.key", "*.pem", "*.p12", "*.pfx", "id_rsa*", "id_ed25519*")
_SECONDS: Final = 30.0
_PLAIN: Final = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-relative", f"-O{os.devnull}")
_FORM: Final = (
    *("--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/"),
    *("--unified=3", "--inter-hunk-context=0", "--diff-algorithm=myers"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A repository that holds code of a model.

    Attributes:
        commit: 40 hex digits, or what `LOCKSTEP_COMMIT` says.
        files: name in the archive → path from the root of the repository.
        changed: tracked files that differ from the commit; at most `MOST_NAMES`.
        untracked: files of the model that the commit does not have.
        withheld: changed files whose content is not in the patch, since a secret may stand there.
        patch: what differs; None where it has more than `MOST_PATCH` bytes.
    """

    commit: str
    files: dict[str, str]
    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    patch: bytes | None = b""

    @property
    def dirty(self) -> bool:
        """Whether the code may be other than that of the commit."""
        return bool(self.changed or self.untracked) or self.commit.endswith("-dirty")


def checkouts_of(files: dict[str, Path]) -> tuple[Checkout, ...]:
    """The repositories that hold the files (name in the archive → where it is), in the order of the files."""
    folders = {path.parent: _root_of(path.parent) for path in dict.fromkeys(files.values())}
    roots = [root for root in dict.fromkeys(folders.values()) if root is not None]
    found = [_checkout(root, {n: p for n, p in files.items() if folders[p.parent] == root}) for root in roots]
    told = os.environ.get(COMMIT_VARIABLE)
    known = tuple(checkout for checkout in found if checkout is not None)
    return known or ((Checkout(commit=told, files={}),) if told else ())


def _checkout(root: Path, files: dict[str, Path]) -> Checkout | None:
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None  # nothing was committed yet
    paths = {name: path.relative_to(root).as_posix() for name, path in files.items()}
    known = set(_names(_git(root, "ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD")))
    changed = _names(_git(root, "diff", "HEAD", "--name-only", "-z", *_PLAIN))
    open_ones = [f":(exclude,glob)**/{pattern}" for pattern in SECRETS]
    shown = set(_names(_git(root, "diff", "HEAD", "--name-only", "-z", *_PLAIN, "--", ":/", *open_ones)))
    return Checkout(
        commit=commit.decode().strip(),
        files=dict(sorted(paths.items())),
        changed=tuple(changed[:MOST_NAMES]),
        untracked=tuple(sorted(path for path in paths.values() if path not in known)),
        withheld=tuple(sorted(set(changed) - shown)[:MOST_NAMES]),
        patch=_patch(root, open_ones) if shown else b"",
    )


def _root_of(folder: Path) -> Path | None:
    found = _git(folder, "rev-parse", "--show-toplevel")
    return Path(os.fsdecode(found.rstrip(b"\n"))).resolve() if found else None


def _names(listed: bytes | None) -> list[str]:
    return sorted(os.fsdecode(name) for name in (listed or b"").split(b"\0") if name)


def _patch(root: Path, open_ones: Iterable[str]) -> bytes | None:
    """What differs from the commit, read no further than the limit."""
    command = _command(root, "diff", "HEAD", *_PLAIN, *_FORM, "--", ":/", *open_ones)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()) as git:  # noqa: S603  a fixed command
        found = git.stdout.read(MOST_PATCH + 1) if git.stdout else b""
        if len(found) > MOST_PATCH:
            git.kill()
            return None
    return found


def _git(folder: Path, *words: str) -> bytes | None:
    """What git answers; None where there is no git, no repository, or no answer."""
    command = _command(folder, *words)
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS, env=_environment())  # noqa: S603  a fixed command
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _command(folder: Path, *words: str) -> list[str]:
    return ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *words]


def _environment() -> dict[str, str]:
    """Git's own variables could name another repository, as they do within a hook."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
