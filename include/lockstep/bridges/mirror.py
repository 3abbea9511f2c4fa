"""Keeps MLflow in step with the log: each model version is a run and a registered version; aliases follow the stages.

Rules:
- MLflow is told, and never asked what holds. Whoever trains, promotes or releases does not wait for it.
- How far MLflow was told stands in MLflow: the experiment of a group has the number of the last entry as its tag. What
  was missed is told by the next call, in the order of the log.
- Told twice is told once: a run and a version are found by the digest that they bear. Two calls at one time may both
  find none, and make them. MLflow numbers versions one after the other: the lower number stays, and the run that it is
  of; who made the others deletes them. (Runs have no order that all agree on.)
- The aliases `staging` and `production` are set last, to what the log says by then. MLflow has no way to set several at
  once: for a moment some are new and others old, and nothing should decide by them.
- An experiment or a registered model that something else has made is left alone, and named.
- Files of a model stay in the registry; the run has its manifest, the curves of its thresholds and their plots.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lockstep.bridges.client import Mlflow
from lockstep.bridges.told import Made, made_since
from lockstep.errors import UsageError
from lockstep.group import Group
from lockstep.registry import Registry, State, model_key, sha256_of
from lockstep.registry.entries import path_of

PREFIX: Final = "lockstep."
ALIASES: Final = ("staging", "production")


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What one call told MLflow; `entry` is how far it knows the log now, `aliases` those that were moved or taken."""

    group: str
    experiment: str
    entry: int
    versions: tuple[str, ...]
    aliases: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "group": self.group,
            "experiment": self.experiment,
            "entry": self.entry,
            "versions": list(self.versions),
            "aliases": list(self.aliases),
        }

    def as_text(self) -> str:
        """A line for people."""
        told = f"told {', '.join(self.versions)}" if self.versions else "nothing was new"
        moved = f"; {', '.join(self.aliases)}" if self.aliases else ""
        return f"{self.group}: {told}{moved} (experiment {self.experiment}, up to entry {self.entry})"


def sync(registry: Registry, group: Group, address: str, *, say: Callable[[str], None] = lambda _: None) -> Synced:
    """Tell MLflow at an address all of a group that it does not know yet.

    Raises:
        UsageError: mlflow-skinny is not installed, or the experiment or a registered model is somebody else's.
        NeighbourAway: MLflow does not answer, or refuses; what was told stays, and the next call goes on from there.
    """
    client, state = Mlflow.at(address), registry.state()
    if state.head == 0:
        return Synced(group=group.name, experiment="", entry=0, versions=(), aliases=())
    log = sha256_of(registry.objects.get_unverified(path_of(1)))[:16]
    experiment = _experiment(client, registry, group, log)
    versions: list[str] = []
    while True:
        for made in made_since(registry, group, state, experiment.entry):
            say(f"telling MLflow of {made.ref}")
            _tell(client, experiment, log, made)
            versions.append(made.ref)
            experiment.entry = made.entry
            client.tag_experiment(experiment.number, {f"{PREFIX}entry": str(made.entry)})
        moved = _aliases(client, group, state, log)
        later = registry.state()
        if later.head == state.head:
            break
        state = later
    return Synced(
        group=group.name,
        experiment=experiment.name,
        entry=state.head,
        versions=tuple(versions),
        aliases=moved,
    )


@dataclass(slots=True, kw_only=True)
class _Experiment:
    """The experiment of a group, and the last entry that it was told of."""

    number: str
    name: str
    entry: int


def _experiment(client: Mlflow, registry: Registry, group: Group, log: str) -> _Experiment:
    name = f"lockstep/{group.name}"
    number, tags = client.experiment(name, {f"{PREFIX}log": log, f"{PREFIX}registry": registry.uri})
    if tags.get(f"{PREFIX}log") != log:
        raise UsageError(
            f'MLflow has an experiment "{name}" that is not of this registry, but of'
            f" {tags.get(f'{PREFIX}registry', 'somebody else')}. Rename it there, or give each registry its own MLflow."
        )
    return _Experiment(number=number, name=name, entry=int(tags.get(f"{PREFIX}entry", "0")))


def _tell(client: Mlflow, experiment: _Experiment, log: str, made: Made) -> None:
    """Make, or find, the run and the registered version of a model version; add what is new."""
    digest = {f"{PREFIX}digest": made.model.digest}
    at = int(made.model.recorded.at.timestamp() * 1000)
    run, is_new = client.run(experiment.number, made.model.ref, digest, at)
    client.log(run, params=made.params, metrics=made.metrics, at=at, tags=_named(made.tags))
    for path, data in made.files.items():
        client.keep(run, path, data)
    if made.threshold is None:
        client.end(run, at)
    name = made.model.name
    tags = client.registered_model(name, {f"{PREFIX}log": log})
    if tags.get(f"{PREFIX}log") != log:
        raise UsageError(
            f'MLflow has a registered model "{name}" that Lockstep did not make, or made for another registry. Rename'
            " it there; Lockstep touches nothing that is not its own."
        )
    holder = client.version(name, run, digest, _named(made.tags), about=f"{made.model.ref} of Lockstep")
    if is_new:
        client.delete_run_unless_only(run, holder)


def _named(tags: Any) -> dict[str, str]:  # noqa: ANN401  a mapping of texts
    return {f"{PREFIX}{name}": value for name, value in tags.items()}


def _aliases(client: Mlflow, group: Group, state: State, log: str) -> tuple[str, ...]:
    """Let each alias be at the version that the log says; those that were not."""
    moved = []
    for model in group.models:
        key = model_key(model.name)
        wanted = {"staging": state.staging.get(key), "production": state.members.get(group.name, {}).get(key)}
        if not any(wanted.values()) or client.tags_of_model(model.name).get(f"{PREFIX}log") != log:
            continue
        known = client.versions(model.name, f"{PREFIX}digest")
        standing = client.aliases(model.name)
        for alias in ALIASES:
            number = known.get(wanted[alias] or "")
            if number == standing.get(alias):
                continue
            if number is None:
                client.take_alias(model.name, alias)
                moved.append(f"{model.name} has no {alias}")
            else:
                client.set_alias(model.name, alias, number)
                moved.append(f"{alias} is {state.model_by_digest(model.name, wanted[alias] or '').ref}")
    return tuple(moved)
