"""Where training runs, and on which engine Beam runs: values, their text form, and the order in which they are settled.

Rules:
- A place is a value, cheap to make: nothing of a cloud is imported, so that a DAG file parses fast.
- What a place leaves open is None, and the next layer may fill it in. The first layer that names a kind decides it; a
  later layer of another kind says nothing.
- Nothing is submitted to a place that lacks what it needs: `check_complete` says what is missing, and where to say it.
- The text form is that of the code: `vertex(project=shop-ml, region=europe-west1)`; a value may stand in quotes.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

from lockstep.errors import DeclarationError, UsageError

WHERE_VARIABLE: Final = "LOCKSTEP_WHERE"
ENGINE_VARIABLE: Final = "LOCKSTEP_ENGINE"
_GOOGLE: Final = {
    "project": ("GOOGLE_CLOUD_PROJECT", "GCP_PROJECT"),
    "region": ("GOOGLE_CLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
}
_CALL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_PAIR: Final = re.compile(r"""\s*([A-Za-z_]\w*)\s*=\s*("[^"]*"|'[^']*'|[^,"'=()]*?)\s*(?:,|$)""")
_REFUSED: Final = {
    "dask": "Beam's Dask runner gives wrong answers without an error (a partition and a tagged output get every row)",
    "prism": "Beam downloads Prism when it is first asked for, so that the engine would depend on the network",
    "spark": "Beam's job server for Spark knows Spark 3 only, and was never tried with Lockstep",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Base: a kind, and settings that may be left open."""

    kind: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        types = {item.name: int if item.type == int | None else str for item in fields(self)}
        for name, value in self.settings().items():
            if type(value) is not types[name]:
                raise DeclarationError(
                    f"{self.kind}({name}={value!r}): that is no {'text' if types[name] is str else 'whole number'}."
                )
            if isinstance(value, str) and (not value or value != value.strip() or not value.isprintable()):
                raise DeclarationError(
                    f"{self.kind}({name}={value!r}): that is blank, or holds blanks at its ends or control characters."
                    " Give it a value, or leave it out."
                )
            if isinstance(value, str) and "'" in value and '"' in value:
                raise DeclarationError(f"{self.kind}({name}={value}): it holds both kinds of quotes; no setting does.")
            if isinstance(value, int) and value < 1:
                raise DeclarationError(f"{self.kind}({name}={value}): at least 1 is needed.")

    def settings(self) -> dict[str, str | int]:
        """The settings that are given."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    def __str__(self) -> str:
        given = ", ".join(f"{name}={_quoted(value)}" for name, value in self.settings().items())
        return f"{self.kind}({given})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Local(Place):
    """The process that asks: Airflow's worker, or the command line."""

    kind: ClassVar[str] = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex(Place):
    """A custom job of Vertex AI.

    Attributes:
        project, region: of Google Cloud.
        machine: a machine type; by default `n2-standard-4`.
        service_account: who the job is; by default Vertex AI's own agent.
        image: a container that holds Lockstep's core and the team's libraries (`Dockerfile`, target `train`); by
            default Google's prebuilt one for scikit-learn, into which the job installs Lockstep.
        connection: the Airflow connection that submits and watches; by default `google_cloud_default`.
    """

    kind: ClassVar[str] = "vertex"
    needs: ClassVar[tuple[str, ...]] = ("project", "region")
    project: str | None = None
    region: str | None = None
    machine: str | None = None
    service_account: str | None = None
    image: str | None = None
    connection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct(Place):
    """Beam inside the process that asks (FnApiRunner), with as many threads as `workers`; by default 2."""

    kind: ClassVar[str] = "direct"
    workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portable(Place):
    """Beam's portable job service.

    Attributes:
        endpoint: host:port of the job service.
        environment: where the Python workers are: `LOOPBACK` (in the process that asks), `EXTERNAL:host:port` (a worker
            pool) or `DOCKER:image`; by default `LOOPBACK`.
    """

    kind: ClassVar[str] = "portable"
    needs: ClassVar[tuple[str, ...]] = ("endpoint",)
    endpoint: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flink(Place):
    """A Flink cluster.

    Attributes:
        master: host:port of its REST API.
        job_server: path of Beam's Flink job server (jar); by default Beam fetches it from Maven.
        environment: as for `Portable`.
        parallelism: how many slots to use; by default the cluster's.
    """

    kind: ClassVar[str] = "flink"
    needs: ClassVar[tuple[str, ...]] = ("master",)
    master: str | None = None
    job_server: str | None = None
    environment: str | None = None
    parallelism: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataflow(Place):
    """Google's Dataflow.

    Attributes:
        project, region: of Google Cloud.
        temp: a folder for its files, as `gs://bucket/dataflow`.
        machine, service_account, image: of its workers; by default Dataflow's own.
        workers: at most so many.
        connection: the Airflow connection that submits and watches; by default `google_cloud_default`.
    """

    kind: ClassVar[str] = "dataflow"
    needs: ClassVar[tuple[str, ...]] = ("project", "region", "temp")
    project: str | None = None
    region: str | None = None
    temp: str | None = None
    machine: str | None = None
    service_account: str | None = None
    image: str | None = None
    workers: int | None = None
    connection: str | None = None


Where = Local | Vertex
Engine = Direct | Portable | Flink | Dataflow
_WHERE: Final[dict[str, type[Place]]] = {"local": Local, "vertex": Vertex}
_ENGINES: Final[dict[str, type[Place]]] = {
    "direct": Direct, "portable": Portable, "flink": Flink, "dataflow": Dataflow,
}  # fmt: skip
P_co = TypeVar("P_co", bound=Where | Engine, covariant=True)
local, vertex = Local, Vertex
direct, portable, flink, dataflow = Direct, Portable, Flink, Dataflow


def parse_where(text: str) -> Where:
    """Read `local` or `vertex(…)`.

    Raises:
        UsageError: it is something else.
    """
    return cast("Where", _parsed(text, _WHERE, "where"))


def parse_engine(text: str) -> Engine:
    """Read `direct`, `portable(…)`, `flink(…)` or `dataflow(…)`.

    Raises:
        UsageError: it is something else, or an engine that is refused.
    """
    return cast("Engine", _parsed(text, _ENGINES, "engine"))


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says: a place (or nothing), and settings for whatever kind is chosen.

    Attributes:
        source: how a person calls it, as `Model "churn"` or `environment LOCKSTEP_WHERE`.
        settings: name → value, for the kinds that have such a setting.
    """

    source: str
    place: Place | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settled(Generic[P_co]):
    """The place, and which source decided its kind (`"kind"`) and each of its settings."""

    place: P_co
    sources: Mapping[str, str]

    def __str__(self) -> str:
        by_source: dict[str, list[str]] = {}
        for name, source in self.sources.items():
            by_source.setdefault(source, []).append(name)
        said = "; ".join(f"{source} says {', '.join(names)}" for source, names in by_source.items())
        return f"{self.place} ({said})"


def settle(layers: Iterable[Layer], default: Place) -> Settled[Any]:
    """Go through the layers, the strongest first; what none of them says is the default's.

    Raises:
        DeclarationError: a setting that a layer adds has no allowed value.
    """
    ordered = (*layers, Layer("default", default))
    kind, decided = next((type(layer.place), layer.source) for layer in ordered if layer.place is not None)
    values: dict[str, Any] = {}
    sources = {"kind": decided}
    names = {item.name for item in fields(kind)}
    for layer in ordered:
        given = layer.place.settings() if isinstance(layer.place, kind) else {}
        for name, value in {**layer.settings, **given}.items():
            if name in names and name not in values:
                values[name], sources[name] = value, layer.source
    return Settled(kind(**values), sources)


def check_complete(place: Place, whose: str) -> None:
    """Refuse a place that lacks what it needs, before anything is submitted.

    Raises:
        UsageError: names what is missing, and the places where it can be said.
    """
    missing = [name for name in place.needs if getattr(place, name) is None]
    if missing:
        variable = WHERE_VARIABLE if isinstance(place, Local | Vertex) else ENGINE_VARIABLE
        example = ", ".join(f"{name}=…" for name in missing)
        raise UsageError(
            f"{whose}: {place} lacks {' and '.join(missing)}, and nothing was submitted. Say {place.kind}({example}) in"
            f" the declaration, in the run's form, in the Airflow variable {variable.lower()} or in the environment's"
            f" {variable}; `lockstep config` shows what is said where."
        )
    bucket = getattr(place, "temp", None)
    if bucket is not None and not re.fullmatch(r"gs://[^/]+(/.*)?", bucket):
        raise UsageError(
            f"{whose}: {place.kind}(temp={bucket}): it has to be a folder of a bucket, as gs://bucket/temp."
        )


def where_pattern() -> str:
    """A regular expression, as JSON Schema and browsers read it, for the texts of places for training, and blank."""
    return _pattern(_WHERE)


def engine_pattern() -> str:
    """As `where_pattern`, for the texts of engines."""
    return _pattern(_ENGINES)


def check_where(place: object, whose: str) -> None:
    """Refuse what is no place for training (`DeclarationError`)."""
    _check_family(place, Where, "where", "local() or vertex(…)", whose)


def check_engine(place: object, whose: str) -> None:
    """Refuse what is no engine for Beam (`DeclarationError`)."""
    _check_family(place, Engine, "engine", "direct(), portable(…), flink(…) or dataflow(…)", whose)


def _check_family(place: object, family: Any, what: str, allowed: str, whose: str) -> None:  # noqa: ANN401  a union of types
    if place is not None and not isinstance(place, family):
        raise DeclarationError(f"{whose}: {what}={place!r} is not one of {allowed}, of `lockstep.places`.")


def environment_layers(variable: str, environ: Mapping[str, str] = os.environ) -> tuple[Layer, ...]:
    """What the environment says: a place in `variable`, then the project and region that Google's own tools read.

    Raises:
        UsageError: the variable holds no place.
    """
    text = environ.get(variable, "").strip()
    read = parse_where if variable == WHERE_VARIABLE else parse_engine
    google = [
        Layer(f"environment {name}", settings={setting: value})
        for setting, names in _GOOGLE.items()
        for name in names
        if (value := environ.get(name, "").strip())
    ]
    return (Layer(f"environment {variable}", read(text) if text else None), *google)


def _parsed(text: str, kinds: Mapping[str, type[Place]], what: str) -> Place:
    allowed = ", ".join(kinds)
    call = _CALL.fullmatch(text)
    if call is None:
        raise UsageError(f'{what} "{text}": the form is kind(setting=value, …); kinds are {allowed}.')
    name, inner = call[1], (call[2] or "").strip()
    if name not in kinds:
        why = f": {_REFUSED[name]}" if name in _REFUSED and what == "engine" else " is unknown"
        raise UsageError(f'{what} "{name}"{why}. Choose one of {allowed}.')
    kind = kinds[name]
    types = {item.name: item.type for item in fields(kind)}
    given: dict[str, Any] = {}
    while inner:
        pair = _PAIR.match(inner)
        if pair is None or pair[1] not in types or pair[1] in given:
            wrong = pair[1] if pair else inner
            raise UsageError(
                f'{what} "{text}": "{wrong}" is no setting of {name}, stands there twice, or has no value; settings are'
                f" {', '.join(types) or 'none'}, each as setting=value."
            )
        value = pair[2][1:-1] if pair[2][:1] in ("'", '"') else pair[2]
        given[pair[1]] = _number(value, f"{what} {name}({pair[1]}={value})") if types[pair[1]] == int | None else value
        inner = inner[pair.end() :].strip()
    try:
        return kind(**given)
    except DeclarationError as error:
        raise UsageError(str(error)) from None


def _pattern(kinds: Mapping[str, type[Place]]) -> str:
    calls = []
    for name, kind in kinds.items():
        settings = "|".join(item.name for item in fields(kind))
        pair = rf"\s*({settings})\s*=\s*(\"[^\"]+\"|'[^']+'|[^,\"'=()]*[^\s,\"'=()])\s*"
        calls.append(rf"{name}\s*(\(({pair}(,{pair})*,?)?\s*\))?" if settings else rf"{name}\s*(\(\s*\))?")
    return rf"^\s*({'|'.join(calls)})?\s*$"


def _number(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UsageError(f"{what}: a whole number is needed.")
    return int(text)


def _quoted(value: str | int) -> str:
    text = str(value)
    if not re.search(r"[\s,()=\"']", text):
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'
