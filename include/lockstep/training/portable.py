"""A model version as it answers: through ONNX Runtime where that was shown to give the same, else through scikit-learn.

Rules:
- An ONNX file is given what `Inputs` says. Its one output is what `Predictor.scores` gives.
- ONNX Runtime is asked about whole rows alone. One with a blank, or with a number that is not finite, goes to
  scikit-learn, which may refuse it; ONNX Runtime would not.
- What scikit-learn answers is equal to `Predictor.scores`, down to the models that it builds on. What ONNX Runtime
  answers comes from the chain that was compared, each model above in its own way.
- A session computes on one thread: who serves more at a time has more processes.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.data.few import Few, Rows, as_frame
from lockstep.declare import Task
from lockstep.registry import Registry, files_of, read_manifest
from lockstep.registry.removal import told_if_removed
from lockstep.training.inputs import KEY, Feed, Inputs
from lockstep.training.predictor import Floats, Predictor

ONNX_FILE: Final = "model.onnx"
ONNX: Final = "onnx"  # the key in the manifest
INSTALL: Final = 'install the extra "onnx"'
_FEW: Final = 64  # rows
_OLD: Final = "it was trained before Lockstep wrote ONNX files"

Known = MutableMapping[tuple[str, bool], Floats]


class Scorer(Protocol):
    """A model version that scores cleaned rows."""

    @property
    def predictor(self) -> Predictor:
        """The version."""

    @property
    def reason(self) -> str:
        """Why scikit-learn answers; blank where ONNX Runtime does."""

    @property
    def is_quick(self) -> bool:
        """Whether a few rows take less than a millisecond: nothing of the chain is scikit-learn's."""

    def scores(self, rows: Rows, known: Known) -> Floats:
        """As `Predictor.scores`; what was computed of these rows is found in `known`, and left there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Scikit-learn."""

    predictor: Predictor
    reason: str
    is_quick: bool = False

    def scores(self, rows: Rows, known: Known) -> Floats:
        """What the predictor says."""
        key = (self.predictor.digest, False)
        if key not in known:
            known[key] = self.predictor.scores(as_frame(rows))
        return known[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Portable:
    """ONNX Runtime.

    Attributes:
        session: the opened file.
        upstream: those that the model builds on.
    """

    predictor: Predictor
    session: "Session"
    upstream: tuple[Scorer, ...]
    reason: str = ""

    @property
    def is_quick(self) -> bool:
        """Whether all models above are quick."""
        return all(above.is_quick for above in self.upstream)

    def scores(self, rows: Rows, known: Known) -> Floats:
        """What ONNX Runtime says, and scikit-learn of the rows that it is not asked about."""
        key = (self.predictor.digest, True)
        if key not in known:
            known[key] = self._scores(rows, known)
        return known[key]

    def takes(self, rows: pl.DataFrame, known: Known) -> NDArray[np.bool_]:
        """Which rows ONNX Runtime is asked about (n)."""
        return self._feed(rows, known)[1]

    def _scores(self, few: Rows, known: Known) -> Floats:
        feed = self._feed_few(few, known) if 0 < few.height <= _FEW else None
        if feed is not None:
            found = self.session.run(feed)
            if np.isfinite(found).all():
                return found
        rows = as_frame(few)
        feed, taken = self._feed(rows, known)
        if not taken.any():
            return self.predictor.scores(rows)
        found = self.session.run(feed if taken.all() else {name: values[taken] for name, values in feed.items()})
        sound = np.isfinite(found).all(axis=1)
        if len(found) == rows.height and sound.all():
            return found
        taken[np.flatnonzero(taken)[~sound]] = False
        scores = np.empty((rows.height, found.shape[1]))
        scores[taken] = found[sound]
        scores[~taken] = self.predictor.scores(rows.filter(pl.Series(~taken)))
        return scores

    def _feed_few(self, rows: Rows, known: Known) -> Feed | None:
        if isinstance(rows, Few):
            values: dict[str, Sequence[Any]] = dict(rows.values)
        else:
            values = dict(zip(rows.columns, zip(*rows.rows(), strict=True), strict=True))
        for name, column in self._given(rows, known).items():
            values[name] = column.tolist()
        return self.session.inputs.of_few(values)

    def _feed(self, rows: pl.DataFrame, known: Known) -> tuple[Feed, NDArray[np.bool_]]:
        return self.session.inputs.of_many(rows, self._given(rows, known))

    def _given(self, rows: Rows, known: Known) -> dict[str, Floats]:
        """What the models above predict, by the names of the features."""
        found: dict[str, Floats] = {}
        for above in self.upstream:
            found |= above.predictor.named_predictions(above.scores(rows, known))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An opened ONNX file. `run`: the matrices that `inputs` makes → scores (n × classes, or n × 1)."""

    inputs: Inputs
    run: Callable[[Feed], Floats]


def open_session(data: bytes) -> Session:
    """Open an ONNX file.

    Raises:
        ImportError: ONNX Runtime is not installed.
        Exception: it can't use the file; its errors share no type.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised, too
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    if KEY not in told:
        raise ValueError("it does not say what it is given; an older Lockstep wrote it, so train the model again")
    outputs = [session.get_outputs()[0].name]

    def run(feed: Feed) -> Floats:
        found = np.asarray(session.run(outputs, feed)[0], dtype=np.float64)
        return found if found.ndim > 1 else found.reshape(-1, 1)

    return Session(inputs=Inputs.from_text(told[KEY]), run=run)


def load_scorer(registry: Registry, predictor: Predictor) -> Scorer:
    """How a loaded version answers, as its manifest and what is installed here allow.

    Raises:
        VersionRemoved, ObjectMissing, ObjectDamaged: a file is not what the log promises.
    """
    version = registry.state().model_by_digest(predictor.name, predictor.digest)
    with told_if_removed(registry.state, version):
        manifest = read_manifest(registry.objects, version.fact.manifest)
        told = manifest.get(ONNX, {"used": False, "reason": _OLD})
        if not told["used"]:
            return Plain(predictor=predictor, reason=str(told["reason"]))
        data = registry.objects.get(files_of(version.fact.manifest, manifest)[ONNX_FILE])
    try:
        session = open_session(data)
    except ImportError:
        return Plain(predictor=predictor, reason=f"ONNX Runtime is not installed here; {INSTALL}")
    except Exception as error:  # noqa: BLE001  its errors share no type
        return Plain(predictor=predictor, reason=f"ONNX Runtime here can't use the file ({_short(error)})")
    return Portable(
        predictor=predictor,
        session=session,
        upstream=tuple(load_scorer(registry, above) for above in predictor.upstream),
    )


def scores_name(task: Task) -> str:
    """The output of an ONNX file."""
    return "variable" if task is Task.REGRESSION else "probabilities"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no reason given'}"
