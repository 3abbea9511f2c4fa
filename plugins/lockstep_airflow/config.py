"""`airflow lockstep config`: as `lockstep config`, with what DAG files, Airflow's variables and its connections say.

Rules:
- DAG files are parsed here, as the DAG processor does it; nothing is opened or submitted.
- The environment is that of this process: run it where the workers run.
- stdout holds the result alone; what parsing logs goes to stderr.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import DAG, Variable

from lockstep.cli import say
from lockstep.cli.config import Setup, as_text, document
from lockstep.errors import UsageError
from lockstep.switch import AIRFLOW_ENGINE, AIRFLOW_REGISTRY, AIRFLOW_WHERE, registry_of
from lockstep_airflow.snapshot import SnapshotOperator
from lockstep_airflow.switch import said
from lockstep_airflow.train import TrainOperator


def show(arguments: Namespace) -> None:
    """Print where each model and dataset of the DAG files would run.

    Ends with status 1 if something is missing or a file can't be imported, and with 2 if no file builds the group.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"  # as `airflow connections` does: the database is asked directly
    with _stdout_kept():
        bags = list(_bags())
        setups = list(setups_of(dag for bag in bags for dag in bag.dags.values()))
        chosen = [one for one in setups if arguments.group in (None, one.group.name)]
        if not chosen:
            names = ", ".join(one.group.name for one in setups)
            say.message(f'lockstep: no DAG file builds release group "{arguments.group}"; there are {names or "none"}.')
            sys.exit(UsageError.exit_status)
        found = document(chosen)
    say.result(found, as_text(found), as_json=arguments.json)
    if not found["complete"] or any(bag.import_errors for bag in bags):
        sys.exit(1)


@contextmanager
def _stdout_kept() -> Iterator[None]:
    """Let all that is written to stdout go to stderr, also by a logger that has taken hold of stdout before."""
    sys.stdout.flush()
    kept = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, sys.stdout.fileno())
        os.close(kept)


def setups_of(dags: Iterable[DAG]) -> Iterator[Setup]:
    """What each retraining DAG was given by `release_dags`, and what Airflow and the environment add to it."""
    for dag in dags:
        training = next((task for task in dag.tasks if isinstance(task, TrainOperator)), None)
        snapshot = next((task for task in dag.tasks if isinstance(task, SnapshotOperator)), None)
        if training is None or snapshot is None:
            continue
        yield Setup(
            graph=training.graph,
            group=training.graph.group_of(training.model),
            registry=registry_of(dags=training.registry, variable=Variable.get(AIRFLOW_REGISTRY, default=None) or ""),
            where=said(AIRFLOW_WHERE, dags=training.where_of_dags),
            engine=said(AIRFLOW_ENGINE, dags=snapshot.engine_of_dags),
        )


def _bags() -> Iterator[BundleDagBag]:
    """The DAG files of each bundle (by default: the folder of DAGs), parsed."""
    for bundle in DagBundlesManager().get_all_dag_bundles():  # type: ignore[no-untyped-call]  # no annotations
        bundle.initialize()
        bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        for file, trace in bag.import_errors.items():
            say.message(f"lockstep: {file} can't be imported: {trace.strip().splitlines()[-1]}")
        yield bag
