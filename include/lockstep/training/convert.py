"""From a fitted estimator to an ONNX file, which counts only where it predicts what scikit-learn predicts.

Rules:
- It is compared on every row of the test split that it could be asked about, through the models that it builds on, and
  on rows with texts and numbers that no row has. One difference above `TOLERANCE`, and it is not used.
- What can't be converted is no error: the version says why, and scikit-learn answers.
- The same fitted estimator gives the same bytes, in any process.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.declare import Task
from lockstep.training.inputs import CODES, KEY, NUMBERS, TEXTS, Inputs
from lockstep.training.portable import INSTALL, Known, Portable, Scorer, open_session, scores_name
from lockstep.training.predictor import Floats, Predictor

TOLERANCE: Final = 1e-6
MOST_BYTES: Final = 4 << 20  # of the model file; a converter takes seconds for each MB of trees
_NUMBERS: Final = ("Boolean", "Float32", "Float64", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32")
_PROBED: Final = 50  # rows
_UNSEEN: Final = "a text that no row has"
_SHOWN: Final = 200
_ONE_HOT: Final = "OneHotEncoder"
_COUNTED: Final = 18  # from this version of ONNX on, Split is told how many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What came of it: `told` for the manifest, and the file where it is used."""

    told: dict[str, Any]
    data: bytes | None = None


class _Unfit(Exception):
    """The reason why there is no use for an ONNX file, as people read it."""


def convert(
    predictor: Predictor, dtypes: Mapping[str, str], size: int, test: pl.DataFrame, upstream: tuple[Scorer, ...]
) -> Converted:
    """Convert and compare.

    Args:
        predictor: just fitted.
        dtypes: of its features.
        size: of its model file, in bytes.
        test: the cleaned rows of the test split.
        upstream: how the models answer that it builds on.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converter and the estimator: the comparison judges
            data = _onnx_of(predictor, dtypes, size)
            portable = _opened(predictor, data, upstream)
            largest, rows = _compared(portable, test)
            _probe(portable, test.head(_PROBED), dtypes)
    except _Unfit as unfit:
        return Converted(told={"used": False, "reason": str(unfit)})
    except Exception as error:  # noqa: BLE001  whatever it is, the model is trained
        return Converted(told={"used": False, "reason": f"the comparison failed: {_said(error)}"})
    return Converted(told={"used": True, "largest_difference": largest, "rows": rows}, data=data)


def _onnx_of(predictor: Predictor, dtypes: Mapping[str, str], size: int) -> bytes:
    odd = [f"{name} is {dtype}" for name, dtype in dtypes.items() if dtype != "String" and dtype not in _NUMBERS]
    if odd:
        raise _Unfit(f"only numbers, bools and texts are converted, and {', '.join(odd)}")
    if size > MOST_BYTES:
        raise _Unfit(f"the model file has {size:,} bytes, and the converter is too slow beyond {MOST_BYTES:,}")
    try:
        skl2onnx, types = importlib.import_module("skl2onnx"), importlib.import_module("skl2onnx.common.data_types")
    except ImportError:
        raise _Unfit(f"the converter was not installed where the model was trained; {INSTALL} there") from None
    texts, estimator = _texts_of(dtypes), predictor.estimator
    inputs = [
        (name, (types.StringTensorType if name in texts else types.DoubleTensorType)([None, 1]))
        for name in predictor.features
    ]
    options = {id(estimator): {"zipmap": False}} if predictor.task is Task.CLASSIFICATION else None
    try:
        model = skl2onnx.convert_sklearn(estimator, predictor.name, inputs, options=options)
    except Exception as error:  # noqa: BLE001  converters raise what they like
        raise _Unfit(f"{_named(estimator)} can't be converted: {_said(error)}") from None
    wanted = [output for output in model.graph.output if output.name == scores_name(predictor.task)]
    if len(wanted) != 1:
        raise _Unfit(f"{_named(estimator)} was converted to something without {scores_name(predictor.task)}")
    del model.graph.output[:]  # the label follows from the probabilities, and costs time
    model.graph.output.extend(wanted)
    _gather(model, [name for name in predictor.features if name not in texts], sorted(texts))
    return bytes(model.SerializeToString(deterministic=True))


def _gather(model: Any, numbers: Sequence[str], texts: Sequence[str]) -> None:  # noqa: ANN401  onnx has no types
    """Give the model a matrix for each kind of feature, in place of an input for each feature."""
    onnx = importlib.import_module("onnx")
    looked_up = {name: words for name in texts if (words := _words_of(model, name))}
    for node in model.graph.node:
        if node.op_type == _ONE_HOT and node.input[0] in looked_up:
            del node.attribute[:]
            places = list(range(len(looked_up[node.input[0]])))
            node.attribute.extend(
                [onnx.helper.make_attribute("cats_int64s", places), onnx.helper.make_attribute("zeros", 1)]
            )
    inputs = Inputs(
        numbers=tuple(numbers),
        codes=tuple(looked_up),
        texts=tuple(name for name in texts if name not in looked_up),
        words=tuple(looked_up.values()),
    )
    version = next(used.version for used in model.opset_import if not used.domain)
    del model.graph.input[:]
    nodes = []
    for name, kind, features in (
        (NUMBERS, onnx.TensorProto.DOUBLE, inputs.numbers),
        (CODES, onnx.TensorProto.INT64, inputs.codes),
        (TEXTS, onnx.TensorProto.STRING, inputs.texts),
    ):
        if features:
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, [None, len(features)]))
            counted = {"num_outputs": len(features)} if version >= _COUNTED else {}
            nodes.append(onnx.helper.make_node("Split", [name], features, axis=1, **counted))
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.helper.set_model_props(model, {KEY: inputs.as_text()})


def _words_of(model: Any, feature: str) -> tuple[str, ...]:  # noqa: ANN401  onnx has no types
    """The words that a feature is looked up among; none, if anything else is done with it."""
    found = set()
    for node in model.graph.node:
        if feature in node.input:
            told = {attribute.name: attribute for attribute in node.attribute}
            if node.op_type != _ONE_HOT or "cats_strings" not in told or ("zeros" in told and told["zeros"].i != 1):
                return ()
            found.add(tuple(word.decode() for word in told["cats_strings"].strings))
    return found.pop() if len(found) == 1 else ()


def _opened(predictor: Predictor, data: bytes, upstream: tuple[Scorer, ...]) -> Portable:
    try:
        session = open_session(data)
    except ImportError:
        raise _Unfit(f"ONNX Runtime was not installed where the model was trained; {INSTALL} there") from None
    except Exception as error:  # noqa: BLE001  its errors share no type
        raise _Unfit(f"ONNX Runtime can't use the converted file: {_said(error)}") from None
    return Portable(predictor=predictor, session=session, upstream=upstream)


def _compared(portable: Portable, test: pl.DataFrame) -> tuple[float, int]:
    """The largest difference on the test split, and the number of rows."""
    known: Known = {}
    rows = test.filter(pl.Series(portable.takes(test, known))) if test.height else test
    if rows.is_empty():
        raise _Unfit("the test split has no row to compare ONNX Runtime with scikit-learn on")
    apart = _apart(portable, rows)
    if not (apart <= TOLERANCE).all():  # a NaN is above it, too
        share, largest = float(np.mean(~(apart <= TOLERANCE))), float(np.nan_to_num(apart, nan=np.inf).max())
        raise _Unfit(
            f"its predictions differ from scikit-learn's by up to {largest:.2g} on {share:.2%} of the"
            f" {rows.height:,} rows of the test split; allowed is {TOLERANCE:g}"
        )
    return float(apart.max()), rows.height


def _probe(portable: Portable, rows: pl.DataFrame, dtypes: Mapping[str, str]) -> None:
    """Compare on values that the model has not learned from: scikit-learn may refuse what ONNX Runtime would not."""
    texts = _texts_of(dtypes)
    own = [name for name in portable.predictor.features if name in rows.columns]
    numbers = [name for name in own if name not in texts and dtypes[name] != "Boolean"]
    beyond = [(pl.col(name).max() * 2 + 1).cast(rows.schema[name], strict=False).alias(name) for name in numbers]
    for what, changed in (
        ("texts", rows.with_columns(pl.lit(_UNSEEN).alias(name) for name in own if name in texts)),
        ("numbers", rows.with_columns(beyond)),
    ):
        try:
            apart = _apart(portable, changed)
        except _Unfit:
            raise
        except Exception as error:  # noqa: BLE001  estimators raise what they like
            raise _Unfit(f"scikit-learn refuses {what} that it has not learned from ({_said(error)})") from None
        if not (apart <= TOLERANCE).all():
            raise _Unfit(f"its predictions differ from scikit-learn's on {what} that it has not learned from")


def _apart(portable: Portable, rows: pl.DataFrame) -> Floats:
    """How far the predictions of each row are apart (n)."""
    expected = portable.predictor.scores(rows)
    try:
        found = portable.scores(rows, {})
    except Exception as error:  # noqa: BLE001  its errors share no type
        raise _Unfit(f"ONNX Runtime can't use the converted file: {_said(error)}") from None
    return np.asarray(np.abs(found - expected).max(axis=1))


def _texts_of(dtypes: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, dtype in dtypes.items() if dtype == "String")


def _named(estimator: Any) -> str:  # noqa: ANN401  scikit-learn estimators share no type
    return type(estimator).__name__


def _said(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    return f"{type(error).__name__}: {first[:_SHOWN]}"
