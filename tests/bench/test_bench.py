"""The benchmarks run, and say what they found; how fast they are is not tested."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Report = dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    """Run a benchmark by its letter, once, with few repetitions, and give what it wrote."""
    reports: dict[str, Report] = {}

    def run(letter: str) -> Report:
        if letter not in reports:
            file = tmp_path_factory.mktemp("bench") / "found.json"
            path = os.pathsep.join(str(ROOT / folder) for folder in ("include", "plugins", "."))
            command = [sys.executable, "-m", "bench", letter, "--small", "--json", str(file)]
            ended = subprocess.run(
                command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, ended.stderr[-3000:]
            reports[letter] = json.loads(file.read_text())[letter]
        return reports[letter]

    return run


def figures(report: Report) -> list[dict[str, Any]]:
    """The rows that have a peer; each row holds a figure of ours."""
    assert all(math.isfinite(row["ours"]) and row["ours"] > 0 for row in report["rows"])
    return [row for row in report["rows"] if row["peer"] is not None]


@pytest.mark.airflow
@pytest.mark.slow
def test_parsing_is_set_beside_handwritten_dags(found: Callable[[str], Report]) -> None:
    """The parsing benchmark gives finite ratios to the peer, for files and for one task."""
    rows = figures(found("b"))
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert {row["what"].partition(":")[0] for row in rows} == {"20 groups", "one task of 20"}
    assert all(aim["value"] is not None for aim in found("b")["aims"])


@pytest.mark.slow
def test_a_release_is_set_beside_mlflow_or_says_how_to_install_it(found: Callable[[str], Report]) -> None:
    """The registry benchmark gives finite ratios, or the line that installs its peer."""
    rows = figures(found("a"))
    if not rows:
        assert any("uv pip install" in note for note in found("a")["notes"])
        pytest.skip("MLflow's environment is not there and can't be made")
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert any("beside SQLite" in row["what"] for row in rows)
    assert any("half released" in note for note in found("a")["notes"])


@pytest.mark.slow
def test_a_killed_release_leaves_no_mixture(found: Callable[[str], Report]) -> None:
    """Wherever the releasing process was killed, production is the old or the new release."""
    assert any(note.endswith(" 0 times a mixture.") for note in found("a")["notes"])


@pytest.mark.slow
def test_a_long_log_is_opened_with_a_checkpoint_and_followed_with_one_request(found: Callable[[str], Report]) -> None:
    """The log benchmark compares with a table and with no checkpoint, and counts one request where nothing is new."""
    assert len(figures(found("d"))) == 4
    assert all(aim["met"] for aim in found("d")["aims"])


@pytest.mark.slow
def test_of_writers_that_race_none_loses_a_release(found: Callable[[str], Report]) -> None:
    """Where several processes release the same models, ours loses none, and none is half done at any reading."""
    assert [aim["met"] for aim in found("e")["aims"]] == [True]


@pytest.mark.slow
def test_in_each_cloud_that_is_there_no_release_is_half_done(found: Callable[[str], Report]) -> None:
    """Against every server that is installed, alone and with several writers, releases are whole."""
    report = found("f")
    missing = [note for note in report["notes"] if " is missing: " in note]
    assert len(missing) + len([note for note in report["notes"] if " entries." in note]) == 4
    assert [aim["met"] for aim in report["aims"]] == [None if len(missing) == 4 else True]


@pytest.mark.slow
def test_a_deployment_is_set_beside_one_model_after_the_other(found: Callable[[str], Report]) -> None:
    """Both are measured, and ours mixes two releases for the shorter time."""
    assert len(figures(found("h"))) == 3
    assert [aim["met"] for aim in found("h")["aims"]] == [True]


@pytest.mark.slow
def test_preprocessing_is_set_beside_a_plain_script_and_rows_one_by_one(found: Callable[[str], Report]) -> None:
    """The preprocessing benchmark finds equal results on all sides, gives finite ratios, and measures memory."""
    rows = figures(found("g"))
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert {row["what"].partition(",")[0] for row in rows} >= {
        "csv: against plain polars",
        "csv: against per-row DoFns",
    }
    assert all(aim["value"] is not None for aim in found("g")["aims"])


@pytest.mark.slow
def test_serving_is_set_beside_its_peers_or_says_how_to_install_them(found: Callable[[str], Report]) -> None:
    """The serving benchmark gives finite ratios to the floor and the bare endpoint, and to MLflow where that is."""
    pytest.importorskip("skl2onnx", reason='needs the extra "onnx": pip install -e ".[onnx]"')
    rows, report = figures(found("i")), found("i")
    assert all(math.isfinite(row["ratio"]) for row in rows)
    peers = {row["what"].split(", ")[1] for row in rows if "client" in row["what"]}
    assert {"bare FastAPI", "constant FastAPI", "ours with the decision log"} <= peers
    alone = {row["what"].removesuffix(", processor time") for row in rows if "in process" in row["what"]}
    assert alone == {f"1000 rows in process, predict_proba with {frame}" for frame in ("polars", "pandas")}
    assert "MLflow" in peers or any("uv pip install" in note for note in report["notes"])


@pytest.mark.slow
def test_drift_is_set_beside_its_peers_or_says_how_to_install_them(found: Callable[[str], Report]) -> None:
    """The drift benchmark gives finite ratios to the peers that are there, and says how often ours was right."""
    rows, report = figures(found("j")), found("j")
    assert all(math.isfinite(row["ratio"]) for row in rows)
    for peer in ("evidently", "whylogs"):
        there = any(row["what"] == f"against {peer}" for row in rows)
        assert there or any(f"bench-{peer} && uv pip install" in note for note in report["notes"])
    assert any(note.startswith("ours (the verdict is drift)") and " of 1 found" in note for note in report["notes"])
    assert report["aims"][1]["value"] is not None


@pytest.mark.airflow
@pytest.mark.slow
def test_the_web_ui_is_set_beside_airflows_own_page(found: Callable[[str], Report]) -> None:
    """Each route of the web UI is measured anew, again and as 304, beside Airflow's page of DAGs."""
    report = found("k")
    rows = figures(report)
    assert len(rows) == 3 * 14
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert "951 versions" in report["title"]


@pytest.mark.airflow
@pytest.mark.slow
def test_pages_in_a_browser_are_set_beside_airflows_list(found: Callable[[str], Report]) -> None:
    """Each page is opened and the long ones are scrolled, beside Airflow's list of DAGs; changes are seen."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("install chromium: apt-get install chromium")
    rows = figures(found("n"))
    assert len(rows) == 13 + 4
    assert all(math.isfinite(row["ratio"]) for row in rows)
    assert all(aim["value"] is not None for aim in found("n")["aims"])


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_waiting_gates_are_set_beside_gates_that_each_read_for_themselves(found: Callable[[str], Report]) -> None:
    """All gates wait in one triggerer and wake; with one reader they ask the store less than the peer does."""
    rows = {row["what"]: row for row in figures(found("l"))}
    assert "promotion's entry → gate open, median" in rows
    asked = rows["requests while waiting"]
    assert asked["ours"] < asked["peer"]


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_new_data_to_a_release_is_set_beside_a_flow_written_by_hand(found: Callable[[str], Report]) -> None:
    """Both flows end in a release, and what they took is told beside their own pure computation."""
    rows = {row["what"]: row for row in figures(found("m"))}
    assert rows["released / pure computation"]["ours"] > 1
    assert rows["released / pure computation"]["peer"] > 1
    paths = [note for note in found("m")["notes"] if note.startswith("the path of")]
    assert all(note.endswith("gate → diff → release") for note in paths)
