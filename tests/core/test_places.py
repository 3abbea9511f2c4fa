"""Places: their text form, what is refused, and the order in which they are settled."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep import csv, dataflow, direct, flink, local, portable, vertex
from lockstep.declare import Dataset, Model
from lockstep.errors import DeclarationError, UsageError
from lockstep.places import (
    ENGINE_VARIABLE,
    WHERE_VARIABLE,
    Layer,
    Place,
    Settled,
    check_complete,
    engine_pattern,
    environment_layers,
    parse_engine,
    parse_where,
    settle,
    where_pattern,
)

WHERE, ENGINES = (local, vertex), (direct, portable, flink, dataflow)
COLUMNS: Mapping[str, Any] = {"yes": bool}


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Whatever a setting of that name may hold."""
    if name in ("workers", "parallelism"):
        return st.integers(min_value=1, max_value=10**9 - 1)
    text = st.text(min_size=1).map(str.strip).filter(str.isprintable).filter(bool)
    return text.filter(lambda value: not ('"' in value and "'" in value))


def places(kinds: tuple[type[Place], ...]) -> st.SearchStrategy[Place]:
    """Places of these kinds, with any of their settings given."""
    return st.one_of(
        st.fixed_dictionaries({}, optional={item.name: values_of(item.name) for item in fields(kind)}).map(
            lambda given, kind=kind: kind(**given)  # type: ignore[misc]
        )
        for kind in kinds
    )


# ----------------------------------------------------------------------------------------------------------- text form


@given(places(WHERE))
def test_what_is_written_is_read_as_the_same_place(place: Place) -> None:
    """Any place for training, written as text, is read as an equal one."""
    assert parse_where(str(place)) == place


@given(places(ENGINES))
def test_what_is_written_is_read_as_the_same_engine(place: Place) -> None:
    """Any engine, written as text, is read as an equal one."""
    assert parse_engine(str(place)) == place


@given(st.text())
def test_any_text_is_a_place_or_wrong_use(text: str) -> None:
    """Whatever somebody types is read, or refused with an error of ours."""
    for parse in (parse_where, parse_engine):
        for typed in (text, f"vertex({text})", f"dataflow(workers={text})"):
            try:
                found = parse(typed)
            except UsageError:
                continue
            assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("local", local()),
        (" local ( ) ", local()),
        ("vertex", vertex()),
        ("vertex(project=shop-ml, region=europe-west1)", vertex(project="shop-ml", region="europe-west1")),
        ("vertex( project = shop-ml ,region='europe-west1', )", vertex(project="shop-ml", region="europe-west1")),
        ('vertex(image="eu.pkg.dev/a/b:1")', vertex(image="eu.pkg.dev/a/b:1")),
        ("vertex(\n  project=p,\n  region=r\n)", vertex(project="p", region="r")),
    ],
)
def test_people_may_write_blanks_and_quotes(text: str, place: Place) -> None:
    """Blanks around words, quotes around values and a comma at the end change nothing."""
    assert parse_where(text) == place


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (local(), "local()"),
        (vertex(region="europe-west1", project="shop"), "vertex(project=shop, region=europe-west1)"),
        (portable(endpoint="127.0.0.1:8099", environment="LOOPBACK"), None),
        (flink(master="10.0.0.1:8081", parallelism=2), "flink(master=10.0.0.1:8081, parallelism=2)"),
        (vertex(image="a b"), 'vertex(image="a b")'),
        (vertex(image='say "hi"'), "vertex(image='say \"hi\"')"),
    ],
)
def test_text_is_that_of_the_code(place: Place, text: str | None) -> None:
    """The text form is the call that makes the place, without quotes where none are needed."""
    assert str(place) == (text or "portable(endpoint=127.0.0.1:8099, environment=LOOPBACK)")


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (parse_where, "", 'where "": the form is kind(setting=value, …); kinds are local, vertex.'),
        (parse_where, "vertx(project=p)", 'where "vertx" is unknown. Choose one of local, vertex.'),
        (parse_where, "vertex(project=p", "the form is kind(setting=value, …)"),
        (parse_where, "dataflow", 'where "dataflow" is unknown. Choose one of local, vertex.'),
        (parse_engine, "vertex", 'engine "vertex" is unknown. Choose one of direct, portable, flink, dataflow.'),
        (parse_where, "local(region=r)", '"region" is no setting of local'),
        (parse_where, "local(region=r)", "settings are none, each as setting=value."),
        (parse_where, "vertex(zone=z)", "settings are project, region, machine, service_account, image, connection"),
        (parse_where, "vertex(project=a, project=b)", "stands there twice"),
        (parse_where, "vertex(project)", '"project" is no setting of vertex, stands there twice, or has no value'),
        (parse_where, "vertex(project=)", "vertex(project=''): that is blank"),
        (parse_where, "vertex(project=p; region=r)", '"project=p; region=r" is no setting'),
        (parse_where, "vertex(project=p))", '"project=p)" is no setting'),
        (parse_where, "vertex(image=\"'\" '\"')", "is no setting"),
        (parse_engine, "direct(workers=two)", "engine direct(workers=two): a whole number is needed."),
        (parse_engine, "direct(workers=0)", "direct(workers=0): at least 1 is needed."),
        (parse_engine, f"direct(workers={'9' * 5000})", "a whole number is needed."),
        (parse_engine, "dask", 'engine "dask": Beam\'s Dask runner gives wrong answers without an error'),
        (parse_engine, "spark(master=m)", 'engine "spark": Beam\'s job server for Spark knows Spark 3 only'),
        (parse_engine, "prism()", 'engine "prism": Beam downloads Prism'),
    ],
)
def test_other_texts_are_refused(parse: Callable[[str], Place], text: str, says: str) -> None:
    """What is no place is wrong use, and the message says which word, and what is allowed."""
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert says in str(refused.value)
    assert len(str(refused.value)) < len(text) + 300


@given(places((*WHERE, *ENGINES)))
def test_the_form_takes_every_place(place: Place) -> None:
    """The pattern of a form takes every place of its own family as it is written, and none of the other."""
    is_where = isinstance(place, WHERE)
    assert (re.search(where_pattern(), str(place)) is not None) == is_where
    assert (re.search(engine_pattern(), str(place)) is not None) != is_where


@pytest.mark.parametrize(
    "text", ["", " ", "local", "local()", "vertex", " vertex( ) ", "vertex(\nproject = p,\nregion='r',)"]
)
def test_the_form_takes_what_is_read(text: str) -> None:
    """Blank means that nothing is said; what the reader takes, the form takes too."""
    assert re.search(where_pattern(), text)
    assert not text.strip() or parse_where(text)


@pytest.mark.parametrize(
    "text",
    [
        *("vertx", "Vertex", "vertex(", "vertex)", "vertex(project)", "vertex(project=)", "vertex(zone=z)"),
        *("vertex(project=p region=r)=", "vertex(project=p))", "vertex(project=p;region=r=s)", "local(region=r)"),
        *("vertex(project='p)", "vertex, local", "dataflow", "vertex(project=p,,region=r)"),
    ],
)
def test_the_form_refuses_what_is_not_read(text: str) -> None:
    """What the reader refuses, the form refuses too, with the exception of a setting that is said twice."""
    assert not re.search(where_pattern(), text)
    with pytest.raises(UsageError):
        parse_where(text)


# ----------------------------------------------------------------------------------------------------------- declaring


@pytest.mark.parametrize("value", ["", " ", " shop", "shop ", "sh\top", "sh\nop", "\u2028"])
def test_a_blank_setting_is_refused(value: str) -> None:
    """A setting that is given holds a value, without blanks at its ends and control characters."""
    with pytest.raises(DeclarationError, match=r"vertex\(project=.*\): that is blank, or holds blanks at its ends"):
        vertex(project=value)


@pytest.mark.parametrize(
    ("kind", "setting", "says"),
    [
        (vertex, {"project": 3}, "vertex(project=3): that is no text."),
        (vertex, {"region": True}, "vertex(region=True): that is no text."),
        (direct, {"workers": "2"}, "direct(workers='2'): that is no whole number."),
        (direct, {"workers": True}, "direct(workers=True): that is no whole number."),
        (flink, {"parallelism": 1.5}, "flink(parallelism=1.5): that is no whole number."),
        (dataflow, {"workers": -1}, "dataflow(workers=-1): at least 1 is needed."),
        (vertex, {"image": "'\""}, "vertex(image='\"): it holds both kinds of quotes; no setting does."),
    ],
)
def test_a_setting_has_its_type(kind: type[Place], setting: dict[str, Any], says: str) -> None:
    """Names are text and counts are whole numbers above 0; nothing is turned into the other."""
    with pytest.raises(DeclarationError) as refused:
        kind(**setting)
    assert str(refused.value) == says


def test_declarations_take_their_own_kind_of_place() -> None:
    """A model takes a place for training and a dataset an engine; anything else is refused with the name of it."""
    rows = Dataset("rows", source=csv("rows.csv"), key="id", columns=COLUMNS, engine=flink(master="m:1"))
    model = Model("yes", data=rows, target="yes", estimator=object, where=vertex(region="r"))
    assert (rows.engine, model.where) == (flink(master="m:1"), vertex(region="r"))
    for wrong in (direct(), "vertex", 3):
        with pytest.raises(DeclarationError, match=r'Model "yes": where=.* is not one of local\(\) or vertex\(…\)'):
            Model("yes", data=rows, target="yes", estimator=object, where=wrong)  # type: ignore[arg-type]
    for other in (local(), "direct"):
        with pytest.raises(DeclarationError, match=r'Dataset "rows": engine=.* is not one of direct\(\), portable'):
            Dataset("rows", source=csv("rows.csv"), key="id", columns=COLUMNS, engine=other)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ settling


def by_hand(layers: list[Layer], default: Place) -> tuple[Place, dict[str, str]]:
    """The rule, said once more and slowly: kind first, then each setting on its own."""
    everybody = [*layers, Layer("default", default)]
    chooser = next(layer for layer in everybody if layer.place is not None)
    kind = type(chooser.place)
    values, sources = {}, {"kind": chooser.source}
    for item in fields(kind):  # type: ignore[arg-type]  # never None
        for layer in everybody:
            value = getattr(layer.place, item.name) if type(layer.place) is kind else None
            value = layer.settings.get(item.name) if value is None else value
            if value is not None:
                values[item.name], sources[item.name] = value, layer.source
                break
    return kind(**values), sources  # type: ignore[misc]


@given(
    st.lists(
        st.tuples(
            st.none() | places(ENGINES),
            st.dictionaries(st.sampled_from(["project", "region", "unknown"]), values_of("project")),
        ),
        max_size=5,
    )
)
def test_the_first_that_says_it_counts(said: list[tuple[Place | None, dict[str, str]]]) -> None:
    """The first layer with a place decides the kind; each setting is that of the first layer of it that has one."""
    layers = [Layer(f"layer {number}", place, settings) for number, (place, settings) in enumerate(said)]
    settled = settle(layers, direct())
    assert (settled.place, dict(settled.sources)) == by_hand(layers, direct())


def test_a_place_of_another_kind_says_nothing() -> None:
    """A run on this machine takes nothing from a declaration in a cloud, and the other way round."""
    layers = [Layer("the run", local()), Layer("code", vertex(project="p", region="r"))]
    assert settle(layers, local()) == Settled(local(), {"kind": "the run"})
    assert settle(layers[::-1], local()).place == vertex(project="p", region="r")


def test_nothing_said_is_the_default() -> None:
    """Where no layer says anything, the default counts, and is named as the source."""
    assert settle([Layer("the run"), Layer("code")], direct(workers=2)) == Settled(
        direct(workers=2), {"kind": "default", "workers": "default"}
    )


def test_what_is_settled_reads_as_a_line() -> None:
    """A settled place says for each source what it decided."""
    layers = [Layer("the run", vertex(region="r")), Layer("the variable", vertex(project="p", machine="m"))]
    assert str(settle(layers, local())) == (
        "vertex(project=p, region=r, machine=m) (the run says kind, region; the variable says project, machine)"
    )


# --------------------------------------------------------------------------------------------------------- environment


def test_environment_names_a_place() -> None:
    """The variables of Lockstep hold a place as text; blank or missing ones say nothing."""
    found = environment_layers(WHERE_VARIABLE, {WHERE_VARIABLE: " vertex(region=r) "})
    assert found == (Layer("environment LOCKSTEP_WHERE", vertex(region="r")),)
    assert environment_layers(ENGINE_VARIABLE, {ENGINE_VARIABLE: " "}) == (Layer("environment LOCKSTEP_ENGINE"),)
    assert environment_layers(ENGINE_VARIABLE, {}) == (Layer("environment LOCKSTEP_ENGINE"),)


def test_environment_knows_googles_variables() -> None:
    """Project and region come from the variables of Google's tools, after the place, and only for a cloud's kinds."""
    environ = {
        WHERE_VARIABLE: "vertex(project=mine)",
        "GOOGLE_CLOUD_PROJECT": "shop",
        "GCP_PROJECT": "other",
        "GOOGLE_CLOUD_REGION": " ",
        "CLOUDSDK_COMPUTE_REGION": " europe-west1 ",
    }
    settled = settle(environment_layers(WHERE_VARIABLE, environ), local())
    assert settled.place == vertex(project="mine", region="europe-west1")
    assert settled.sources["region"] == "environment CLOUDSDK_COMPUTE_REGION"
    settled = settle(environment_layers(ENGINE_VARIABLE, environ | {ENGINE_VARIABLE: "dataflow"}), direct())
    assert settled.place == dataflow(project="shop", region="europe-west1")
    assert settle(environment_layers(ENGINE_VARIABLE, environ), direct()).place == direct()


def test_a_variable_that_holds_no_place_is_wrong_use() -> None:
    """A variable with another text is refused, wherever the run would have gone."""
    with pytest.raises(UsageError, match='where "vertx" is unknown'):
        environment_layers(WHERE_VARIABLE, {WHERE_VARIABLE: "vertx"})


# --------------------------------------------------------------------------------------------------------- completeness


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (vertex(), "vertex() lacks project and region, and nothing was submitted. Say vertex(project=…, region=…)"),
        (vertex(project="p"), "vertex(project=p) lacks region"),
        (vertex(region="r"), "the Airflow variable lockstep_where or in the environment's LOCKSTEP_WHERE"),
        (portable(), "portable() lacks endpoint"),
        (flink(parallelism=2), "flink(parallelism=2) lacks master"),
        (dataflow(project="p", region="r"), "lacks temp"),
        (dataflow(), "dataflow() lacks project and region and temp"),
        (dataflow(region="r", temp="gs://b"), "the Airflow variable lockstep_engine or in the environment's"),
        (dataflow(project="p", region="r", temp="/tmp/x"), "dataflow(temp=/tmp/x): it has to be a folder of a bucket"),  # noqa: S108
        (dataflow(project="p", region="r", temp="gs://"), "dataflow(temp=gs://): it has to be a folder of a bucket"),
    ],
)
def test_a_place_that_lacks_something_is_refused(place: Place, says: str) -> None:
    """Before anything is submitted, what is missing is named, and where it can be said."""
    with pytest.raises(UsageError) as refused:
        check_complete(place, 'Model "churn"')
    assert str(refused.value).startswith('Model "churn": ')
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "place",
    [
        local(),
        direct(),
        vertex(project="p", region="r"),
        portable(endpoint="h:1"),
        flink(master="h:1"),
        dataflow(project="p", region="r", temp="gs://bucket"),
        dataflow(project="p", region="r", temp="gs://bucket/a/b"),
    ],
)
def test_a_complete_place_passes(place: Place) -> None:
    """What has all it needs passes, with everything else left open."""
    check_complete(place, "somebody")
