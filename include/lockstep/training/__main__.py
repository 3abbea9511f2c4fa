"""`python -m lockstep.training --spec URI`: what a job in the cloud runs.

Rules:
- It needs neither Airflow nor Beam, nor any declaration.
- The last line of its output is one JSON document: the version.
- An error is told with its stack trace, and ends with exit status 1.
"""

import argparse
import json
import sys
import traceback

from lockstep.training.job import run_spec


def main(arguments: list[str] | None = None) -> int:
    """Run the job; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lockstep.training", description="Trains what a spec says.")
    parser.add_argument("--spec", required=True, metavar="URI", help="address of the spec in the registry")
    uri = parser.parse_args(arguments).spec
    try:
        done = run_spec(uri)
    except Exception:  # noqa: BLE001  whatever it is, the job's log has to say it, and the job has to fail
        traceback.print_exc()
        return 1
    print(json.dumps(done, ensure_ascii=False))  # noqa: T201  read by a person in the job's log
    return 0


if __name__ == "__main__":
    sys.exit(main())
