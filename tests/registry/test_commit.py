"""What a job's record says of its code and its log."""

import os
import subprocess
from pathlib import Path

import pytest

from lockstep.registry import commit_of
from lockstep.registry.commit import COMMIT_VARIABLE, public_address


@pytest.mark.parametrize(
    ("log", "public"),
    [
        ("logs/run/1.log", "logs/run/1.log"),
        ("/var/log/a b?token=x", "/var/log/a b?token=x"),
        ("", ""),
        (
            "https://airflow.example/dags/churn/runs/manual__1/tasks/train?try_number=2&map_index=0",
            "https://airflow.example/dags/churn/runs/manual__1/tasks/train?try_number=2&map_index=0",
        ),
        ("https://ada:planted@airflow.example:8080/log?try_number=1", "https://airflow.example:8080/log?try_number=1"),
        ("https://planted@airflow.example/log", "https://airflow.example/log"),
        ("https://airflow.example/log?token=planted&try_number=1", "https://airflow.example/log?try_number=1"),
        ("https://a.example/log?X-Amz-Signature=planted&X-Amz-Credential=planted", "https://a.example/log"),
        ("https://a.example/log?sig=planted&api_key=planted&key=planted&page=2", "https://a.example/log?page=2"),
        ("https://a.example/log#access_token=planted", "https://a.example/log"),
        ("https://[planted", ""),
    ],
)
def test_the_address_of_a_log_holds_no_secret(log: str, public: str) -> None:
    """User, password, fragment, and what may be a secret in the query are gone; all that finds the log is kept."""
    assert public_address(log) == public


def test_a_commit_is_that_of_the_folder_and_says_if_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git it is what the variable says, or nothing."""
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    assert commit_of(tmp_path) == ""
    person = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    (tmp_path / "a.py").write_text("ONE = 1\n", encoding="utf-8")
    for words in (("init", "--quiet"), ("add", "a.py"), (*person, "commit", "--quiet", "--message", "one")):
        subprocess.run(["/usr/bin/env", "git", "-C", str(tmp_path), *words], check=True)
    commit = commit_of(tmp_path)
    assert len(commit) == 40
    (tmp_path / "a.py").write_text("ONE = 2\n", encoding="utf-8")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    monkeypatch.setenv("PATH", os.devnull)
    assert commit_of(tmp_path) == ""
    monkeypatch.setenv(COMMIT_VARIABLE, "c0ffee")
    assert commit_of(tmp_path) == "c0ffee"
