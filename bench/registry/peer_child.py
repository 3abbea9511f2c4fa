"""Runs in MLflow's environment: a client of a registry in a database; one job a line, one line of JSON for each.

Rules:
- A round does what comes nearest to a release: a new version of each model, then the alias "production" of each. Each
  version's source ends with the name of the round, so that a reader can tell which release it belongs to.
- Tables, registered models and the client are made before the first round.
- A round that fails stays as it is: MLflow has nothing that would take it back.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

ALIAS = "production"
PAUSE = 0.005  # seconds between two readings of a watcher


class Child:
    """One client and its models."""

    def __init__(self, uri: str, folder: Path, models: int) -> None:
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.folder = folder
        self.names = [f"model_{number}" for number in range(models)]
        known = {model.name for model in self.client.search_registered_models()}
        for name in self.names:
            if name not in known:
                self.client.create_registered_model(name)

    def round(self, what: str, *, hang_after: int | None = None) -> dict[str, float]:
        """One release, with its times in seconds."""
        began = time.perf_counter()
        made = []
        for name in self.names:
            source = (self.folder / name / what).as_uri()
            made.append(self.client.create_model_version(name, source=source).version)
        versions_done = time.perf_counter()
        for place, (name, version) in enumerate(zip(self.names, made, strict=True)):
            if place == hang_after:
                say({"aliases_set": place, "new": int(version)})
                time.sleep(3600)
            self.client.set_registered_model_alias(name, ALIAS, version)
        done = time.perf_counter()
        return {"versions": versions_done - began, "aliases": done - versions_done}

    def race(self, writer: str, rounds: int) -> dict[str, object]:
        """Many rounds beside others: the times of those that went through, and why others did not."""
        done, errors = [], Counter[str]()
        for number in range(rounds):
            try:
                done.append(self.round(f"{writer}-{number}"))
            except MlflowException as error:
                errors[reason(error)] += 1
        return {"rounds": done, "errors": errors}

    def read(self) -> dict[str, tuple[int, str]]:
        """Production of each model: version, and the release that it belongs to."""
        found = {}
        for name in self.names:
            try:
                version = self.client.get_model_version_by_alias(name, ALIAS)
            except MlflowException:  # not set yet
                continue
            found[name] = (int(version.version), str(version.source).rpartition("/")[2])
        return found

    def watch(self, until: Path) -> dict[str, int]:
        """Read until the file is there: how often, and how often the models were of several releases."""
        readings = mixed = 0
        while not until.exists():
            releases = {release for _, release in self.read().values()}
            readings, mixed = readings + 1, mixed + (len(releases) > 1)
            time.sleep(PAUSE)
        return {"readings": readings, "mixed": mixed}


def reason(error: Exception) -> str:
    """The kind of an error, without what differs from one to the next."""
    text = str(error)
    for known in ("database is locked", "already exists", "deadlock detected", "could not serialize"):
        if known in text:
            return known
    return text[:80]


def main(uri: str, folder: Path, models: int) -> None:
    """Answer until standard input ends."""
    child = Child(uri, folder, models)
    say({"ready": True})
    for number, line in enumerate(sys.stdin):
        match line.split():
            case ["round"]:
                say(child.round(str(number)))
            case ["half"]:
                say(child.round("half", hang_after=2))
            case ["read"]:
                say(child.read())
            case ["race", writer, rounds]:
                say(child.race(writer, int(rounds)))
            case ["watch", until]:
                say(child.watch(Path(until)))
            case what:
                raise SystemExit(f"{what} is not known here.")


def say(found: object) -> None:
    """Answer."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
