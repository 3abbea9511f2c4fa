"""`python -m demo`: start Airflow on this machine, play the story, and leave the UI up until Ctrl-C."""

import argparse
import os
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from demo.customers import Customers, OwnFile, Simulated, write_biopsies
from demo.rest import RestError, RunNotFinished
from demo.screen import Screen
from demo.service import Service, ServiceFailed
from demo.standalone import Standalone, StandaloneFailed
from demo.story import Story, StoryFailed
from lockstep.errors import LockstepError
from lockstep.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
DAGS = tuple(
    f"{group}_{what}" for group in ("churn", "biopsy") for what in ("retrain", "promote", "release", "rollback")
)


def main() -> int:
    """Play the demo; the exit status is 0 if the whole story came true."""
    options = _options()
    customers: Customers = OwnFile(options.customers) if options.customers else Simulated()
    folder = options.folder or ROOT / ".lockstep" / f"demo-{datetime.now():%Y-%m-%dT%H-%M-%S}"  # noqa: DTZ005  a name for a person
    screen = Screen()
    try:
        _play(screen, customers, folder, leave=options.exit)
    except (StoryFailed, StandaloneFailed, ServiceFailed, RunNotFinished, RestError, LockstepError) as error:
        print(f"\nThe demo failed: {error}\nWhat it left is in {folder}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Lockstep's main job, played on a real Airflow."
    )
    parser.add_argument("--exit", action="store_true", help="end after the story instead of leaving the UI up")
    parser.add_argument(
        "--customers", type=_file, metavar="PATH.csv", help="a real file in the columns of IBM's Telco churn data"
    )
    parser.add_argument("--folder", type=Path, help="where to keep registry, data and Airflow's files; a new folder")
    return parser.parse_args()


def _file(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file; name a CSV file.")
    return path


def _play(screen: Screen, customers: Customers, folder: Path, *, leave: bool) -> None:
    registry_uri, data = (folder / "registry").absolute().as_uri(), folder / "data"
    (data / "customers").mkdir(parents=True, exist_ok=True)
    write_biopsies(data / "biopsies")
    variables = {"LOCKSTEP_REGISTRY": registry_uri, "LOCKSTEP_DATA": str(data.absolute())}
    include = ROOT / "include"
    environment = {**os.environ, **variables, "PYTHONPATH": str(include)}
    with ExitStack() as stack:
        airflow = Standalone(
            home=folder / "airflow",
            dags=ROOT / "dags",
            plugins=ROOT / "plugins",
            include=[include, ROOT / "plugins"],
            expected=DAGS,
            variables=variables,
        )
        screen.title("0. Airflow starts on this machine")
        with screen.waiting("Airflow starts"):
            stack.enter_context(airflow)
        screen.say(f"Airflow {airflow.rest.version()} is ready at {airflow.url}")
        screen.show(f"user {airflow.user}, password {airflow.password}; everything it writes is in {folder}")
        service = Service(registry=registry_uri, environment=environment, log_file=folder / "serve.log")
        stack.enter_context(service)
        Story(
            rest=airflow.rest,
            registry=Registry.open(registry_uri),
            service=service,
            screen=screen,
            customers=customers,
            folder=data / "customers",
            environment=environment,
        ).play()
        screen.title("The story is true")
        if leave:
            return
        print(f"Airflow's UI    {airflow.url}  (user {airflow.user}, password {airflow.password})")
        print(f"decision API    {service.url}/docs")
        print(f"command line    LOCKSTEP_REGISTRY={registry_uri} .venv/bin/lockstep status")
        print("Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
