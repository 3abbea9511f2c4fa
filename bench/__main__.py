"""`python -m bench [a|b|c|d|e|f|g|h|i|j|k|l|m|n …] [--small] [--json FILE]`; all of them by default.

a = registry alone, b = parsing, c = latency, d = a long log, e = sixteen writers, f = registry in clouds (emulated),
g = preprocessing, h = deployment on Vertex AI (emulated), i = serving, j = drift,
k = the web UI's routes, l = a thousand groups and their waiting gates on docker-compose's services,
m = from new data to a release of five models on the same services, n = the web UI's pages in a browser.

Run it on an idle machine, with PYTHONPATH=include:plugins:. where the project is not installed.
"""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from bench import deployment, latency, parsing
from bench.drift import compare as drift
from bench.orchestration import gates, story
from bench.preprocess import compare
from bench.registry import alone, clouds, crowd, opening
from bench.serving import compare as serving
from bench.ui import browser
from bench.ui import compare as ui

BENCHMARKS = {"a": alone.run, "b": parsing.run, "c": latency.run, "d": opening.run, "e": crowd.run, "f": clouds.run}
BENCHMARKS |= {
    "g": compare.run,
    "h": deployment.run,
    "i": serving.run,
    "j": drift.run,
    "k": ui.run,
    "l": gates.run,
    "m": story.run,
    "n": browser.run,
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], help="which, by letter")
    parser.add_argument(
        "--small", action="store_true", help="few repetitions, small inputs: a check, not a measurement"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    chosen = parser.parse_args()
    found: dict[str, Any] = {"cpus": os.cpu_count(), "python": platform.python_version(), "small": chosen.small}
    for letter in chosen.which or BENCHMARKS:
        report = BENCHMARKS[letter](small=chosen.small)
        print(f"{letter}. {report.as_text()}\n", flush=True)
        found[letter] = report.as_json()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
