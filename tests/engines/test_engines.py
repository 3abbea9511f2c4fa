"""Which runner and options an engine is to Beam, and what is refused before anything is submitted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    WorkerOptions,
)

from lockstep.data import __main__ as launcher
from lockstep.data import take_snapshot
from lockstep.data.engines import ENDPOINT_VARIABLE, Submission, job_name, runner_of
from lockstep.data.pipeline import left_behind
from lockstep.data.snapshot import finish_snapshot, give_up, start_snapshot
from lockstep.data.taking import read_taking
from lockstep.declare import Dataset, by_hash
from lockstep.errors import ObjectMissing, UsageError
from lockstep.places import Dataflow, Direct, Engine, Flink, Portable, parse_engine
from lockstep.registry import Origin, Registry
from lockstep.source import csv

ORIGIN = Origin(by="tester")
JOB = Submission(name="lockstep-guests-0123", labels={"lockstep-key": "0123"}, packages=("/tmp/code.tar.gz",))  # noqa: S108
DATAFLOW = Dataflow(project="p", region="r", temp="gs://b/t")


def tidy(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave the rows as they are; it can be imported by its name."""
    return rows


@pytest.fixture
def guests(tmp_path: Path) -> Dataset:
    """One file of two rows."""
    (tmp_path / "guests.csv").write_text("name,age\nada,36\nbob,\n")
    columns = {"age": int | None}
    return Dataset("guests", source=csv(str(tmp_path / "guests.csv")), key="name", columns=columns, clean=tidy)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry on disk."""
    return Registry.open((tmp_path / "registry").as_uri())


def options_of(engine: Engine) -> tuple[str, PipelineOptions]:
    """The runner's name, and its options as Beam reads them: it knows each of them."""
    runner = runner_of(engine, JOB)
    options = PipelineOptions([*runner.options])
    assert options.get_all_options(retain_unknown_options=True).keys() == options.get_all_options().keys()
    return runner.name, options


def test_direct_is_fn_api_runner_with_threads() -> None:
    """The direct engine is FnApiRunner, or ours with two threads or as many as are said, always by name."""
    name, options = options_of(Direct())
    assert name == "lockstep.data.threads.ThreadsRunner"
    assert options.view_as(DirectOptions).direct_running_mode == "multi_threading"
    assert options.view_as(DirectOptions).direct_num_workers == 2
    assert options_of(Direct(workers=5))[1].view_as(DirectOptions).direct_num_workers == 5
    name, options = options_of(Direct(workers=1))
    assert name.endswith(".FnApiRunner")
    assert options.view_as(DirectOptions).direct_running_mode == "in_memory"


@pytest.mark.parametrize(
    ("environment", "kind", "config"),
    [
        (None, "LOOPBACK", None),
        ("EXTERNAL:pool:50000", "EXTERNAL", "pool:50000"),
        ("DOCKER:eu.gcr.io/shop/beam:1", "DOCKER", "eu.gcr.io/shop/beam:1"),
    ],
)
def test_workers_are_where_the_environment_says(environment: str | None, kind: str, config: str | None) -> None:
    """Portable and Flink hand the place of the Python workers over as Beam wants it."""
    for engine in (Portable(endpoint="h:1", environment=environment), Flink(master="h:1", environment=environment)):
        portable = options_of(engine)[1].view_as(PortableOptions)
        assert (portable.environment_type, portable.environment_config) == (kind, config)


def test_portable_goes_to_its_job_service() -> None:
    """The portable engine is PortableRunner at its endpoint."""
    name, options = options_of(Portable(endpoint="jobs:8099"))
    assert name == "PortableRunner"
    assert options.view_as(PortableOptions).job_endpoint == "jobs:8099"


def test_flink_goes_to_its_cluster() -> None:
    """Flink is FlinkRunner with master, job server and parallelism; what is not said stays Beam's default."""
    name, options = options_of(Flink(master="flink:8081", job_server="/jars/server.jar", parallelism=3))
    flink = options.view_as(FlinkRunnerOptions)
    assert (name, flink.flink_master, flink.flink_job_server_jar) == ("FlinkRunner", "flink:8081", "/jars/server.jar")
    assert flink.parallelism == 3
    assert options_of(Flink(master="flink:8081"))[1].view_as(FlinkRunnerOptions).flink_job_server_jar is None


def test_dataflow_gets_all_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dataflow is DataflowRunner with project, region, temp, workers, image, account, labels, packages and endpoint."""
    monkeypatch.setenv(ENDPOINT_VARIABLE, "http://localhost:9")
    engine = replace(DATAFLOW, machine="n2-standard-4", service_account="a@b", image="i:1", workers=7)
    name, options = options_of(engine)
    google, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert name == "DataflowRunner"
    assert (google.project, google.region, google.temp_location) == ("p", "r", "gs://b/t")
    assert (google.job_name, google.labels) == ("lockstep-guests-0123", ["lockstep-key=0123"])
    assert (google.service_account_email, google.dataflow_endpoint) == ("a@b", "http://localhost:9")
    assert (worker.machine_type, worker.sdk_container_image, worker.max_num_workers) == ("n2-standard-4", "i:1", 7)
    assert options.view_as(SetupOptions).extra_packages == ["/tmp/code.tar.gz"]  # noqa: S108


@pytest.mark.parametrize("dataset", ["guests", "a" * 64, "x_" * 32])
def test_a_jobs_name_is_one_that_dataflow_takes(dataset: str) -> None:
    """Whatever a dataset is called, its job's name has at most 63 letters, digits and hyphens, and no hyphen last."""
    import re

    name = job_name(dataset, "0123456789abcdef" * 2)
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)
    assert name.endswith("-0123456789abcdef")


# ------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dask", "gives wrong answers without an error"),
        ("spark", "knows Spark 3 only"),
        ("prism", "would depend on the network"),
    ],
)
def test_engines_that_beam_has_and_we_have_not(text: str, reason: str) -> None:
    """Dask, Spark and Prism are refused by name, with the reason and what there is instead."""
    with pytest.raises(UsageError, match=reason) as caught:
        parse_engine(f"{text}(master=h:1)")
    assert "Choose one of direct, portable, flink, dataflow" in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "uri", "message"),
    [
        (Portable(endpoint="h:1", environment="EXTERNAL:h:2"), "memory://a", "share no memory"),
        (Flink(master="h:1", environment="DOCKER:i"), "memory://b", "share no memory"),
        (DATAFLOW, "memory://c", "has to be gs://bucket/prefix"),
        (DATAFLOW, "file:///tmp/none", "has to be gs://bucket/prefix"),
        (Portable(endpoint="h:1", environment="PROCESS:x"), "file:///tmp/none", "the Python workers are LOOPBACK"),
        (Portable(), "memory://e", "lacks endpoint"),
        (Flink(), "memory://f", "lacks master"),
        (Dataflow(project="p"), "gs://bucket/r", "lacks region and temp"),
        (DATAFLOW, "gs://none/registry", r"guests.csv can't be read from dataflow\("),
    ],
)
def test_what_workers_could_not_reach_is_refused(guests: Dataset, engine: Engine, uri: str, message: str) -> None:
    """A registry, source or environment out of the workers' reach is refused before anything is written."""
    registry = Registry.open(uri)
    with pytest.raises(UsageError, match=message) as caught:
        start_snapshot(registry, guests, engine, "attempt")
    assert 'Dataset "guests"' in str(caught.value)
    if uri.startswith("memory"):
        assert registry.objects.names("") == []


@pytest.mark.parametrize("clean", [lambda rows: rows, type("Local", (), {"__call__": tidy})()])
def test_workers_elsewhere_need_a_clean_with_a_name(
    guests: Dataset, registry: Registry, clean: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    """A `clean` that can't be imported by name is refused where workers are elsewhere."""
    engine = Portable(endpoint="h:1", environment="EXTERNAL:h:2")
    with pytest.raises(UsageError, match="can't be imported by a name"):
        start_snapshot(registry, replace(guests, clean=clean), engine, "attempt")
    assert registry.objects.names("scratch") == []


def test_dataflow_is_for_airflow(guests: Dataset, registry: Registry) -> None:
    """One process that waits is not how a Dataflow job is taken; the message says where it is."""
    with pytest.raises(UsageError, match="Retrain there, or say direct"):
        take_snapshot(registry, guests, ORIGIN, engine=DATAFLOW)


# ------------------------------------------------------------------------------------------------------------ in parts


def test_a_spec_brings_the_dataset_back(guests: Dataset, registry: Registry) -> None:
    """Whoever reads the spec gets the declaration as far as a pipeline reads it, with `clean` found by its name."""
    given = replace(guests, split=by_hash(test=0.3, validation=0.1))
    taking = start_snapshot(registry, given, Direct(), "attempt")
    read = read_taking(Registry.open(registry.uri).objects, taking.scratch)
    assert read == replace(taking, dataset=read.dataset)
    assert read.dataset.clean is tidy
    assert read.dataset.schema == given.schema
    assert (read.dataset.name, read.dataset.source, read.dataset.key) == (given.name, given.source, given.key)
    assert read.dataset.split == given.split


def test_a_given_up_snapshot_is_not_launched(guests: Dataset, registry: Registry) -> None:
    """A launcher that comes too late finds nothing, and says how an address looks."""
    taking = start_snapshot(registry, guests, Direct(), "attempt")
    give_up(registry, taking.scratch)
    spec = f"{registry.uri}/{taking.scratch}/spec.json"
    with pytest.raises(ObjectMissing):
        launcher.submit(spec, runner_of(Direct(workers=1), JOB))
    with pytest.raises(UsageError, match=r"<registry>/scratch/<run>/spec\.json"):
        launcher.submit(registry.uri, runner_of(Direct(workers=1), JOB))


def test_a_launchers_error_is_left_for_whoever_waits(guests: Dataset, registry: Registry) -> None:
    """What keeps a launcher from building the pipeline stands in the scratch, as an error of a worker would."""
    taking = start_snapshot(registry, replace(guests, clean=lambda rows: rows), Direct(), "attempt")
    status = launcher.main(["--spec", f"{registry.uri}/{taking.scratch}/spec.json", "--runner", "FnApiRunner"])
    problem = left_behind(registry.objects, taking.scratch)
    assert status == 2
    assert isinstance(problem, UsageError)
    assert "can't be imported here" in str(problem)


def test_a_launcher_runs_what_was_begun(guests: Dataset, registry: Registry) -> None:
    """A snapshot that one process begins and another carries out is finished by the first."""
    taking = start_snapshot(registry, guests, Direct(), "attempt")
    runner = runner_of(Direct(workers=1), JOB)
    spec = f"{registry.uri}/{taking.scratch}/spec.json"
    assert launcher.main(["--spec", spec, "--runner", runner.name, *runner.options]) == 0
    version = finish_snapshot(registry, taking, ORIGIN, Direct())
    give_up(registry, taking.scratch)
    assert version is not None
    assert version.fact.rows == 2
