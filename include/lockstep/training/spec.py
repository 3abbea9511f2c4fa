"""A job's spec: a plan, who asked for it and where it runs, as a file in the registry that the job starts from.

Rules:
- It is named by its content and written once, so that the same question makes one file however often it is asked.
- It holds no address and no secret: the registry is where the spec stands.
- A job that fails leaves what it raised in `scratch/`, where whoever waits for it reads it; no right to read a cloud's
  logs is needed for that.
"""

import json
import traceback
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lockstep.errors import LockstepError, ObjectDamaged, ObjectMissing, ProtocolTooNew, StoreUnusable, UsageError
from lockstep.registry import ObjectRef, Objects, Origin, Registry, canonical_json, sha256_of
from lockstep.switch import address_for_job
from lockstep.training.plan import Plan

PROTOCOL: Final = 1
FOLDER: Final = "specs"
_MOST_BYTES: Final = 4 << 20
_MOST_TRACE: Final = 20_000  # characters of a failure, its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a job is told.

    Attributes:
        protocol: of this file.
        plan: what to train.
        by, why: who wants it, as a version's origin says it.
        asked_by: the job that asked, as `dag_id/run_id/task_id`.
        commit: of the code of the one who asked.
        project, region: where the job runs.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    protocol: int = PROTOCOL
    plan: Plan
    by: str
    why: str
    asked_by: str
    commit: str
    project: str
    region: str

    @classmethod
    def asked(cls, plan: Plan, origin: Origin, *, project: str, region: str) -> Self:
        """The spec of a plan that somebody wants carried out there.

        Raises:
            TrainingError: only this process can carry it out.
        """
        plan.check_portable()
        job = origin.job
        return cls(
            plan=plan,
            by=origin.by,
            why=origin.why,
            asked_by="/".join(filter(None, (job.run, job.task))) if job else "",
            commit=job.commit if job else "",
            project=project,
            region=region,
        )


_ADAPTER: Final = TypeAdapter(Spec)


def put_spec(registry: Registry, spec: Spec) -> str:
    """Write a spec, or find it there; gives its address."""
    data = canonical_json(_ADAPTER.dump_python(spec, mode="json"))
    path = f"{FOLDER}/{sha256_of(data)}.json"
    registry.objects.put(path, data)
    return f"{address_for_job(registry.uri)}/{path}"


def read_spec(uri: str) -> tuple[Registry, Spec]:
    """Open the registry in which a spec stands, and read it.

    Raises:
        UsageError: that is no address of a spec.
        ObjectMissing, ObjectDamaged: there is none, or its bytes are not those of its name.
        ProtocolTooNew: a newer Lockstep wrote it.
    """
    root, is_spec, name = uri.rpartition(f"/{FOLDER}/")
    if not (root and is_spec and name.endswith(".json")):
        raise UsageError(f'--spec "{uri}": the form is REGISTRY/{FOLDER}/SHA256.json.')
    registry = Registry.open(root)
    sha256 = name.removesuffix(".json")
    data = registry.objects.get(ObjectRef(path=f"{FOLDER}/{name}", sha256=sha256, size=-1))
    try:
        return registry, _ADAPTER.validate_json(data)
    except ValidationError as error:
        found = _protocol_of(data)
        if isinstance(found, int) and found > PROTOCOL:
            raise ProtocolTooNew(
                f'Spec "{uri}" has protocol {found}; the Lockstep of this job reads up to {PROTOCOL}. Let the image'
                " hold the Lockstep that asks for it."
            ) from None
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ObjectDamaged(f'Spec "{uri}" can\'t be read: {where}: {first["msg"]}. Find out who wrote it.') from None


def _protocol_of(data: bytes) -> object:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found.get("protocol") if isinstance(found, dict) else None


# ---------------------------------------------------------------------------------------------------- what a job raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a job failed: the error as a sentence, its stack trace, and whether trying again can't help."""

    error: str
    trace: str
    is_final: bool


def note_failure(objects: Objects, job: str, error: BaseException) -> None:
    """Leave what a job (by its number) raised, for whoever waits for it; a first failure stays."""
    trace = "".join(traceback.format_exception(error))
    found = {
        "error": str(error) if isinstance(error, LockstepError) else f"{type(error).__name__}: {error}",
        "trace": trace[-_MOST_TRACE:],
        "is_final": isinstance(error, LockstepError) and not isinstance(error, StoreUnusable),
    }
    objects.put_new(_failure_at(job), canonical_json(found))


def read_failure(objects: Objects, job: str) -> Failure | None:
    """What a job (by its number) raised; None where it left nothing, as when it was killed."""
    try:
        found: Any = json.loads(objects.get_unverified(_failure_at(job)))
        return Failure(error=str(found["error"]), trace=str(found["trace"]), is_final=found["is_final"] is True)
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return None


def _failure_at(job: str) -> str:
    return f"scratch/vertex-{job}/failure.json"
