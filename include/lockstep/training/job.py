"""What a job elsewhere does: read its spec, train by the recorded source, record the version itself.

Rules:
- The version is the same as if the one who asked had trained it, but for the job that it names.
- The recorded source is unpacked into a fresh folder, and the team's code comes from there alone.
- A job that is started again, by the cloud or by a second submission, finds the version that is there.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lockstep.errors import UsageError
from lockstep.registry import Job, Origin, Registry
from lockstep.registry.lineage import describe
from lockstep.training.call import recalled
from lockstep.training.fit import build_estimator
from lockstep.training.plan import Plan
from lockstep.training.recorded import check_modules, import_from
from lockstep.training.source import unpack
from lockstep.training.spec import Spec, note_failure, read_spec
from lockstep.training.train import Training, carry_out, trained_before
from lockstep.training.vertex import JobName

JOB_VARIABLE: Final = "CLOUD_ML_JOB_ID"  # Vertex AI tells each custom job its number by it


def run_spec(uri: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Train what a spec says, as the job that this process is; returns the version as JSON values.

    Raises:
        UsageError: this process is no job of Vertex AI, or there is no such spec.
        LockstepError: whatever training raises; it is left beside the registry's scratch, too.
    """
    registry, spec = read_spec(uri)
    job = environ.get(JOB_VARIABLE, "")
    if not job.isdecimal():
        raise UsageError(
            f'{JOB_VARIABLE} is "{job}", which is no number of a custom job. Vertex AI sets it; elsewhere, train with'
            " `lockstep train`."
        )
    try:
        training = _train(registry, spec.plan, origin_of(spec, job))
    except Exception as error:
        note_failure(registry.objects, job, error)
        raise
    return {**describe(registry.state(), training.version), "new": training.is_new}


def origin_of(spec: Spec, job: str) -> Origin:
    """Who wants it, and the custom job of that number as the job that does it."""
    name = JobName(project=spec.project, region=spec.region, number=job)
    of_cloud = Job(system="vertex", run=str(name), task=spec.asked_by, log=name.console, commit=spec.commit)
    return Origin(by=spec.by, why=spec.why, job=of_cloud)


def _train(registry: Registry, plan: Plan, origin: Origin) -> Training:
    found = trained_before(registry, plan, origin)
    if found is not None:
        return found
    with TemporaryDirectory(prefix="lockstep-train-") as folder:
        source = Path(folder).resolve() / "source"
        unpack(registry.objects.get(plan.source), source)
        names = import_from(source)
        estimator = build_estimator(plan.model, plan.lesson.task, recalled(plan.call), plan.parameters)
        return carry_out(registry, plan, origin, estimator, check=lambda: check_modules(source, names))
