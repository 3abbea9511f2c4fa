"""Airflow's provider for OpenLineage, and the official client: a folder that is made when it is first needed.

Rules:
- The versions are pinned, and resolve with `requirements.txt`; they are not in it, since each task would load them.
- The official schema is taken from the folder that LOCKSTEP_OPENLINEAGE_SPEC names (a checkout's `spec`), else from
  where it is published.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.airflow.conftest import PROJECT

PACKAGES = (
    "apache-airflow-providers-openlineage==2.20.3",
    "openlineage-integration-common==1.54.0",
    "openlineage-python==1.54.0",
    "openlineage-sql==1.54.0",
)
FOLDER = PROJECT / ".cache/openlineage/2.20.3-1.54.0"
SPEC = "LOCKSTEP_OPENLINEAGE_SPEC"
PUBLISHED = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
OWN = PROJECT / "plugins/lockstep_airflow/openlineage_facets.json"


def folder() -> Path:
    """Where Python finds the provider."""
    if not FOLDER.exists():
        new = FOLDER.with_suffix(".unfinished")
        uv = Path(sys.executable).with_name("uv")
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", new]
        subprocess.run([*install, *PACKAGES], check=True)
        new.rename(FOLDER)
    return FOLDER


def spec() -> dict[str, Any] | None:
    """The official schema; None where it can't be had."""
    if given := os.environ.get(SPEC):
        return dict(json.loads(Path(given, "OpenLineage.json").read_text()))
    try:
        with urllib.request.urlopen(PUBLISHED, timeout=10) as answer:
            return dict(json.load(answer))
    except (OSError, urllib.error.URLError):
        return None


def facet_schemas() -> list[dict[str, Any]]:
    """The official schemas of facets, as far as they are at hand."""
    given = os.environ.get(SPEC)
    return [json.loads(path.read_text()) for path in Path(given, "facets").glob("*.json")] if given else []
