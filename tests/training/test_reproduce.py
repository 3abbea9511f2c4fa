"""A version is trained again from what was recorded: equal where it can be, and else it is said what differs."""

import io
import json
import sys
import tarfile
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import skops.io

from lockstep.errors import ObjectDamaged, ObjectMissing, TrainingError, UsageError, VersionRemoved
from lockstep.registry import Objects, Registry, Removed, files_of, read_manifest
from lockstep.registry.state import folder_of
from lockstep.training.reproduce import Reproduction, reproduce
from lockstep.training.source import pack, unpack
from tests.training.conftest import ADA, Declare, Shop, WriteModule

STEADY = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tests.training.shop import Numbers

def build(C=1.0):
    return make_pipeline(Numbers(), LogisticRegression(C=C, max_iter=500))
"""
CHANCE = """
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from tests.training.shop import Numbers

def build():
    return make_pipeline(Numbers(), RandomForestClassifier(n_estimators=5))
"""


def contents(registry: Registry) -> dict[str, str]:
    """Path → SHA-256 of every object of a registry."""
    objects = Objects.open(registry.uri)
    return {path: objects.describe(path).sha256 for path in objects.names("")}


def found_file(desk: Shop, ref: str) -> bytes:
    """Read a version's model file."""
    manifest = desk.registry.state().model(ref).fact.manifest
    return desk.registry.objects.get(files_of(manifest, read_manifest(desk.registry.objects, manifest))["model.skops"])


def same(found: Reproduction) -> bool:
    """Say whether nothing differs."""
    return not found.differences and found.model_file[0] == found.model_file[1] and not found.libraries


def test_every_kind_of_model_comes_out_equal(trained: Shop) -> None:
    """A regression, and a classifier on models on models: bytes, metrics and predictions; the registry is untouched."""
    before = contents(trained.registry)
    for name in ("filling", "advising"):
        found = reproduce(trained.registry, name)
        assert found.differences == ()
        assert same(found)
        assert found.version == f"{name}@1"
        assert found.predictions["rows"] > 50
        assert (found.predictions["differing"], found.predictions["largest"]) == (0, 0.0)
        metrics = trained.registry.state().model(name).fact.metrics
        assert {metric: found.metrics[f"test.{metric}"] for metric in metrics} == {
            metric: (value, value) for metric, value in metrics.items()
        }
        assert found.folder is None
    assert contents(trained.registry) == before


def test_the_recorded_code_is_used_and_not_what_lies_there_today(
    desk: Shop, declare: Declare, write_module: WriteModule
) -> None:
    """After the module was edited so that it would fail, training again still gives what was recorded."""
    build = write_module("steady_shop", STEADY).build
    desk.train("leaving", graph=declare(estimator=build))
    path = Path(str(sys.modules["steady_shop"].__file__))
    path.write_text("raise RuntimeError('the edited code ran')\n", encoding="utf-8")
    assert same(reproduce(desk.registry, "leaving@1"))


def test_arguments_and_parameters_are_those_that_were_recorded(
    desk: Shop, declare: Declare, write_module: WriteModule
) -> None:
    """What a partial adds and what the run set both reach the estimator again."""
    build = write_module("steady_shop", STEADY).build
    graph = declare(estimator=partial(build, C=0.5))
    desk.train("leaving", graph=graph)
    desk.train("leaving", graph=graph, parameters={"logisticregression__tol": 0.5})
    found = reproduce(desk.registry, "leaving@2")
    assert same(found)
    model = skops.io.loads(found_file(desk, "leaving@2"), trusted=["tests.training.shop.Numbers"])
    assert (model[-1].C, model[-1].tol) == (0.5, 0.5)


def test_an_estimator_left_to_chance_differs_and_says_in_what(
    desk: Shop, declare: Declare, write_module: WriteModule
) -> None:
    """An unseeded forest: the file, metrics with both values, and predictions are named."""
    desk.train("leaving", graph=declare(estimator=write_module("chance_shop", CHANCE).build))
    found = reproduce(desk.registry, "leaving@1")
    said = "\n".join(found.differences)
    assert said.startswith(
        f"model.skops has SHA-256 {found.model_file[1][:12]}…, recorded is {found.model_file[0][:12]}…"
    )
    before, now = found.metrics["test.log_loss"]
    assert before != now
    assert f"test.log_loss is {now}, recorded is {before}" in said
    rows, differing = found.predictions["rows"], found.predictions["differing"]
    assert 0 < differing <= rows
    largest = found.predictions["largest"]
    assert f"predictions differ on {differing} of {rows} rows of the test split, by up to {largest}" in said


def test_the_folder_is_kept_where_one_is_named(trained: Shop, tmp_path: Path) -> None:
    """Source, snapshot, model and result lie there afterwards; a folder that holds something is refused."""
    folder = tmp_path / "again"
    found = reproduce(trained.registry, "leaving", keep=folder)
    assert found.folder == str(folder)
    assert (folder / "source" / "tests" / "training" / "shop.py").exists()
    assert (folder / "model.skops").read_bytes()[:2] == b"PK"
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["python"] == found.python
    with pytest.raises(UsageError, match="there is something already; name a new or an empty folder"):
        reproduce(trained.registry, "leaving", keep=folder)


def test_an_interpreter_that_is_none_is_refused(trained: Shop, tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(
        UsageError, match=r"--python .*nothing: it can't be started: .* Name a Python 3\.11 or newer\.$"
    ):
        reproduce(trained.registry, "leaving", python=tmp_path / "nothing")


def test_another_interpreter_is_the_one_that_trains(trained: Shop, tmp_path: Path) -> None:
    """What `python` names is started, with the recorded folder as its argument."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/called"\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    assert same(reproduce(trained.registry, "leaving", python=python))
    assert (tmp_path / "called").read_text(encoding="utf-8").startswith("-P -m lockstep.training.again ")


def test_a_process_that_dies_is_told_with_what_it_said_last(trained: Shop, tmp_path: Path) -> None:
    """An interpreter without the libraries ends without a result."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho No module named numpy >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(TrainingError) as caught:
        reproduce(trained.registry, "leaving", python=python)
    assert str(caught.value) == (
        "Model version leaving@1: training again ended without a result. The process said last: No module named numpy"
    )


def file_of(desk: Shop, path: str) -> Path:
    """Find an object on disk."""
    return Path(urlsplit(desk.registry.uri).path) / path


def test_files_that_are_gone_or_damaged_are_told(trained: Shop) -> None:
    """A part of the snapshot, the source, and the model of an upstream version are verified before anything runs."""
    state = trained.registry.state()
    snapshot = trained.snapshot.fact.manifest
    part = next(
        ref
        for name, ref in files_of(snapshot, read_manifest(trained.registry.objects, snapshot)).items()
        if name.startswith("part-")
    )
    file_of(trained, part.path).rename(file_of(trained, part.path).with_suffix(".away"))
    with pytest.raises(ObjectMissing, match="part-"):
        reproduce(trained.registry, "leaving")
    file_of(trained, part.path).with_suffix(".away").rename(file_of(trained, part.path))
    upstream = file_of(trained, f"{folder_of(state.model('filling').fact.manifest.path)}/model.skops")
    upstream.write_bytes(upstream.read_bytes() + b"x")
    with pytest.raises(ObjectDamaged, match=r"model\.skops"):
        reproduce(trained.registry, "buying")
    file_of(trained, f"sources/{state.model('leaving').fact.source}.tar.gz").unlink()
    with pytest.raises(ObjectMissing, match="sources/"):
        reproduce(trained.registry, "leaving")


def test_removed_versions_are_told_as_removed(trained: Shop) -> None:
    """What retention took can't be trained again, be it the version, its snapshot, or a model that it was built on."""
    gone = trained.registry.state().model("filling")
    removed = Removed(folders=(folder_of(gone.fact.manifest.path),), size=1)
    trained.registry.record(lambda _: removed, ADA)
    for name in ("filling", "buying"):
        with pytest.raises(VersionRemoved, match="Model version filling@1: its files were removed"):
            reproduce(trained.registry, name)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("build = lambda: None", "wild_shop.<lambda> can't be imported by that name"),
        (
            "from functools import partial\ndef make(of): ...\nbuild = partial(make, (1, 2))",
            "wild_shop.make is given (1, 2), which JSON can't say exactly",
        ),
    ],
    ids=["lambda", "tuple"],
)
def test_a_call_that_can_not_be_repeated_is_told(
    desk: Shop, declare: Declare, write_module: WriteModule, build: str, reason: str
) -> None:
    """The version is recorded all the same; its manifest says why it can't be trained again."""
    text = f"from tests.training.shop import classifier\n{build}\n".replace(
        "lambda: None", "lambda: classifier()"
    ).replace("...", "return classifier()")
    version = desk.train("leaving", graph=declare(estimator=write_module("wild_shop", text).build)).version
    manifest = read_manifest(desk.registry.objects, version.fact.manifest)
    assert manifest["estimator"]["call"] == {"unrepeatable": reason}
    with pytest.raises(TrainingError) as caught:
        reproduce(desk.registry, "leaving")
    assert str(caught.value).startswith(f"Model version leaving@1 can't be trained again from its record: {reason}.")


HIDDEN = "import importlib\n" + STEADY.replace("C=1.0", "C=importlib.import_module('{}').C")


def test_code_from_outside_of_the_recorded_source_is_an_error(
    desk: Shop, declare: Declare, write_module: WriteModule, tmp_path: Path
) -> None:
    """A module that is imported by a name that no code shows is not in the archive; it is missed, or noticed."""
    write_module("kit.hidden", "C = 2\n")
    desk.train("leaving", graph=declare(estimator=write_module("kit.open", HIDDEN.format("kit.hidden")).build))
    with pytest.raises(TrainingError, match=r"kit\.open\.build is not in the recorded source, or can't be imported: "):
        reproduce(desk.registry, "leaving@1")
    write_module("lonely", "C = 2\n")
    desk.train("leaving", graph=declare(estimator=write_module("kit.other", HIDDEN.format("lonely")).build))
    python = tmp_path / "python"
    told = f"import sys; sys.path.append('{tmp_path / 'code'}'); import lonely"
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "sitecustomize.py").write_text(told, encoding="utf-8")
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path}/told" exec "{sys.executable}" "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    with pytest.raises(TrainingError, match=r"Module lonely was imported from .*, which is neither in the recorded"):
        reproduce(desk.registry, "leaving@2", python=python)


def test_an_archive_can_not_write_outside_of_its_folder(tmp_path: Path) -> None:
    """Names that lead out of the folder, and what is no file, are refused before anything is written there."""
    for number, name in enumerate(["../out.py", "a/../../out.py"]):
        with pytest.raises(ObjectDamaged, match=r"Source archive: it can't be unpacked: .* outside the destination"):
            unpack(pack({name: b"x"}), tmp_path / f"in{number}")
    unpack(pack({"/out.py": b"x"}), tmp_path / "absolute")
    assert (tmp_path / "absolute" / "out.py").exists()
    assert not [path for path in (Path("/out.py"), tmp_path / "out.py") if path.exists()]
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w:gz") as archive:
        member = tarfile.TarInfo("passwd")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(ObjectDamaged, match='Source archive: "passwd" is no file'):
        unpack(link.getvalue(), tmp_path / "link")
