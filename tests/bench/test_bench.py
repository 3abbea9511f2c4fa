"""The benchmarks run, and say what they found; how fast they are is not tested."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a small run of the registry and the parsing benchmark wrote."""
    file = tmp_path_factory.mktemp("bench") / "found.json"
    path = os.pathsep.join(str(ROOT / folder) for folder in ("include", "plugins", "."))
    command = [sys.executable, "-m", "bench", "a", "b", "--small", "--json", str(file)]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return dict(json.loads(file.read_text()))


def figures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows, each of which holds a figure of ours."""
    assert all(math.isfinite(row["ours"]) and row["ours"] > 0 for row in report["rows"])
    return [row for row in report["rows"] if row["peer"] is not None]


@pytest.mark.airflow
@pytest.mark.slow
def test_parsing_is_set_beside_handwritten_dags(found: dict[str, Any]) -> None:
    """The parsing benchmark gives finite ratios to the peer, for files and for one task."""
    rows = figures(found["b"])
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert {row["what"].partition(":")[0] for row in rows} == {"20 groups", "one task of 20"}
    assert all(aim["value"] is not None for aim in found["b"]["aims"])


@pytest.mark.slow
def test_a_release_is_set_beside_mlflow_or_says_how_to_install_it(found: dict[str, Any]) -> None:
    """The registry benchmark gives finite ratios, or the line that installs its peer."""
    rows = figures(found["a"])
    if not rows:
        assert any("uv pip install" in note for note in found["a"]["notes"])
        pytest.skip("MLflow's environment is not there and can't be made")
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert any("half released" in note for note in found["a"]["notes"])


@pytest.mark.slow
def test_a_killed_release_leaves_no_mixture(found: dict[str, Any]) -> None:
    """Wherever the releasing process was killed, production is the old or the new release."""
    assert any(note.endswith(" 0 times a mixture.") for note in found["a"]["notes"])
