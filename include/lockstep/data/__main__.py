"""`python -m lockstep.data --spec <address>`: submit the pipeline of a snapshot that was begun elsewhere.

Rules:
- The address is that of the spec in the registry's scratch; all other words are options of the Beam pipeline.
- An error of ours is left in the scratch, beside those of workers.
- It is done when the job is submitted: whoever began the snapshot waits for the job, and finishes the snapshot.
"""

import argparse
import logging
import sys
from typing import Final

from lockstep.data.engines import Runner
from lockstep.data.pipeline import build_pipeline, error_file, is_open
from lockstep.data.taking import SPEC, read_taking
from lockstep.errors import LockstepError, UsageError
from lockstep.registry import Objects

_SCRATCH: Final = "/scratch/"


def main(arguments: list[str] | None = None) -> int:
    """Submit, and tell how it went."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep.data",
        description="Submit the pipeline of a snapshot. Other options go to Beam.",
        allow_abbrev=False,
    )
    parser.add_argument("--spec", required=True, help="address of scratch/…/spec.json in a registry")
    parser.add_argument("--runner", required=True, help="name of the Beam runner")
    chosen, options = parser.parse_known_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        submit(chosen.spec, Runner(name=chosen.runner, options=tuple(options)))
    except LockstepError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


def submit(spec: str, runner: Runner) -> None:
    """Build the pipeline, and start it.

    Raises:
        UsageError: the address is none of a spec.
        ObjectMissing: the snapshot was given up meanwhile.
    """
    uri, found, run = spec.removesuffix(f"/{SPEC}").rpartition(_SCRATCH)
    if not found or not spec.endswith(f"/{SPEC}") or "/" in run:
        raise UsageError(f"--spec {spec}: the form is <registry>/scratch/<run>/{SPEC}.")
    scratch = f"{_SCRATCH.strip('/')}/{run}"
    objects = Objects.open(uri)
    try:
        taking = read_taking(objects, scratch)
        pipeline = build_pipeline(taking.dataset, list(taking.files), uri=uri, scratch=scratch, runner=runner)
    except LockstepError as error:
        if is_open(objects, scratch):
            objects.put(*error_file(scratch, error))
        raise
    result = pipeline.run()
    if (number := getattr(result, "job_id", None)) is not None:
        sys.stdout.write(f"Created job with id: [{number()}]\n")  # as Airflow's provider looks for it


if __name__ == "__main__":
    sys.exit(main())
