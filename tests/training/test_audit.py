"""Who forges a model file, and even its manifest and its log entry, can't have anything run when it is loaded."""

import io
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from lockstep.errors import ObjectDamaged, TrainingError
from lockstep.registry import put_folder, read_manifest
from lockstep.training import audit, load_model, own_packages
from lockstep.training.audit import fault_of, foreign_types, recorded_packages
from lockstep.training.storage import dump, load
from tests.training import shop
from tests.training.conftest import ADA, Shop

Node = dict[str, Any]


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """Tell pickle what to run."""
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Name the file that stands there once a payload ran."""
    return tmp_path / "ran"


def node(loader: str, name: str, **more: Any) -> Node:
    """Describe one object as skops does."""
    module, _, last = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": last, **more}


def text(value: object) -> Node:
    """Describe a value that JSON can say."""
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def several(*items: Node) -> Node:
    """Describe a tuple."""
    return node("TupleNode", "builtins.tuple", content=list(items))


def skops_file(schema: Node, parts: dict[str, bytes] | None = None, *, method: int = 0) -> bytes:
    """Pack a file as skops would."""
    packed = io.BytesIO()
    with ZipFile(packed, "w", method) as file:
        for name, part in (parts or {}).items():
            file.writestr(name, part)
        file.writestr("schema.json", json.dumps({**schema, "protocol": 2, "_skops_version": "0.16.0"}))
    return packed.getvalue()


def pickled(payload: Payload) -> bytes:
    """Save an array of objects, which is a pickle."""
    saved = io.BytesIO()
    np.save(saved, np.array([payload], dtype=object), allow_pickle=True)
    return saved.getvalue()


def attacks(marker: Path) -> dict[str, Node]:
    """Schemas, each of which would write the marker if it were loaded as its types ask for."""
    code = f"open({str(marker)!r}, 'w').close()"
    call = several(text(code))
    dict_of_code = {"key_types": node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.exec")])}
    return {
        "os.system": node("ConstructorFromReduceNode", "os.system", content=several(text(f"touch {marker}"))),
        "builtins.exec": node("ConstructorFromReduceNode", "builtins.exec", content=call),
        "builtins.exec as a key": node("DictNode", "builtins.dict", content={code: text(1)}, **dict_of_code),
        "numpy.testing": node(
            "ConstructorFromReduceNode",
            "numpy.testing._private.utils.runstring",
            content=several(
                text(code),
                node("DictNode", "builtins.dict", content={}, key_types=node("ListNode", "builtins.list", content=[])),
            ),
        ),
        "numpy.memmap": node(
            "ConstructorFromReduceNode",
            "numpy.memmap",
            content=several(text(str(marker)), text("uint8"), text("w+"), text(0), text(9)),
        ),
        "scipy.stats": node(
            "ObjectNode",
            "scipy.stats._continuous_distns.norm_gen",
            content=node(
                "DictNode",
                "builtins.dict",
                content={"_parse_arg_template": text(code)},
                key_types=node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str")]),
            ),
        ),
        "a name of another module": node(
            "ConstructorFromReduceNode", "sklearn.tree._export.StringIO", content=several(text(0))
        ),
        "operator": node("OperatorFuncNode", "operator.attrgetter", attrs=several(text("system"))),
        "a part of the team's that is not theirs": node(
            "ConstructorFromReduceNode", "tests.training.shop.Pipeline", content=several(text([]))
        ),
        "subprocess": node("FunctionNode", "subprocess.check_output"),
        "sklearn's own": node(
            "ConstructorFromReduceNode", "sklearn.datasets._base.load_files", content=several(text("/"))
        ),
    }


NAMES = list(attacks(Path("marker")))


@pytest.mark.parametrize("name", NAMES)
def test_forged_types_are_refused_even_where_the_manifest_names_them(marker: Path, name: str) -> None:
    """The policy stands above the manifest, and nothing of the file has run by then."""
    data = skops_file(attacks(marker)[name])
    types = skops.io.get_untrusted_types(data=data)
    assert types
    with pytest.raises(ObjectDamaged) as caught:
        load(data, types, "Model version leaving@1", ["tests"])
    assert str(caught.value) == (
        f"Model version leaving@1: the file holds {', '.join(types)}, as its manifest says, but allowed are what"
        " scikit-learn's estimators are made of, and types of tests; it is not loaded. Find out who wrote it, and"
        " retrain the model."
    )
    with pytest.raises(ObjectDamaged, match=r"which it was not saved with; it is not loaded"):
        load(data, (), "Model version leaving@1", ["tests"])
    assert not marker.exists()


def test_the_attacks_would_work_where_types_are_simply_trusted(marker: Path) -> None:
    """Without the policy, a manifest that was forged along would do: the tests above test something."""
    for name in ("os.system", "builtins.exec", "builtins.exec as a key", "numpy.memmap"):
        data = skops_file(attacks(marker)[name])
        with suppress(TypeError):  # what was run gave nothing that fits, and has been run
            skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
        assert marker.exists()
        marker.unlink()


def test_a_pickle_in_place_of_a_model_file_is_refused(marker: Path) -> None:
    """Plain, or with a zip behind it."""
    plain = pickle.dumps(Payload(marker))
    for data in (plain, plain + skops_file(text(1)), b"", b"PK"):
        with pytest.raises(ObjectDamaged) as caught:
            load(data, (), "Model version leaving@1", ["tests"])
        assert str(caught.value) == (
            "Model version leaving@1: the file is no skops file; it is not loaded. Restore it from a copy, or retrain"
            " the model."
        )
    assert not marker.exists()


def test_a_pickle_within_an_array_is_refused(marker: Path) -> None:
    """Arrays of objects, also among those of a sparse matrix, are found before they are read."""
    array = pickled(Payload(marker))
    sparse = io.BytesIO()
    with ZipFile(sparse, "w") as file:
        file.writestr("data.npy", array)
    files = {
        "a.npy": skops_file(node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy"), {"a.npy": array}),
        "a.npz/data.npy": skops_file(
            node("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", type="scipy", file="a.npz"),
            {"a.npz": sparse.getvalue()},
        ),
    }
    for name, data in files.items():
        with pytest.raises(ObjectDamaged) as caught:
            load(data, ["scipy.sparse._csr.csr_matrix"], "Model version leaving@1", ["tests"])
        assert str(caught.value) == (
            f"Model version leaving@1: the file holds pickled objects in its array {name}; it is not loaded. Restore it"
            " from a copy, or retrain the model."
        )
    assert not marker.exists()


def array_of(shape: tuple[int, ...]) -> bytes:
    """Save an array that says it has this shape, and has one item."""
    saved = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(saved, header)
    return saved.getvalue() + bytes(8)


NUMBERS = node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy")


def overlapping() -> bytes:
    """Name one part twice in the directory of a file, so that its bytes would be read twice."""
    packed = io.BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr("schema.json", json.dumps({**text(1), "protocol": 2}))
        file.writestr("a.bin", bytes(1000))
        twin = ZipInfo("b.bin")
        first = file.getinfo("a.bin")
        twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = first.header_offset, 1000, 1000, first.CRC
        file.filelist.append(twin)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            skops_file(text(1), {"a.bin": bytes(1 << 20)}, method=ZIP_DEFLATED),
            "has compressed parts, which skops does not write",
        ),
        (overlapping(), "has parts that overlap or bear one name"),
        (
            skops_file(NUMBERS, {"a.npy": array_of((1 << 40,))}),
            "has an array a.npy that says it is larger than its file",
        ),
        (skops_file(NUMBERS), "can't be opened as a skops file (KeyError: 'a.npy')"),
        (skops_file(NUMBERS, {"a.npy": b"no array"}), "can't be opened as a skops file (ValueError: "),
        (skops_file({"no": "node"}), "has a schema that describes no object"),
        (skops_file(text(1))[:-30], "can't be opened as a skops file (BadZipFile: File is not a zip file)"),
        (
            skops_file(text(1)).replace(b'"__loader__"', b'"__loader__\xff'),
            "can't be opened as a skops file (BadZipFile: ",
        ),
    ],
    ids=["packed", "overlapping", "large array", "missing part", "no array", "no node", "cut off", "changed"],
)
def test_files_that_would_exhaust_or_confuse_the_reader_are_refused(data: bytes, fault: str) -> None:
    """Each is refused before skops sees it, and the reason is said."""
    assert (fault_of(data) or "").startswith(fault)
    with pytest.raises(ObjectDamaged, match=r"^it: the file .*; it is not loaded\."):
        load(data, (), "it", ["tests"])


def test_a_schema_has_a_limit_in_size_and_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one is refused before it is parsed; a deep one ends as a sentence, not as an overflow of the stack."""
    monkeypatch.setattr(audit, "MOST_SCHEMA", 1000)
    assert fault_of(skops_file(text("x" * 2000))) == "has a schema of 2151 bytes; allowed are 1000"
    monkeypatch.undo()
    schema = '{"__loader__":"ListNode","__module__":"builtins","__class__":"list","content":['
    packed = io.BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr("schema.json", schema * 5000 + "]}" * 5000)
    with pytest.raises(ObjectDamaged, match=r"can't be opened as a skops file \(RecursionError: "):
        load(packed.getvalue(), (), "it", ["tests"])
    deep = text(1)
    for _ in range(300):
        deep = node("ListNode", "builtins.list", content=[deep])
    with pytest.raises(ObjectDamaged, match=r"can't be (told|opened as a skops file) \(RecursionError: "):
        load(skops_file(deep), (), "it", ["tests"])


def test_what_is_read_again_and_again_counts_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can't ask for its one array a million times."""
    saved = io.BytesIO()
    np.save(saved, np.zeros(1000))
    many = node("ListNode", "builtins.list", content=[NUMBERS] * 100)
    data = skops_file(many, {"a.npy": saved.getvalue()})
    assert fault_of(data) is None
    monkeypatch.setattr(audit, "MOST_LOADED", 100_000)
    assert fault_of(data) == "would take 812800 bytes once loaded; allowed are 100000"


def test_a_file_that_would_be_refused_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained can be loaded again, or is not recorded."""
    monkeypatch.setattr(audit, "MOST_SCHEMA", 10)
    with pytest.raises(TrainingError, match=r'^Model "it": its file would not be loaded again: it has a schema of '):
        dump("it", LogisticRegression(), ())


def forged(desk: Shop, data: bytes, types: list[str], function: str) -> None:
    """Record a version of "leaving" as somebody would who can write to the store: file, manifest and log entry."""
    version = desk.registry.state().model("leaving@1")
    manifest = read_manifest(desk.registry.objects, version.fact.manifest)
    estimator = manifest["estimator"] | {"function": function}
    record = {name: value for name, value in manifest.items() if name != "files"}
    ref = put_folder(
        desk.registry.objects,
        "models/leaving",
        record | {"types": types, "estimator": estimator},
        {"model.skops": data},
    )
    fact = replace(version.fact, digest=ref.sha256, manifest=ref)
    desk.registry.record(lambda _: fact, ADA)


def test_a_version_forged_as_a_whole_is_refused(trained: Shop, marker: Path) -> None:
    """With a log entry, a manifest and a file that all fit together, whether declarations are at hand or not."""
    data = skops_file(attacks(marker)["os.system"])
    forged(trained, data, ["os.system"], "os.system")
    version = trained.registry.state().model("leaving@2")
    for own in (None, own_packages(shop.graph)):
        with pytest.raises(
            ObjectDamaged, match=r"^Model version leaving@2: the file holds os\.system, as its manifest"
        ):
            load_model(trained.registry, version, own=own)
    forged(
        trained,
        skops_file(node("FunctionNode", "joblib.numpy_pickle.load")),
        ["joblib.numpy_pickle.load"],
        "joblib.numpy_pickle.load",
    )
    with pytest.raises(ObjectDamaged, match=r"types of no package, since no declaration names one; it is not loaded"):
        load_model(trained.registry, trained.registry.state().model("leaving@3"))
    assert not marker.exists()


def test_the_manifests_word_counts_only_for_code_that_is_not_installed() -> None:
    """Libraries, Python's own modules and installed packages are no team's."""
    functions = ["sklearn.svm.SVC", "os.system", "builtins.eval", "joblib.load", "lockstep.Graph", "numpy.load", "x"]
    assert recorded_packages(functions) == {"x"}
    assert recorded_packages(["tests.training.shop.classifier", "gone.module.build"]) == {"tests", "gone"}
    assert own_packages(shop.graph) == {"tests"}


def test_what_fitted_estimators_hold_is_allowed() -> None:
    """Classes and functions of scikit-learn that stand in the files of its own estimators are not foreign."""
    types = [
        "sklearn.tree._tree.Tree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "scipy.sparse._csr.csr_matrix",
        "scipy.interpolate._bsplines.BSpline",
        "numpy.dtype",
        "tests.training.shop.Numbers",
        "tests.training.gone.Away",
    ]
    assert foreign_types(types, ["tests"]) == []
    others = ["sklearn.tree._classes.numbers", "sklearn.base.clone", "sklearn.svm._classes.SVC.fit"]
    assert foreign_types([*others, "sklearn.gone.Away"], ()) == others
