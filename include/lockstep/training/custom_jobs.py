"""The custom jobs of one project and region: submitted or found, watched, cancelled, through Google's own client.

Rules:
- The client is given; google-cloud-aiplatform is imported when a call is made, and not before.
- Of all jobs that answer one question at most one lives on. Before a job is created, and after, all that bear the
  question's label are listed; of several the oldest stays, whoever looks, and the others are cancelled.
- A create whose answer was lost is looked for before it is tried again.
- A job of the same task that answers an older question, from before the task was cleared, is cancelled.
- What may pass by itself (429, 503, a deadline) is tried again for a while, and then told.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from lockstep.errors import CloudUnusable, LockstepError, UsageError
from lockstep.places import Vertex
from lockstep.training.vertex import TASK, JobName, Seen, Wanted, custom_job, seen

_FACTOR: Final = 2.0
_LONGEST_PAUSE: Final = 16.0
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds: for one answer, and before each further try; after the last one it is told."""

    answer: float = 30.0
    first_pause: float = 0.5
    tries: int = 8

    def pauses(self) -> Iterator[float]:
        """The pause before each further try."""
        for number in range(self.tries - 1):
            yield min(self.first_pause * _FACTOR**number, _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The job that answers a question, and whether it was made now."""

    job: Seen
    is_new: bool


class CustomJobs:
    """The jobs of a project and region, by a `JobServiceClient` of google-cloud-aiplatform."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401  its library is imported only by who has it
        project: str,
        region: str,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._project, self._region = client, project, region
        self._patience, self._sleep = patience or Patience(), sleep

    @classmethod
    def open(cls, place: Vertex) -> Self:
        """The jobs of a place, by the credentials that the environment has for Google Cloud.

        Raises:
            UsageError: there are none, or google-cloud-aiplatform is not installed.
        """
        try:
            from google.cloud.aiplatform_v1 import JobServiceClient
        except ImportError as error:
            raise UsageError(
                f"{place}: google-cloud-aiplatform is needed ({error}). Install it, or say local()."
            ) from None
        try:
            client = JobServiceClient(client_options={"api_endpoint": f"{place.region}-aiplatform.googleapis.com"})
        except refuses() as error:
            raise UsageError(
                f"{place}: no credentials for Google Cloud: {error} Give Application Default Credentials (gcloud auth"
                " application-default login, or GOOGLE_APPLICATION_CREDENTIALS)."
            ) from error
        return cls(client, place.project or "", place.region or "")

    @property
    def _parent(self) -> str:
        return f"projects/{self._project}/locations/{self._region}"

    def of_task(self, task: str) -> list[Seen]:
        """All jobs of a task (by its label), whatever question of it they answer, the oldest first."""
        request = {"parent": self._parent, "filter": f'labels.{TASK}="{task}"'}
        listed = self._ask(
            "listing custom jobs", lambda: list(self._client.list_custom_jobs(request=request, timeout=self._timeout))
        )
        mine = [job for job in listed if dict(job.labels).get(TASK) == task]
        return sorted((seen(job, self._project) for job in mine), key=lambda job: job.age)

    def submit(self, wanted: Wanted, there: list[Seen]) -> Submitted:
        """Submit a job, or find the one that was; `there` are those `of_task`, listed just before.

        Raises:
            CloudUnusable: Vertex AI did not take it, though it was asked often.
            UsageError: it refuses, and would refuse again.
        """
        for job in there:
            if job.key != wanted.key and job.phase.is_live:
                self.cancel(job.name)
        if found := _oldest(there, wanted):
            return Submitted(job=found, is_new=False)
        created = self._create(wanted)
        rivals = [job for job in self.of_task(wanted.task) if job.key == wanted.key and job.phase.is_usable]
        stays = min([created, *rivals], key=lambda job: job.age)
        for job in rivals:
            if job.name != stays.name and job.phase.is_live:
                self.cancel(job.name)
        return Submitted(job=stays, is_new=stays.name == created.name)

    def look(self, name: JobName) -> Seen:
        """How a job is now."""
        return seen(
            self._ask(f"looking at {name}", lambda: self._client.get_custom_job(name=str(name), timeout=self._timeout)),
            self._project,
        )

    def cancel(self, name: JobName) -> None:
        """Cancel a job; one that has ended already stays as it is."""
        from google.api_core.exceptions import FailedPrecondition, NotFound

        def ask() -> None:
            try:
                self._client.cancel_custom_job(name=str(name), timeout=self._timeout)
            except (FailedPrecondition, NotFound):
                return

        self._ask(f"cancelling {name}", ask)

    @property
    def _timeout(self) -> float:
        return self._patience.answer

    def _create(self, wanted: Wanted) -> Seen:
        """Create a job. Whoever gets no answer looks for the job before asking again: it may be there."""
        job, pauses = custom_job(wanted), self._patience.pauses()
        while True:
            try:
                made = self._client.create_custom_job(parent=self._parent, custom_job=job, timeout=self._timeout)
            except may_pass() as error:
                pause = next(pauses, None)
                if pause is not None:
                    self._sleep(pause)
                if found := _oldest(self.of_task(wanted.task), wanted):
                    return found
                if pause is None:
                    raise meaning_of("creating a custom job", error) from error
            except refuses() as error:
                raise meaning_of("creating a custom job", error) from error
            else:
                return seen(made, self._project)

    def _ask(self, what: str, ask: Callable[[], Answer]) -> Answer:
        """Ask what can be asked twice."""
        pauses = self._patience.pauses()
        while True:
            try:
                return ask()
            except may_pass() as error:
                pause = next(pauses, None)
                if pause is None:
                    raise meaning_of(what, error) from error
                self._sleep(pause)
            except refuses() as error:
                raise meaning_of(what, error) from error


def _oldest(jobs: list[Seen], wanted: Wanted) -> Seen | None:
    """Of the jobs that answer just this question and may still, the one that was accepted first."""
    usable = [job for job in jobs if job.key == wanted.key and job.phase.is_usable]
    return min(usable, key=lambda job: job.age, default=None)


def may_pass() -> tuple[type[Exception], ...]:
    """Errors that may be gone in a moment, and after which nobody knows whether something was done."""
    from google.api_core import exceptions as api
    from google.auth.exceptions import TransportError

    return (
        api.TooManyRequests,  # and ResourceExhausted
        api.ServiceUnavailable,
        api.GatewayTimeout,  # and DeadlineExceeded
        api.InternalServerError,
        api.Unknown,
        api.Aborted,
        api.RetryError,
        TransportError,
    )


def refuses() -> tuple[type[Exception], ...]:
    """All errors of Google's clients; behind `may_pass`, those that would come again."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    return (GoogleAPICallError, GoogleAuthError)


def meaning_of(what: str, error: Exception) -> LockstepError:
    """What Google's error means, of an attempt to do `what`."""
    from google.api_core import exceptions as api

    name, said = type(error).__name__, " ".join(str(getattr(error, "message", error)).split()).rstrip(".")
    told = f"Vertex AI: {what}: {name}: {said}."
    if isinstance(error, api.TooManyRequests):
        return CloudUnusable(f"{told} The quota is used up for now: try later, or ask Google for more.")
    if isinstance(error, may_pass()):
        return CloudUnusable(f"{told} It was asked several times; try again later.")
    if isinstance(error, api.Forbidden | api.Unauthorized):
        return UsageError(
            f"{told} Let these credentials use Vertex AI (roles/aiplatform.user) and act as the job's service account"
            " (roles/iam.serviceAccountUser)."
        )
    return UsageError(f"{told} Correct the project, the region, the image or the service account.")
