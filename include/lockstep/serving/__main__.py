"""`python -m lockstep.serving --registry … --model churn --digest …`: one model version, as Vertex AI runs it."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

import uvicorn

from lockstep.errors import LockstepError
from lockstep.registry import REGISTRY_VARIABLE, Registry
from lockstep.serving.version import create_version_app, load_served


def main(words: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Load the version, and serve until the process is ended; the exit status says whether it could be loaded."""
    parser = ArgumentParser(prog="python -m lockstep.serving", description=__doc__)
    parser.add_argument("--registry", default=environ.get(REGISTRY_VARIABLE), required=REGISTRY_VARIABLE not in environ)
    parser.add_argument("--model", required=True, help="the name of the model")
    parser.add_argument("--digest", required=True, help="of the version")
    everywhere = environ.get("LOCKSTEP_HOST", "0.0.0.0")  # noqa: S104  a container's port is let out by whoever runs it
    parser.add_argument("--host", default=everywhere, help="the address to listen at; by default all of them")
    asked = parser.parse_args(words)
    try:
        served = load_served(Registry.open(asked.registry), asked.model, asked.digest)
    except LockstepError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    app = create_version_app(
        served,
        health=environ.get("AIP_HEALTH_ROUTE", "/health"),
        predict=environ.get("AIP_PREDICT_ROUTE", "/predict"),
    )
    uvicorn.run(app, host=asked.host, port=int(environ.get("AIP_HTTP_PORT", "8080")), log_level="warning")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
