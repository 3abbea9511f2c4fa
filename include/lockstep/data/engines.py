"""What an engine of `lockstep.places` is to Beam: the name of a runner, and options as they stand on a command line.

Rules:
- The runner is always named; Beam's own choice would depend on the network.
- What a job on machines of others could not read is refused before anything is submitted.
- An engine's settings go to Beam as they are; none is made up, so that what nobody says is the engine's own default.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lockstep.declare import Dataset
from lockstep.errors import UsageError
from lockstep.places import Dataflow, Direct, Engine, Flink, Place, Portable

LOOPBACK: Final = "LOOPBACK"
ENDPOINT_VARIABLE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW"  # as gcloud reads it
_DIRECT: Final = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_THREADS: Final = "lockstep.data.threads.ThreadsRunner"
_WORKERS: Final = 2
_NAMED: Final = 36  # characters of a dataset's name in the name of a job, which has 63 at most
_GOOGLES: Final = ("gs://", "bigquery://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A Beam runner and its pipeline options."""

    name: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one job is given beside the engine's settings.

    Attributes:
        name: the job's name.
        labels: by which the job is found again; Dataflow alone has them.
        packages: paths of packages that its workers install.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


def job_name(dataset: str, key: str) -> str:
    """A name that Dataflow takes, `lockstep-customers-0123abcd`; it lets one job of a name run at a time."""
    return f"lockstep-{dataset.replace('_', '-')[:_NAMED].rstrip('-')}-{key[:16]}"


def runner_of(engine: Engine, job: Submission) -> Runner:
    """The runner that carries out a job on an engine."""
    named = {"job_name": job.name}
    match engine:
        case Direct():
            workers = engine.workers or _WORKERS
            name, mode = (_DIRECT, "in_memory") if workers == 1 else (_THREADS, "multi_threading")
            return _runner(name, {"direct_running_mode": mode, "direct_num_workers": workers, **named})
        case Portable():
            return _runner(
                "PortableRunner", {"job_endpoint": engine.endpoint, **_environment(engine.environment), **named}
            )
        case Flink():
            settings = {
                "flink_master": engine.master,
                "flink_job_server_jar": engine.job_server,
                "parallelism": engine.parallelism,
            }
            return _runner("FlinkRunner", {**settings, **_environment(engine.environment), **named})
        case Dataflow():
            return _runner("DataflowRunner", {**_dataflow(engine, job), **named})


def _dataflow(engine: Dataflow, job: Submission) -> dict[str, Any]:
    return {
        "project": engine.project,
        "region": engine.region,
        "temp_location": engine.temp,
        "service_account_email": engine.service_account,
        "machine_type": engine.machine,
        "sdk_container_image": engine.image,
        "max_num_workers": engine.workers,
        "labels": [f"{name}={value}" for name, value in job.labels.items()],
        "extra_package": list(job.packages),
        "dataflow_endpoint": os.environ.get(ENDPOINT_VARIABLE),
    }


def _environment(text: str | None) -> dict[str, str | None]:
    kind, _, config = (text or LOOPBACK).partition(":")
    return {"environment_type": kind, "environment_config": config or None}


def _runner(name: str, options: Mapping[str, Any]) -> Runner:
    words: list[str] = []
    for option, value in options.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        words += [f"--{option}={one}" for one in values]
    return Runner(name=name, options=tuple(words))


def runs_elsewhere(engine: Engine) -> bool:
    """Whether the pipeline's functions are called in processes that this one did not start."""
    return isinstance(engine, Dataflow) or getattr(engine, "environment", None) not in (None, LOOPBACK)


def check_submittable(engine: Engine, dataset: Dataset, paths: Iterable[str]) -> None:
    """Refuse an engine whose workers would not understand its own settings, the source, or `clean`.

    Raises:
        UsageError: says what they can't reach, and the way out; nothing was submitted.
    """
    whose = f'Dataset "{dataset.name}"'
    _check_environment(engine, whose)
    if isinstance(engine, Dataflow):
        local = next((path for path in paths if not path.startswith(_GOOGLES)), None)
        if local is not None:
            raise UsageError(
                f"{whose}: {local} can't be read from {engine}, and nothing was submitted. Dataflow's workers hold"
                " Google's credentials alone: put the source into a bucket, as gs://bucket/folder/*.csv, or say"
                " direct()."
            )
    if runs_elsewhere(engine):
        _check_importable(dataset, engine)


def _check_environment(engine: Place, whose: str) -> None:
    environment = getattr(engine, "environment", None)
    if environment is None:
        return
    if not re.fullmatch(r"LOOPBACK|EXTERNAL:[^\s:]+:[0-9]+|DOCKER:\S+", environment):
        raise UsageError(
            f"{whose}: {engine.kind}(environment={environment}): the Python workers are LOOPBACK (in the process that"
            " asks), EXTERNAL:host:port (a worker pool) or DOCKER:image. Nothing was submitted."
        )


def _check_importable(dataset: Dataset, engine: Engine) -> None:
    """Refuse a `clean`, or the schema of a check, that workers would not find by its name, `groups.telco:clean`."""
    functions = {"clean": dataset.clean} | {str(check): check.schema for check in dataset.checks}
    for what, function in functions.items():
        module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        if function is not None and (not name or "<" in name or module in ("", "__main__")):
            raise UsageError(
                f'Dataset "{dataset.name}": {what}={function!r} can\'t be imported by a name, so that workers of'
                f" {engine} would not find it, and nothing was submitted. Make it a plain function of a module, or say"
                " direct()."
            )
