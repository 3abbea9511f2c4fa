"""No name leads out of the registry's root: not by a declaration, nor by a path that is put together elsewhere."""

from pathlib import Path

import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.errors import DeclarationError, UsageError
from lockstep.registry import ObjectRef, Objects

NAMES = [
    "../churn",
    "..",
    ".",
    "",
    "a/b",
    "/churn",
    "a\\b",
    "a\nb",
    "a\0b",
    "a\x7fb",
    "a#b",
    "a%2e%2eb",
    "a b",
    "CHURN",
    "ünicode",
    "a" * 65,
]


def declared(kind: str, name: str) -> object:
    """Declare something under a name."""
    rows = Dataset("rows", source=csv("x.csv"), key="id", columns={"bought": bool})
    model = Model("model", data=rows, target="bought", estimator=dict)
    threshold = Threshold("threshold", model=model, choose=fixed(0.5))
    match kind:
        case "dataset":
            return Dataset(name, source=csv("x.csv"), key="id", columns={"bought": bool})
        case "model":
            return Model(name, data=rows, target="bought", estimator=dict)
        case "threshold":
            return Threshold(name, model=model, choose=fixed(0.5))
        case "api":
            return Api(name, decides=[threshold])
        case _:
            return Graph([Api("api", decides=[threshold])], name=name)


@pytest.mark.parametrize("kind", ["dataset", "model", "threshold", "api", "group"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_lead_elsewhere_is_refused_when_it_is_declared(kind: str, name: str) -> None:
    """Names of nodes and of release groups become folders, and follow one rule."""
    with pytest.raises(DeclarationError, match="the name can't be a path or a DAG id"):
        declared(kind, name)
    declared(kind, "a" * 64)


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "models/../../outside",
        "models/churn/..",
        "/outside",
        "models//churn",
        "models/./churn",
        "models/churn/",
        "models\\..\\outside",
        "models/a\nb",
        "models/a\0b",
        "models/a\x7fb",
        "models/churn#1",
        "models/\ud800",
        "models/" + "a" * 231,
        "models/" + "/".join(["a" * 200] * 5),
        "models/" + "ü" * 128,
        "",
        ".",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused_by_the_objects(tmp_path: Path, path: str) -> None:
    """Neither written, read, moved nor deleted; nothing stands outside afterwards, nor inside."""
    root = tmp_path / "root"
    objects = Objects.open(str(root))
    attempts = (
        lambda: objects.put(path, b"x"),
        lambda: objects.put_new(path, b"x"),
        lambda: objects.get(ObjectRef(path=path, sha256="0" * 64, size=1)),
        lambda: objects.get_unverified(path),
        lambda: objects.exists(path),
        lambda: objects.delete(path),
        lambda: objects.delete(f"models/{path}"),
        lambda: objects.move("scratch/a", path),
        lambda: objects.delete_scratch(f"scratch/{path}"),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match=r"is not allowed|is too long|can't be deleted"):
            attempt()
    assert list(tmp_path.iterdir()) == [root]
    assert not [place for place in root.rglob("*") if place.is_file()]


def test_a_long_path_within_the_limits_is_taken(tmp_path: Path) -> None:
    """A name of 230 bytes, and several below each other."""
    objects = Objects.open(str(tmp_path))
    for path in ("models/" + "a" * 230, "models/" + "/".join(["b" * 220] * 4)):
        objects.put(path, b"x")
        assert objects.get_unverified(path) == b"x"
