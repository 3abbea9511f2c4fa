"""The source archive says which commit the code is at, and holds what differs from it, and no secret."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.registry import read_manifest, sha256_of
from lockstep.registry.commit import COMMIT_VARIABLE
from lockstep.training import checkout
from lockstep.training.source import GIT, PATCH, Source, source_of
from tests.training import shop
from tests.training.conftest import Declare, Shop, WriteModule

BUILD = """
import polars.selectors as cs
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

def numbers(rows):
    return rows.select(cs.numeric().fill_null(0)).to_numpy()

def build():
    return make_pipeline(FunctionTransformer(numbers), LogisticRegression(max_iter=5000))
"""
AUTHOR = {"GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": "2026-01-05T08:00:00Z"}
PERSON = AUTHOR | {name.replace("AUTHOR", "COMMITTER"): value for name, value in AUTHOR.items()}


class Repo:
    """A repository around a folder of code."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet")

    def git(self, *words: str, stdin: bytes = b"") -> str:
        """Ask git, without the person's settings."""
        variables = {**os.environ, **PERSON, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["/usr/bin/env", "git", "-C", str(self.root), *words],
            check=True,
            input=stdin,
            capture_output=True,
            env=variables,
        )
        return done.stdout.decode()

    def commit(self) -> str:
        """Commit all that is not ignored; gives the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "as it is")
        return self.git("rev-parse", "HEAD").strip()


@pytest.fixture
def build(write_module: WriteModule, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Write a module that makes an estimator, in a folder that is no repository yet."""
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    return write_module("kit.declared", BUILD).build


@pytest.fixture
def repo(build: Callable[[], Any], tmp_path: Path) -> Repo:  # noqa: ARG001  what it wrote is committed here
    """Make a repository of the folder, in which one file is ignored, and nothing is committed."""
    (tmp_path / "code" / ".gitignore").write_text("__pycache__/\n.env\n", encoding="utf-8")
    (tmp_path / "code" / ".env").write_text("PASSWORD=planted-ignored\n", encoding="utf-8")
    (tmp_path / "code" / "notes.txt").write_text("a note\n", encoding="utf-8")
    return Repo(tmp_path / "code")


def source(build: Callable[[], Any]) -> Source:
    """Take the source of a model that only this function makes."""
    return source_of(replace(shop.leaving, data=replace(shop.shoppers, clean=None), estimator=build))


def read(found: Source) -> dict[str, bytes]:
    """Name → content of the archive's files."""
    with tarfile.open(fileobj=io.BytesIO(found.archive)) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened.getmembers()}  # type: ignore[union-attr]


def said(found: Source, of: str = "kit/declared.py") -> dict[str, Any]:
    """Read what the archive says of the repository that holds a file."""
    every = json.loads(read(found)[GIT])["repositories"]
    return next(one for one in every if of in one["files"])


def test_a_clean_tree_is_its_commit(repo: Repo, build: Callable[[], Any]) -> None:
    """The commit is that of the module's folder, wherever the process runs; there is no patch."""
    commit = repo.commit()
    found = source(build)
    assert (found.commit, said(found)["commit"]) == (commit, commit)
    assert said(found) == {
        "commit": commit,
        "dirty": False,
        "files": {"kit/declared.py": "kit/declared.py"},
        "changed": [],
        "untracked": [],
        "withheld": [],
        "patch": None,
        "note": "",
    }


def test_a_dirty_tree_brings_its_patch_along(repo: Repo, build: Callable[[], Any], tmp_path: Path) -> None:
    """Applied to a checkout of the commit, the patch gives the files that trained, binary ones and deleted ones too."""
    (repo.root / "table.bin").write_bytes(bytes(range(256)))
    commit = repo.commit()
    (repo.root / "kit" / "declared.py").write_text(BUILD + "# edited\n", encoding="utf-8")
    (repo.root / "table.bin").write_bytes(bytes(reversed(range(256))))
    (repo.root / "notes.txt").unlink()
    found = source(build)
    assert found.dirty
    assert (said(found)["dirty"], said(found)["changed"]) == (True, ["kit/declared.py", "notes.txt", "table.bin"])
    assert said(found)["patch"] == PATCH
    repo.git("worktree", "add", "--quiet", str(tmp_path / "elsewhere"), commit)
    elsewhere = tmp_path / "elsewhere"
    repo.git("-C", str(elsewhere), "apply", "-", stdin=read(found)[PATCH])
    for name in ("kit/declared.py", "table.bin", "notes.txt"):
        here, there = repo.root / name, elsewhere / name
        assert here.exists() == there.exists()
        assert not here.exists() or here.read_bytes() == there.read_bytes()


def test_what_git_does_not_know_stays_out(repo: Repo, build: Callable[[], Any]) -> None:
    """Ignored and untracked files are not in the archive, unless they are the code itself; then the tree is dirty."""
    repo.commit()
    (repo.root / "scribbles.txt").write_text("planted-untracked\n", encoding="utf-8")
    assert not source(build).dirty
    (repo.root / "kit" / "fresh.py").write_text("ONE = 1\n", encoding="utf-8")
    (repo.root / "kit" / "declared.py").write_text(BUILD + "from kit.fresh import ONE\n", encoding="utf-8")
    found = source(build)
    assert (found.dirty, said(found)["untracked"]) == (True, ["kit/fresh.py"])
    assert b"ONE = 1" in read(found)["kit/fresh.py"]
    everything = b"\n".join(read(found).values())
    assert b"planted" not in everything
    assert b"scribbles" not in everything


def test_files_by_whose_name_one_expects_a_secret_are_withheld(repo: Repo, build: Callable[[], Any]) -> None:
    """Even where such a file is tracked, its content is not in the patch; that it was changed is said."""
    names = [".env.local", "deep/.env.prod", "server.key", "id_rsa"]
    (repo.root / "deep").mkdir()
    for name in names:
        (repo.root / name).write_text("nothing yet\n", encoding="utf-8")
    repo.commit()
    for name in [*names, "notes.txt"]:
        (repo.root / name).write_text("planted-tracked\n" if name in names else "another note\n", encoding="utf-8")
    found = source(build)
    assert said(found)["withheld"] == sorted(names)
    assert b"another note" in read(found)[PATCH]
    assert b"planted" not in b"".join(read(found).values())


def test_equal_content_gives_an_equal_archive(repo: Repo, build: Callable[[], Any], tmp_path: Path) -> None:
    """Neither the person's settings for diffs nor the times of files enter it, and no configured program runs."""
    repo.commit()
    (repo.root / "notes.txt").write_text("a note\nand one more\n", encoding="utf-8")
    first = source(build)
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch "{tmp_path}/ran"\n', encoding="utf-8")
    program.chmod(0o755)
    settings = {
        "diff.noprefix": "true",
        "diff.context": "9",
        "diff.algorithm": "histogram",
        "diff.external": str(program),
        "core.fsmonitor": str(program),
        "color.ui": "always",
    }
    for name, value in settings.items():
        repo.git("config", name, value)
    os.utime(repo.root / "notes.txt", (1, 1))
    assert source(build).archive == first.archive
    assert not (tmp_path / "ran").exists()


def test_a_commit_that_leaves_the_code_as_it_is_does_not_train_again(
    desk: Shop, declare: Declare, repo: Repo, build: Callable[[], Any]
) -> None:
    """The recipe speaks of the code; the archive, the manifest and the log's fact of what was stored."""
    commit = repo.commit()
    first = desk.train("leaving", graph=declare(estimator=build)).version
    manifest = read_manifest(desk.registry.objects, first.fact.manifest)
    archive = desk.registry.objects.get_unverified(manifest["source"]["path"])
    assert first.fact.source == manifest["source"]["sha256"] == sha256_of(archive)
    assert (manifest["code"]["commit"], len(manifest["code"]["sha256"])) == (commit, 64)
    (repo.root / "notes.txt").write_text("another note\n", encoding="utf-8")
    repo.commit()
    assert not desk.train("leaving", graph=declare(estimator=build)).is_new
    (repo.root / "kit" / "declared.py").write_text(BUILD + "# edited\n", encoding="utf-8")
    second = desk.train("leaving", graph=declare(estimator=build))
    assert second.is_new
    manifest = read_manifest(desk.registry.objects, second.version.fact.manifest)
    assert manifest["code"]["dirty"] is True


def test_a_patch_that_is_too_large_is_left_out_and_said(
    repo: Repo, build: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changed files are named all the same."""
    repo.commit()
    (repo.root / "notes.txt").write_text("line\n" * 1000, encoding="utf-8")
    monkeypatch.setattr(checkout, "MOST_PATCH", 1000)
    found = source(build)
    assert PATCH not in read(found)
    assert (said(found)["changed"], said(found)["patch"], said(found)["dirty"]) == (["notes.txt"], None, True)
    assert said(found)["note"].startswith("the patch has more than ")


def test_without_git_the_variable_speaks_or_nothing(build: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without git says its commit by the variable; else the archive holds the code alone."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert (source(build).commit, source(build).dirty, GIT in read(source(build))) == ("", False, False)
    monkeypatch.setenv(COMMIT_VARIABLE, "c0ffee" * 6)
    found = source(build)
    assert (found.commit, found.dirty) == ("c0ffee" * 6, False)
    assert json.loads(read(found)[GIT])["repositories"][0]["commit"] == "c0ffee" * 6
    monkeypatch.setenv(COMMIT_VARIABLE, "c0ffee" * 6 + "-dirty")
    assert source(build).dirty


def test_a_repository_without_a_commit_says_nothing(repo: Repo, build: Callable[[], Any]) -> None:
    """Where nothing was committed yet there is nothing to compare with."""
    assert repo.root.exists()
    files = read(source(build))
    assert GIT not in files or "kit/declared.py" not in files[GIT].decode()
