"""Airflow's API server alone, in a process of its own: a database, the DAGs of some module, and nothing that runs them.

`python -m bench.ui.child MODULE [COMMANDS]` prints its port when it is there. `MODULE.dags()` gives its DAGs. Then each
line that comes in, as {"do": "name", "with": {…}}, is done by a function of the module COMMANDS, and answered with a
line of JSON. It ends with its input.
"""

import json
import logging
import os
import socket
import sys
import threading
import time
from importlib import import_module
from typing import Any


def main() -> None:
    """Prepare, serve, and do what is asked for."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Airflow prints goes elsewhere
    module, commands = import_module(sys.argv[1]), [import_module(name) for name in sys.argv[2:]]
    write_dags(module.dags())
    server, port = serving()
    threading.Thread(target=server.run, kwargs={"sockets": [port]}, daemon=True).start()
    print(port.getsockname()[1], file=told, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        found = next(
            getattr(one, asked["do"]) for one in (*commands, sys.modules[__name__]) if hasattr(one, asked["do"])
        )
        print(json.dumps(found(**asked["with"]), default=str), file=told, flush=True)


def spent() -> float:
    """Seconds of the processor that this process has used."""
    return time.process_time()


def write_dags(dags: dict[str, Any]) -> None:
    """Make the database, or go on with the one that is there, and put the DAGs into it as the DAG processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]  # no annotations
    lazy = [LazyDeserializedDAG.from_dag(dag) for dag in dags.values()]
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, lazy, session=session)
        session.flush()
        for one in lazy:
            SerializedDagModel.write_dag(one, bundle_name="dags-folder", session=session)


def serving() -> tuple[Any, socket.socket]:
    """The server, and the port that it will listen at."""
    import uvicorn
    from airflow.api_fastapi.app import create_app

    port = socket.socket()
    port.bind(("127.0.0.1", 0))
    port.listen()  # who comes early waits
    app = create_app()
    logging.disable(logging.INFO)  # a line for each request
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)), port


if __name__ == "__main__":
    main()
