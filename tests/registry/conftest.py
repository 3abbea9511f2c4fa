"""Facts that speak of real files, chains of entries, and further processes, for every test of a registry."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

import lockstep
from lockstep.registry import (
    Entry,
    Fact,
    ModelTrained,
    Objects,
    Origin,
    SnapshotTaken,
    ThresholdTuned,
    digest_of,
    put_folder,
    sha256_of,
)
from lockstep.registry.entries import GENESIS, encode

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
CODE = b"the code that trained"


class Facts:
    """Makes facts as a training job would: the files first, their manifest after them."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def snapshot(self, dataset: str = "customers", content: str = "january") -> SnapshotTaken:
        """Write a snapshot of a dataset, named by its content."""
        manifest = put_folder(
            self.objects, f"datasets/{dataset}", {"dataset": dataset}, {"part-0.parquet": content.encode()}
        )
        return SnapshotTaken(
            dataset=dataset, digest=manifest.sha256, manifest=manifest, rows=len(content), quarantined=0
        )

    def model(
        self,
        model: str,
        on: SnapshotTaken,
        *,
        upstream: dict[str, str] | None = None,
        recipe: str = "first",
        missed: tuple[str, ...] = (),
    ) -> ModelTrained:
        """Write a model version, trained on a snapshot and built on versions of others."""
        about = {"model": model, "recipe": recipe, "snapshot": on.digest, "upstream": upstream or {}}
        files = {"model.skops": f"{model} {recipe}".encode(), "curve.json": b"[]"}
        manifest = put_folder(self.objects, f"models/{model}", about, files)
        source = self.objects.put(f"sources/{sha256_of(CODE)}.tar.gz", CODE)
        return ModelTrained(
            model=model,
            digest=manifest.sha256,
            manifest=manifest,
            recipe=digest_of(about),
            dataset=on.dataset,
            snapshot=on.digest,
            upstream=upstream or {},
            parameters={"depth": 3, "names": ["a", "b"]},
            source=source.sha256,
            metrics={"roc_auc": 0.84, "brier": None},
            missed=missed,
        )

    def threshold(self, threshold: str, of: ModelTrained, *, value: float = 0.5) -> ThresholdTuned:
        """Write a threshold version that was tuned for a model version."""
        about = {"threshold": threshold, "model_digest": of.digest, "value": value}
        manifest = put_folder(self.objects, f"thresholds/{threshold}", about, {"sweep.json": b"[0.5]"})
        return ThresholdTuned(
            threshold=threshold,
            digest=manifest.sha256,
            manifest=manifest,
            recipe=digest_of(about),
            model=of.model,
            model_digest=of.digest,
            value=value,
        )


def chained(facts: Iterable[Fact]) -> list[tuple[Entry, str]]:
    """Make the entries of a log that holds these facts, each with its SHA-256."""
    entries: list[tuple[Entry, str]] = []
    previous = GENESIS
    for number, fact in enumerate(facts, start=1):
        entry = Entry(
            number=number,
            previous=previous,
            nonce=f"nonce-{number}",
            at=START + timedelta(minutes=number),
            origin=Origin(by="ada", why=f"step {number}"),
            fact=fact,
        )
        previous = sha256_of(encode(entry))
        entries.append((entry, previous))
    return entries


@pytest.fixture(params=["file", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address a new, empty registry in each kind of store."""
    return (tmp_path / "registry").as_uri() if request.param == "file" else f"memory://{uuid4().hex}"


@pytest.fixture
def objects(uri: str) -> Objects:
    """Open the objects of the registry."""
    return Objects.open(uri)


@pytest.fixture
def facts() -> Facts:
    """Make facts whose files stand in a memory store of their own."""
    return Facts(Objects.open(f"memory://{uuid4().hex}"))


Run = Callable[..., list[str]]


@pytest.fixture
def run_together() -> Iterator[Run]:
    """Run a program in several new processes at once, and give what each printed; argv[1:] of each is given.

    The program prints "ready", and goes on when a line comes in.
    """
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: tuple[str, ...]) -> list[str]:
        started.extend(
            subprocess.Popen(
                [sys.executable, "-c", program, *argv],
                cwd=Path(lockstep.__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for argv in arguments
        )
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0] for process in started]
        assert [process.returncode for process in started] == [0] * len(started)
        return said

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
