"""`lockstep config`: where everything would run, who says so, and what is missing."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Command

OUTSIDE = ("LOCKSTEP_WHERE", "LOCKSTEP_ENGINE", "GOOGLE_CLOUD_PROJECT", "GCP_PROJECT", "GOOGLE_CLOUD_REGION")


@pytest.fixture(autouse=True)
def outside() -> Iterator[pytest.MonkeyPatch]:
    """An environment that says nothing of places, and may be told something."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (*OUTSIDE, "CLOUDSDK_COMPUTE_REGION"):
            patch.delenv(name, raising=False)
        yield patch


def test_nothing_said_is_this_machine(run: Command) -> None:
    """By default everything runs here, and each line names the default as its source."""
    done = run("config", "biopsy")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == "group biopsy"
    assert lines[1].startswith("  registry file:///")
    assert lines[1].endswith("/registry (environment LOCKSTEP_REGISTRY)")
    assert lines[2] == "  dataset biopsies: direct()"
    assert lines[3].split() == ["kind", "direct", "default"]
    assert "  model surgery: local()" in lines
    assert "airflow lockstep config" in done.err


def test_each_setting_has_its_source(run: Command, outside: pytest.MonkeyPatch) -> None:
    """As a JSON document: the place of each model and dataset, and who said each of its settings."""
    outside.setenv("LOCKSTEP_WHERE", "vertex(machine=n2-highmem-8)")
    outside.setenv("LOCKSTEP_ENGINE", "direct(workers=1)")
    outside.setenv("GOOGLE_CLOUD_PROJECT", "shop-ml")
    done = run("--registry", "gs://shop-ml/lockstep", "config", "--where", "vertex(region=us-central1)", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["complete"] is True
    (group,) = document["groups"]
    assert group["registry"] == {
        "address": "gs://shop-ml/lockstep",
        "kind": "Google Cloud Storage",
        "source": "--registry",
        "problems": [],
    }
    assert [model["name"] for model in group["models"]] == ["surgery", "second_look"]
    model = group["models"][0]
    assert model["place"] == "vertex(project=shop-ml, region=us-central1, machine=n2-highmem-8)"
    assert model["settings"] == {
        "kind": {"value": "vertex", "source": "the run"},
        "project": {"value": "shop-ml", "source": "environment GOOGLE_CLOUD_PROJECT"},
        "region": {"value": "us-central1", "source": "the run"},
        "machine": {"value": "n2-highmem-8", "source": "environment LOCKSTEP_WHERE"},
        "service_account": {"value": None, "source": None},
        "image": {"value": None, "source": None},
        "connection": {"value": None, "source": None},
    }
    (dataset,) = group["datasets"]
    assert dataset["settings"]["workers"] == {"value": 1, "source": "environment LOCKSTEP_ENGINE"}


def test_what_is_missing_is_told(run: Command, outside: pytest.MonkeyPatch) -> None:
    """Everything that would be refused before a submission is named at once, and the exit status is 1."""
    outside.setenv("LOCKSTEP_WHERE", "vertex(region=us-central1)")
    outside.setenv("LOCKSTEP_ENGINE", "dask")
    done = run("config")
    assert done.status == 1
    assert '! Dataset "biopsies": Environment LOCKSTEP_ENGINE: engine "dask": Beam\'s Dask runner gives' in done.out
    assert "lacks project, and nothing was submitted. Say vertex(project=…) in the declaration" in done.out
    assert "can't be reached from vertex(region=us-central1" in done.out
    assert run("config", "--where", "local", "--engine", "direct").status == 1  # what can't be read is wrong for all
    outside.delenv("LOCKSTEP_ENGINE")
    assert run("config", "--where", "local").status == 0


def test_an_address_with_a_secret_is_not_shown(run: Command) -> None:
    """A registry's address that holds a secret is refused, and is repeated nowhere."""
    done = run("--registry", "gs://me:hunter2@shop-ml/lockstep", "config")
    assert done.status == 1
    assert "an address holds no password" in done.out
    assert "hunter2" not in done.out + done.err
    done = run("--registry", "gs://my_google@shop-ml/lockstep", "config")
    assert "registry gs://my_google@shop-ml/lockstep (--registry)" in done.out


def test_no_registry_is_told(run: Command, outside: pytest.MonkeyPatch) -> None:
    """Without a registry the places are shown all the same, and where to name one."""
    outside.delenv("LOCKSTEP_REGISTRY")
    done = run("config")
    assert done.status == 1
    assert "! No registry is named. Set LOCKSTEP_REGISTRY or the Airflow variable lockstep_registry, or" in done.out
    assert "  model surgery: local()" in done.out
