"""`python -m demo`: start Airflow on this machine, play the story, and leave the UI up until Ctrl-C."""

import argparse
import json
import os
import shlex
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from demo import signals
from demo.customers import Customers, OwnFile, Simulated, write_biopsies
from demo.rest import RestError, RunNotFinished
from demo.screen import Screen
from demo.service import Service, ServiceFailed
from demo.standalone import Standalone, StandaloneFailed
from demo.story import Story, StoryFailed
from demo.surroundings import Surroundings, alone, on_loopback
from lockstep.errors import LockstepError
from lockstep.registry import Registry
from loopback.servers import ProgramMissing

ROOT = Path(__file__).resolve().parents[1]
DAGS = (
    *(f"churn_{what}" for what in ("retrain", "promote", "release", "rollback", "resume", "watch")),
    *(f"biopsy_{what}" for what in ("retrain", "promote", "release", "rollback", "resume")),
)


def main() -> int:
    """Play the demo; the exit status is 0 if the whole story came true."""
    options = _options()
    customers: Customers = OwnFile(options.customers) if options.customers else Simulated()
    folder = options.folder or ROOT / ".lockstep" / f"demo-{datetime.now():%Y-%m-%dT%H-%M-%S}"  # noqa: DTZ005  a name for a person
    screen = Screen()
    place = on_loopback(folder) if options.cloud else alone(folder)
    try:
        with signals.ending(), place as surroundings:
            _play(screen, customers, folder, surroundings, leave=options.exit)
    except ProgramMissing as error:
        print(f"The cloud on this machine needs a program more. {error}", file=sys.stderr)
        return 2
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
    parser.add_argument(
        "--cloud", choices=["loopback"], help="registry in a bucket, training on Vertex AI: servers here stand for them"
    )
    parser.add_argument("--folder", type=Path, help="where to keep registry, data and Airflow's files; a new folder")
    return parser.parse_args()


def _file(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file; name a CSV file.")
    return path


def _play(screen: Screen, customers: Customers, folder: Path, surroundings: Surroundings, *, leave: bool) -> None:
    registry_uri, data = surroundings.registry, folder / "data"
    (data / "customers").mkdir(parents=True, exist_ok=True)
    write_biopsies(data / "biopsies")
    variables = {
        **surroundings.variables,
        "LOCKSTEP_REGISTRY": registry_uri,
        "LOCKSTEP_DATA": str(data.absolute()),
    }
    include = ROOT / "include"
    environment = {**os.environ, **variables, "PYTHONPATH": str(include)}
    os.environ.update(surroundings.variables)  # this process reads the registry, too
    with ExitStack() as stack:
        airflow = Standalone(
            home=folder / "airflow",
            dags=ROOT / "dags",
            plugins=ROOT / "plugins",
            include=[include, ROOT / "plugins"],
            expected=DAGS,
            variables=variables,
            timeout=240,
        )
        screen.title("0. Airflow starts on this machine")
        with screen.waiting("Airflow starts"):
            stack.enter_context(airflow)
        screen.say(f"Airflow {airflow.rest.version()} is ready at {airflow.url}")
        screen.show(f"user {airflow.user}, password {airflow.password}; everything it writes is in {folder}")
        _say_where(airflow, surroundings, screen)
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
            surroundings=surroundings,
        ).play()
        screen.title("The story is true")
        if leave:
            return
        print(f"Airflow's UI    {airflow.url}  (user {airflow.user}, password {airflow.password})")
        print(f"decision API    {service.url}/docs")
        said = folder / "environment"
        said.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
        print(f"command line    . {said}; .venv/bin/lockstep status")
        print("Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(3600)


def _say_where(airflow: Standalone, surroundings: Surroundings, screen: Screen) -> None:
    """Set Airflow's variables, and let Lockstep show what follows from them."""
    for sentence in surroundings.describe():
        screen.show(sentence)
    for name, value in surroundings.said.items():
        airflow.rest.set_variable(name, value)
        screen.say(f"Airflow's variable {name} says {value}")
    if not surroundings.said:
        return
    with screen.waiting("where everything would run"):
        shown = airflow.run("-m", "lockstep_airflow", "config", "churn", "--json")
    if shown.returncode:
        raise StoryFailed(f"`airflow lockstep config churn` found something missing: {shown.stdout}{shown.stderr}")
    screen.say("`airflow lockstep config churn` shows what follows from that, and who says what")
    (group,) = json.loads(shown.stdout)["groups"]
    for node in (*group["datasets"], *group["models"]):
        said = {name: setting["source"] for name, setting in node["settings"].items() if setting["value"] is not None}
        screen.show(f"{node['name']}: {node['place']}")
        screen.show(f"  {', '.join(f'{name} by {source}' for name, source in said.items())}")


if __name__ == "__main__":
    sys.exit(main())
