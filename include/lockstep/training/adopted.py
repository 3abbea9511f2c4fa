"""An ONNX model that was made elsewhere, as an estimator: it can be asked and saved, and never fitted.

Rules:
- The file stands in it as it came; its bytes are part of the model file, and so of the version's hash.
- Before it is taken it was checked: no data outside of the file, and no operators but those of ONNX and ONNX-ML.
- ONNX Runtime is imported when it is first asked.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.errors import UsageError

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_TYPES: Final[dict[str, Any]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_MATRIX: Final = 2


class OnnxModel:
    """Asks an ONNX file.

    Args:
        file: its bytes, as numbers.
        features: the columns in the order in which it wants them.
        classes: of a classification, in the order of its scores; empty for a regression.
    """

    def __init__(self, file: NDArray[np.uint8], features: list[str], classes: list[Any]) -> None:
        self.file, self.features, self.classes = file, features, classes
        self._session: Any = None

    @classmethod
    def of(cls, data: bytes, features: tuple[str, ...], classes: tuple[Any, ...]) -> "OnnxModel":
        """The model in the bytes of a file."""
        return cls(np.frombuffer(data, dtype=np.uint8), list(features), list(classes))

    @property
    def classes_(self) -> NDArray[Any]:
        """As scikit-learn calls them."""
        return np.asarray(self.classes)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "features": self.features, "classes": self.classes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _session=None)

    def predict_proba(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Probabilities (shape n × classes)."""
        found = self._run(frame, "probabilities")
        if isinstance(found, list):  # a list of dicts, as the converters write by default
            found = np.asarray([[row[label] for label in self.classes] for row in found])
        scores = np.asarray(found, dtype=np.float64)
        if scores.ndim == 1 or scores.shape[1] == 1:  # one score: of the last of two classes
            scores = np.column_stack([1 - scores.reshape(-1), scores.reshape(-1)])
        if scores.shape[1] != len(self.classes):
            raise UsageError(
                f"The ONNX model gives {scores.shape[1]} scores a row, and {len(self.classes)} classes are known."
            )
        sums = scores.sum(axis=1, keepdims=True)
        if not np.allclose(sums, 1, atol=1e-3):
            raise UsageError(
                "The scores of the ONNX model do not add up to 1 in each row, so they are no probabilities."
            )
        return np.asarray(scores / sums)  # numbers of 32 bits add up to 1 only nearly

    def predict(self, frame: pl.DataFrame) -> NDArray[Any]:
        """Values of a regression; or the likeliest classes."""
        if self.classes:
            return np.asarray(self.classes_[self.predict_proba(frame).argmax(axis=1)])
        return np.asarray(self._run(frame, "variable"), dtype=np.float64).reshape(-1)

    def _run(self, frame: pl.DataFrame, wanted: str) -> Any:  # noqa: ANN401  an array, or a list of dicts
        session = self._opened()
        outputs = [output.name for output in session.get_outputs()]
        name = next((name for name in outputs if wanted in name.lower()), outputs[-1])
        return session.run([name], self._feed(session.get_inputs(), frame))[0]

    def _opened(self) -> Any:  # noqa: ANN401  ONNX Runtime's type
        if self._session is None:
            try:
                import onnxruntime
            except ImportError:
                raise UsageError(
                    "An adopted ONNX model needs ONNX Runtime, which is not installed. Install"
                    " airflow-provider-lockstep[onnx]."
                ) from None
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 4
            data = np.asarray(self.file, dtype=np.uint8).tobytes()
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return self._session

    def _feed(self, inputs: list[Any], frame: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """One matrix of all features, or a column for each input."""
        if len(inputs) == 1:
            kind = _TYPES[inputs[0].type]
            return {inputs[0].name: np.column_stack([_column(frame[name], kind) for name in self.features])}
        feed = {}
        for item, name in zip(inputs, self.features, strict=True):
            column = _column(frame[name], _TYPES[item.type])
            feed[item.name] = column.reshape(-1, 1) if len(item.shape) == _MATRIX else column
        return feed


def _column(values: pl.Series, kind: Any) -> NDArray[Any]:  # noqa: ANN401  a type of numpy's
    if kind is np.object_:
        return np.asarray(values.cast(pl.String).to_list(), dtype=np.object_)
    return np.asarray(values.cast(pl.Float64, strict=True).to_numpy()).astype(kind)


def check_onnx(data: bytes) -> tuple[str, ...]:
    """Refuse an ONNX file that needs more than itself; gives the names of its inputs.

    Raises:
        UsageError: it is none, has its numbers elsewhere, or wants operators of others.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError(
            "To look into an ONNX file needs onnx, which is not installed. Install airflow-provider-lockstep[onnx]."
        ) from None
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:
        raise UsageError(f"It is no ONNX file that can be used: {str(error).splitlines()[0][:200]}") from error
    foreign = {item.domain for item in model.opset_import} - DOMAINS
    if foreign:
        raise UsageError(f"The ONNX file wants operators of {', '.join(sorted(foreign))}, which are not known here.")
    if b"external_data" in data or any(tensor.external_data for tensor in model.graph.initializer):
        raise UsageError("The ONNX file keeps numbers in other files. Save it as one file.")
    known = {tensor.name for tensor in model.graph.initializer}
    return tuple(item.name for item in model.graph.input if item.name not in known)
