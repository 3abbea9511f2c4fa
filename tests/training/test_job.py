"""`python -m lockstep.training --spec`: by the registry and a spec alone, a job trains what the one who asked would."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from lockstep.errors import ObjectDamaged, ObjectMissing, ProtocolTooNew, TrainingError, UsageError
from lockstep.registry import Registry, canonical_json, read_manifest, sha256_of
from lockstep.registry.commit import public_address
from lockstep.registry.trace import by_job
from lockstep.training import resolve_upstream
from lockstep.training.plan import plan_training
from lockstep.training.spec import Spec, put_spec, read_failure, read_spec
from lockstep.upkeep.verify import Depth, verify
from tests.training import shop
from tests.training.conftest import ADA, Declare, Shop, job, open_shop

INCLUDE = Path(__file__).parents[2] / "include"
ABSENT = 'raise ImportError("it is not in the container")\n'
ASKER = job("shop_retrain/manual")
NUMBER = "4711"
NAME = f"projects/shop-ml/locations/europe-west1/customJobs/{NUMBER}"


def broken() -> Pipeline:
    """An estimator that fails on texts."""
    return make_pipeline(LogisticRegression())


def spec_of(desk: Shop, model: str, **options: Any) -> str:
    """Write the spec of a training of the shop, with its source; gives its address."""
    graph = options.pop("graph", shop.graph)
    upstream = resolve_upstream(graph, model, desk.registry.state(), options.pop("made", {}))
    planned = plan_training(graph, model, snapshot=desk.snapshot, upstream=upstream, **options)
    planned.keep_source(desk.registry)
    return put_spec(desk.registry, Spec.asked(planned.plan, ASKER, project="shop-ml", region="europe-west1"))


def run_job(uri: str, folder: Path, number: str = NUMBER) -> subprocess.CompletedProcess[str]:
    """Run the job in a process that has neither the project nor Airflow, Beam and what they bring."""
    path = folder / "container"
    for name in ("airflow", "apache_beam", "datasketches"):
        (path / name).mkdir(parents=True, exist_ok=True)
        (path / name / "__init__.py").write_text(ABSENT)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOCKSTEP"))}
    environment = {**kept, "CLOUD_ML_JOB_ID": number, "PYTHONPATH": os.pathsep.join([str(path), str(INCLUDE)])}
    command = [sys.executable, "-P", "-m", "lockstep.training", "--spec", uri]
    return subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=False)


def manifest_of(registry: Registry, ref: str) -> dict[str, Any]:
    """Read a version's manifest."""
    return read_manifest(registry.objects, registry.state().model(ref).fact.manifest)


def test_a_job_gives_what_a_local_run_gives_but_for_the_job(trained_template: Path, tmp_path: Path) -> None:
    """A model on two models, with parameters: equal bytes of its file, and a manifest that differs in `origin.job`."""
    for name in ("here", "there"):
        shutil.copytree(trained_template, tmp_path / name)
    here, there = open_shop(tmp_path / "here"), open_shop(tmp_path / "there")
    state = there.registry.state()
    made = {name: state.model(name).digest for name in ("leaving", "planning", "filling")}
    parameters = {"logisticregression__C": 0.25}
    upstream = resolve_upstream(shop.graph, "buying", state, made)
    local = here.train("buying", ASKER, upstream=upstream, parameters=parameters)
    assert local.is_new
    done = run_job(spec_of(there, "buying", made=made, parameters=parameters), tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["version"], said["new"]) == ("buying@2", True)
    ours, its = manifest_of(here.registry, "buying@2"), manifest_of(there.registry, "buying@2")
    assert its["files"]["model.skops"] == ours["files"]["model.skops"]
    assert its["origin"].pop("job") == {
        "system": "vertex",
        "run": NAME,
        "task": "shop_retrain/manual/train",
        "attempt": 1,
        "log": f"https://console.cloud.google.com/vertex-ai/locations/europe-west1/training/{NUMBER}/cpu?project=shop-ml",
        "commit": "",
    }
    assert ours["origin"].pop("job") == asdict(ASKER.job) if ASKER.job else None
    assert its == ours
    assert not list(verify(there.registry, depth=Depth.WHOLE))


def test_the_version_of_a_job_is_found_by_its_number_and_by_who_asked(desk: Shop, tmp_path: Path) -> None:
    """`--job` takes the number, the whole name (as Google writes it, too), the Airflow run, and its task."""
    assert run_job(spec_of(desk, "leaving"), tmp_path).returncode == 0
    entries = list(desk.registry.log.entries())
    by_number = NAME.replace("shop-ml", "15106331018")
    for name in (NUMBER, NAME, by_number, "shop_retrain/manual", "shop_retrain/manual/train", "manual/train"):
        assert [deed.versions for deed in by_job(entries, name)] == [("leaving@1",)]
    for name in ("711", "anual", "projects/shop-ml/locations/us-east1/customJobs/4711"):
        with pytest.raises(UsageError, match="No job"):
            by_job(entries, name)
    log = desk.registry.state().model("leaving@1").recorded.origin.job
    assert log is not None
    assert public_address(log.log) == log.log


def test_a_job_that_is_started_again_finds_its_version(desk: Shop, tmp_path: Path) -> None:
    """Even where it was forced; another forced job trains another version."""
    uri = spec_of(desk, "leaving", force=True)
    said = [json.loads(run_job(uri, tmp_path, number).stdout.splitlines()[-1]) for number in ("1", "1", "2")]
    assert [(one["version"], one["new"]) for one in said] == [
        ("leaving@1", True),
        ("leaving@1", False),
        ("leaving@2", True),
    ]


def test_a_job_that_fails_says_why_and_leaves_its_stack_trace(desk: Shop, declare: Declare, tmp_path: Path) -> None:
    """The trace is in its output and in the registry, exit status 1; upkeep takes no offence."""
    uri = spec_of(desk, "leaving", graph=declare(estimator=broken))
    done = run_job(uri, tmp_path)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert 'Model "leaving": fitting Pipeline on' in done.stderr
    failure = read_failure(desk.registry.objects, NUMBER)
    assert failure is not None
    assert failure.is_final
    assert failure.error.startswith('Model "leaving": fitting Pipeline on ')
    assert "could not convert string to float" in failure.trace
    assert desk.registry.state().models == {}
    assert not list(verify(desk.registry, depth=Depth.WHOLE))
    assert read_failure(desk.registry.objects, "5") is None


def test_a_spec_is_written_once_and_read_back_whole(desk: Shop) -> None:
    """The same question is the same file; what is read is what was asked, in the declared order."""
    first, second = spec_of(desk, "filling"), spec_of(desk, "filling")
    assert first == second
    registry, spec = read_spec(first)
    assert registry.uri == desk.registry.uri
    planned = plan_training(shop.graph, "filling", snapshot=desk.snapshot, upstream={})
    assert spec.plan == planned.plan
    assert spec.plan.lesson.task is shop.filling.task


def test_a_spec_that_was_changed_is_refused(desk: Shop) -> None:
    """Bytes that are not those of its name, a newer protocol, an unknown field, and no spec at all."""
    uri = spec_of(desk, "leaving")
    root, _, name = uri.rpartition("/specs/")
    content = json.loads(desk.registry.objects.get_unverified(f"specs/{name}"))

    def put(changed: dict[str, Any]) -> str:
        data = canonical_json(changed)
        desk.registry.objects.put(f"specs/{sha256_of(data)}.json", data)
        return f"{root}/specs/{sha256_of(data)}.json"

    with pytest.raises(ProtocolTooNew, match="has protocol 2; the Lockstep of this job reads up to 1"):
        read_spec(put({**content, "protocol": 2, "more": 1}))
    with pytest.raises(ObjectDamaged, match="can't be read: more: "):
        read_spec(put({**content, "more": 1}))
    with pytest.raises(ObjectMissing):
        read_spec(f"{root}/specs/{'0' * 64}.json")
    with pytest.raises(UsageError, match=r"the form is REGISTRY/specs/SHA256.json"):
        read_spec(f"{root}/log/1.json")
    (Path(root.removeprefix("file://")) / "specs" / name).write_bytes(b"{}")
    with pytest.raises(ObjectDamaged):
        read_spec(uri)


def test_what_only_this_process_can_make_is_refused_before_anything_is_submitted(desk: Shop, declare: Declare) -> None:
    """A call or a parameter that JSON can't say trains here, and nowhere else."""
    numbers = replace(shop.leaving, without=["region", "rating", "plan", "basket", "secret"])
    weights = {True: 1.0, False: 2.0}
    nameless = declare(numbers, estimator=partial(LogisticRegression, class_weight=weights))
    assert desk.train("leaving", graph=nameless).is_new
    with pytest.raises(TrainingError, match=r"can't be trained elsewhere: .* which JSON can't say exactly"):
        spec_of(desk, "leaving", graph=nameless)
    parameters = {"logisticregression__class_weight": weights}
    with pytest.raises(
        TrainingError, match=r"its parameter logisticregression__class_weight is .*Nothing was submitted"
    ):
        spec_of(desk, "leaving", parameters=parameters)
    assert desk.registry.objects.names("specs") == []


def test_outside_of_vertex_nothing_is_trained(desk: Shop, tmp_path: Path) -> None:
    """A process that Vertex AI gave no number can't say which job it is."""
    done = run_job(spec_of(desk, "leaving"), tmp_path, "")
    assert done.returncode == 1
    assert 'UsageError: CLOUD_ML_JOB_ID is ""' in done.stderr.replace("lockstep.errors.", "")
    assert desk.registry.state().models == {}
    assert ADA.job is None
