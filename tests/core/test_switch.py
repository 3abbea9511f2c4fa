"""The switch: one order of sources, and what is refused before anything is submitted."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep import csv, dataflow, direct, flink, local, portable, vertex
from lockstep.declare import Dataset, Model
from lockstep.errors import UsageError
from lockstep.places import Engine, Where
from lockstep.switch import (
    Named,
    Said,
    address_for_job,
    check_reach,
    engine_of,
    registry_of,
    settle_engine,
    settle_where,
    where_of,
)

COLUMNS: Mapping[str, Any] = {"yes": bool}
BUCKET = "gs://shop-ml/lockstep"


def rows(engine: Engine | None = None) -> Dataset:
    """Declare a dataset."""
    return Dataset("rows", source=csv("rows.csv"), key="id", columns=COLUMNS, engine=engine)


def churn(where: Where | None = None) -> Model:
    """Declare a model."""
    return Model("churn", data=rows(), target="yes", estimator=object, where=where)


def google(name: str) -> dict[str, str]:
    """Stand for an Airflow connection that says project and region."""
    return {"project": f"{name}-project", "region": f"{name}-region"}


SOURCES = (
    "the run",
    'Model "churn"',
    "release_dags",
    "Airflow variable lockstep_where",
    "environment LOCKSTEP_WHERE",
    "environment GOOGLE_CLOUD_REGION",
    "connection google_cloud_default",
)


@given(st.sets(st.sampled_from(range(len(SOURCES)))), st.integers(0, 4))
def test_the_strongest_source_that_says_it_counts(saying: set[int], chooser: int) -> None:
    """Whichever sources name a region, and whichever says that it is Vertex AI: the region is that of the strongest."""
    saying_regions = saying - {5, 6}
    texts = [
        f"vertex(region=r{number})" if number in saying_regions else "vertex" if number == chooser else ""
        for number in range(5)
    ]
    places = [vertex(region=f"r{n}") if n in saying_regions else vertex() if n == chooser else None for n in range(5)]
    settled = settle_where(
        churn(places[1]),
        Said(
            run=texts[0],
            dags=places[2],
            variable=texts[3],
            environ={"LOCKSTEP_WHERE": texts[4]} | ({"GOOGLE_CLOUD_REGION": "r5"} if 5 in saying else {}),
            connection=lambda _: {"region": "r6"} if 6 in saying else {},
        ),
    )
    assert isinstance(settled.place, type(vertex()))
    assert settled.place.region == (f"r{min(saying)}" if saying else None)
    assert settled.sources.get("region") == (SOURCES[min(saying)] if saying else None)
    assert settled.sources["kind"] == SOURCES[min(saying_regions | {chooser})]


def test_nothing_said_is_this_machine() -> None:
    """Where nobody says anything, training is local and Beam runs in the process that asks; no connection is asked."""
    said = Said(environ={}, connection=lambda name: pytest.fail(f"{name} was asked"))
    assert str(where_of(churn(), said, registry="memory://shop")) == "local() (default says kind)"
    assert engine_of(rows(), said, registry="memory://shop").place == direct()


def test_a_run_can_bring_everything_home() -> None:
    """`local` in the run's form wins over every other source, and leaves none of their settings."""
    said = Said(
        run="local",
        dags=vertex(project="p"),
        variable="vertex",
        environ={"LOCKSTEP_WHERE": "vertex"},
        connection=google,
    )
    assert settle_where(churn(vertex(region="r")), said).place == local()


def test_defaults_of_vertex_and_dataflow() -> None:
    """A job on Vertex AI has a machine, and in Airflow a connection; Dataflow chooses its machines itself."""
    said = Said(run="vertex(project=p, region=r)", environ={})
    assert settle_where(churn(), said).place == vertex(project="p", region="r", machine="n2-standard-4")
    said = Said(run="dataflow", environ={}, connection=google)
    assert settle_engine(rows(), said).place == dataflow(
        project="google_cloud_default-project", region="google_cloud_default-region", connection="google_cloud_default"
    )


def test_the_connection_that_is_named_is_asked() -> None:
    """A connection that some source names is asked for what is still open, and is named as its source."""
    said = Said(variable="vertex(connection=shop, region=here)", environ={}, connection=google)
    settled = where_of(churn(), said, registry=BUCKET)
    assert settled.place == vertex(project="shop-project", region="here", machine="n2-standard-4", connection="shop")
    assert settled.sources["project"] == "connection shop"
    assert settled.sources["connection"] == "Airflow variable lockstep_where"


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (Said(run="vertx"), 'The run: where "vertx" is unknown. Choose one of local, vertex.'),
        (Said(variable="vertex(", environ={}), 'Airflow variable lockstep_where: where "vertex(": the form is'),
        (Said(environ={"LOCKSTEP_WHERE": "direct"}), 'Environment LOCKSTEP_WHERE: where "direct" is unknown.'),
    ],
)
def test_a_source_that_cannot_be_read_is_named(said: Said, says: str) -> None:
    """A text that is no place is wrong use, and the message begins with who said it."""
    with pytest.raises(UsageError) as refused:
        settle_where(churn(), said)
    assert str(refused.value).startswith(says)


def test_engines_have_sources_of_their_own() -> None:
    """The dataset, the variable lockstep_engine and LOCKSTEP_ENGINE say the engine; those of training say nothing."""
    environ = {"LOCKSTEP_ENGINE": "flink(parallelism=2)", "LOCKSTEP_WHERE": "vertex"}
    said = Said(variable="flink(master=m:8081)", environ=environ)
    settled = settle_engine(rows(), said)
    assert settled.place == flink(master="m:8081", parallelism=2)
    assert settled.sources["kind"] == "Airflow variable lockstep_engine"
    assert settle_engine(rows(direct(workers=3)), said).place == direct(workers=3)
    assert settle_engine(rows(direct()), said).sources == {"kind": 'Dataset "rows"'}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (("gs://run", "gs://dags", "gs://variable", "gs://environment"), Named("gs://run", "the run")),
        ((" ", "gs://dags", "gs://variable", "gs://environment"), Named("gs://dags", "release_dags")),
        (
            ("", None, " gs://variable ", "gs://environment"),
            Named("gs://variable", "Airflow variable lockstep_registry"),
        ),
        (("", "", "", "gs://environment"), Named("gs://environment", "environment LOCKSTEP_REGISTRY")),
        (("", None, "", ""), None),
    ],
)
def test_the_strongest_source_names_the_registry(said: tuple[str, str | None, str, str], named: Named | None) -> None:
    """A registry is that of the run, of `release_dags`, of Airflow's variable or of the environment, in this order."""
    run, dags, variable, environment = said
    assert registry_of(run=run, dags=dags, variable=variable, environ={"LOCKSTEP_REGISTRY": environment}) == named


# ------------------------------------------------------------------------------------------ what is never submitted


def test_a_missing_setting_is_refused() -> None:
    """A place that lacks something never leaves the switch, and the message names the node."""
    with pytest.raises(UsageError, match=r'Model "churn": vertex\(machine=n2-standard-4\) lacks project and region'):
        where_of(churn(vertex()), Said(environ={}), registry=BUCKET)
    with pytest.raises(UsageError, match=r'Dataset "rows": dataflow\(project=p\) lacks region and temp'):
        engine_of(rows(dataflow(project="p")), Said(environ={}), registry=BUCKET)


VERTEX, DATAFLOW = vertex(project="p", region="r"), dataflow(project="p", region="r", temp="gs://shop-ml/temp")
LOOPBACK, POOL = portable(endpoint="h:1"), portable(endpoint="h:1", environment="EXTERNAL:h:2")


@pytest.mark.parametrize(
    ("place", "registry"),
    [
        *((place, BUCKET) for place in (local(), direct(), VERTEX, DATAFLOW, LOOPBACK, POOL, flink(master="h:1"))),
        *((place, "memory://shop") for place in (local(), direct(), LOOPBACK, flink(master="h:1"))),
        *((place, "file:///srv/lockstep") for place in (local(), direct(), LOOPBACK, POOL)),
        (POOL, "s3://shop-ml/lockstep"),
        (VERTEX, "gs://my_google@shop-ml/lockstep"),
    ],
)
def test_a_registry_in_reach_passes(place: Where | Engine, registry: str) -> None:
    """Google's jobs reach buckets of Google; a cluster's workers a folder or any bucket; this process everything."""
    check_reach(place, "somebody", registry)


@pytest.mark.parametrize(
    ("place", "registry", "says"),
    [
        (VERTEX, "file:///srv/lockstep", 'registry "file:///srv/lockstep" (local disk) can\'t be reached from vertex('),
        (VERTEX, "s3://shop-ml", "A job of Vertex AI holds Google's credentials alone: the registry has to be gs://"),
        (VERTEX, "memory://shop", "Name such a registry, or say local()"),
        (DATAFLOW, "az://shop-ml/a", "A job of Dataflow holds Google's credentials alone"),
        (DATAFLOW, "/srv/lockstep", "Name such a registry, or say direct()"),
        (POOL, "memory://shop", "Workers in other processes share no memory"),
        (flink(master="h:1", environment="DOCKER:image"), "memory://shop", "a shared folder or a bucket"),
    ],
)
def test_a_registry_out_of_reach_is_refused(place: Where | Engine, registry: str, says: str) -> None:
    """Before anything is submitted, a registry that the job could not open is refused with those that would do."""
    with pytest.raises(UsageError) as refused:
        check_reach(place, 'Model "churn"', registry)
    assert str(refused.value).startswith('Model "churn": registry "')
    assert "and nothing was submitted" in str(refused.value)
    assert says in str(refused.value)


def test_a_job_opens_the_registry_without_airflow() -> None:
    """The address for a job names no Airflow connection, and is the same otherwise."""
    assert address_for_job("gs://my_google@shop-ml/a/b") == "gs://shop-ml/a/b"
    assert address_for_job("gs://shop-ml/a/b") == "gs://shop-ml/a/b"
    assert address_for_job("file:///srv/a@b") == "file:///srv/a@b"
