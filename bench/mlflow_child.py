"""Runs in MLflow's environment: a registry on SQLite, one job per line of standard input, one JSON line as answer.

Rules:
- A round does what comes nearest to a release: a new version of each model, then the alias "production" of each.
- Tables, registered models and the client are made before the first round.
"""

import json
import sys
import time
from pathlib import Path

from mlflow.tracking import MlflowClient

ALIAS = "production"


def main(folder: Path, models: int) -> None:
    """Answer until standard input ends."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    names = [f"model_{number}" for number in range(models)]
    known = {model.name for model in client.search_registered_models()}
    for name in names:
        if name not in known:
            client.create_registered_model(name)
    say({"ready": True})
    for line in sys.stdin:
        match line.strip():
            case "aliases":
                say({name: int(client.get_model_version_by_alias(name, ALIAS).version) for name in names})
            case what:
                release(client, names, folder, hang_after=2 if what == "half" else None)


def release(client: MlflowClient, names: list[str], folder: Path, *, hang_after: int | None) -> None:
    """One round, with its times in seconds."""
    began = time.perf_counter()
    made = [client.create_model_version(name, source=(folder / name).as_uri()).version for name in names]
    versions_done = time.perf_counter()
    for place, (name, version) in enumerate(zip(names, made, strict=True)):
        if place == hang_after:
            say({"aliases_set": place, "new": int(version)})
            time.sleep(3600)
        client.set_registered_model_alias(name, ALIAS, version)
    done = time.perf_counter()
    say({"versions": versions_done - began, "aliases": done - versions_done})


def say(found: dict[str, object]) -> None:
    """Answer."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
