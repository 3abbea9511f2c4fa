"""The few calls of MLflow's client that the mirror needs, each of which finds what an earlier one has made.

Rules:
- `mlflow-skinny` is imported when a client is made: declaring, training and serving do without.
- A call waits for ten seconds and is tried again twice, unless MLflow's own variables say something else: MLflow's
  defaults would let one that is away keep a task for many minutes.
- Whatever MLflow, or the way to it, raises is a `NeighbourAway`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import urlsplit

from lockstep.errors import NeighbourAway, UsageError

_PATIENCE: Final = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a command prints its result there
}
_BATCH: Final = 100  # parameters, or tags, in one call
_PARAM: Final = 6000  # characters of a parameter
_TAG: Final = 5000  # of a tag
_EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
_MISSING: Final = "RESOURCE_DOES_NOT_EXIST"


class Mlflow:
    """MLflow at one address."""

    def __init__(self, client: Any, entities: Any, error: type[Exception], address: str) -> None:  # noqa: ANN401  MLflow's types, which need not be installed
        self._client, self._entities, self._error, self._address = client, entities, error, address

    @classmethod
    def at(cls, address: str) -> Self:
        """A client; nothing is asked yet.

        Raises:
            UsageError: mlflow-skinny is not installed, or the address is none.
        """
        if urlsplit(address).password is not None:
            raise UsageError(
                "The address of MLflow holds a password, which would stand in logs. Leave it out, and set"
                " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            )
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import entities
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise UsageError(
                "The bridge to MLflow needs mlflow-skinny, which is not installed. Install"
                " airflow-provider-lockstep[mlflow], or switch it off: leave LOCKSTEP_MLFLOW_TRACKING_URI unset."
            ) from None
        try:
            client = MlflowClient(tracking_uri=address, registry_uri=address)
        except MlflowException as error:
            raise UsageError(f'"{address}" is no address of MLflow: {error}') from None
        return cls(client, entities, MlflowException, address)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (self._error, OSError) as error:  # what requests raises is an OSError, too
            said = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            raise NeighbourAway(
                f"MLflow at {self._address} could not be told: {said}. Nothing in the registry depends on it; what was"
                " missed is told by the next `lockstep mlflow sync`."
            ) from error

    def _unless_there(self, make: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever is made
        """Make something, or None where another call was faster."""
        try:
            return make()
        except self._error as error:
            if getattr(error, "error_code", "") != _EXISTS:
                raise
            return None

    def experiment(self, name: str, tags: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Number and tags of an experiment, which is made with these tags if there is none."""
        with self._asking():
            found = self._client.get_experiment_by_name(name)
            if found is None:
                self._unless_there(lambda: self._client.create_experiment(name, tags=dict(tags)))
                found = self._client.get_experiment_by_name(name)
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return found.experiment_id, dict(found.tags)

    def tag_experiment(self, number: str, tags: Mapping[str, str]) -> None:
        """Add tags to an experiment."""
        with self._asking():
            for name, value in tags.items():
                self._client.set_experiment_tag(number, name, value)

    def run(self, experiment: str, name: str, mark: Mapping[str, str], at: int) -> tuple[str, bool]:
        """The id of a run that bears a mark, and whether it is a new one, begun at `at` (ms), since none did."""
        ((key, value),) = mark.items()
        with self._asking():
            found = self._client.search_runs([experiment], f"tags.`{key}` = '{value}'", max_results=10)
            if found:
                return min(run.info.run_id for run in found), False
            made = self._client.create_run(experiment, start_time=at, tags=dict(mark), run_name=name)
            return made.info.run_id, True

    def delete_run_unless_only(self, run: str, other: str) -> None:
        """Delete a run, unless it is the other one, or somebody has deleted that."""
        with self._asking():
            if run != other and self._client.get_run(other).info.lifecycle_stage == "active":
                self._client.delete_run(run)

    def log(
        self, run: str, *, params: Mapping[str, str], metrics: Mapping[str, float], at: int, tags: Mapping[str, str]
    ) -> None:
        """Add parameters, metrics and tags to a run; the same once more changes nothing."""
        make = self._entities
        with self._asking():
            given = [make.Param(name, value[:_PARAM]) for name, value in params.items()]
            said = [make.RunTag(name, value[:_TAG]) for name, value in tags.items()]
            figures = [make.Metric(name, value, at, 0) for name, value in metrics.items()]
            for start in range(0, max(len(given), len(said), len(figures)), _BATCH):
                part = slice(start, start + _BATCH)
                self._client.log_batch(run, metrics=figures[part], params=given[part], tags=said[part])

    def keep(self, run: str, path: str, data: bytes) -> None:
        """Store a file beside a run."""
        from tempfile import TemporaryDirectory

        folder, _, name = path.rpartition("/")
        with self._asking(), TemporaryDirectory() as place:
            file = f"{place}/{name}"
            with open(file, "wb") as written:  # noqa: PTH123  MLflow takes a path as text
                written.write(data)
            self._client.log_artifact(run, file, folder or None)

    def end(self, run: str, at: int) -> None:
        """Say that a run is finished."""
        with self._asking():
            self._client.set_terminated(run, end_time=at)

    def registered_model(self, name: str, tags: Mapping[str, str]) -> dict[str, str]:
        """The tags of a registered model, which is made with these if there is none."""
        with self._asking():
            self._unless_there(lambda: self._client.create_registered_model(name, tags=dict(tags)))
            return dict(self._client.get_registered_model(name).tags)

    def tags_of_model(self, name: str) -> dict[str, str]:
        """The tags of a registered model; none if there is no such model."""
        with self._asking():
            try:
                return dict(self._client.get_registered_model(name).tags)
            except self._error as error:
                if getattr(error, "error_code", "") != _MISSING:
                    raise
                return {}

    def versions(self, name: str, tag: str) -> dict[str, str]:
        """What a tag says → number of the registered version; of several that say the same, the first."""
        return {said: str(version.version) for said, version in self._by(name, tag).items()}

    def _by(self, name: str, tag: str) -> dict[str, Any]:
        with self._asking():
            found: dict[str, Any] = {}
            for version in sorted(self._listed(name), key=lambda one: int(one.version)):
                if tag in version.tags:
                    found.setdefault(version.tags[tag], version)
            return found

    def _listed(self, name: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name='{name}'", max_results=200, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def version(self, name: str, run: str, mark: Mapping[str, str], tags: Mapping[str, str], *, about: str) -> str:
        """Let there be one registered version that bears a mark, with these tags, of a run or of another; its run."""
        ((key, value),) = mark.items()
        short = {tag: said[:_TAG] for tag, said in tags.items()}
        known = self._by(name, key).get(value)
        if known is not None:
            with self._asking():
                for tag, said in short.items():
                    if known.tags.get(tag) != said:
                        self._client.set_model_version_tag(name, known.version, tag, said)
            return str(known.run_id)
        with self._asking():
            source = f"{self._client.get_run(run).info.artifact_uri.rstrip('/')}/manifest.json"
            made = self._client.create_model_version(
                name, source, run_id=run, tags={**short, **mark}, description=about, await_creation_for=0
            )
        first = self._by(name, key)[value]
        if str(first.version) != str(made.version):
            with self._asking():
                self._client.delete_model_version(name, made.version)  # another call has made it meanwhile
        return str(first.run_id)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias → number of the registered version."""
        with self._asking():
            found = self._client.get_registered_model(name).aliases
            return {alias: str(version) for alias, version in dict(found).items()}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias be at a version."""
        with self._asking():
            self._client.set_registered_model_alias(name, alias, version)

    def take_alias(self, name: str, alias: str) -> None:
        """Let an alias be nowhere."""
        with self._asking():
            self._client.delete_registered_model_alias(name, alias)
