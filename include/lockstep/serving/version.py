"""One model version over HTTP, in the words of Vertex AI's prediction containers: `python -m lockstep.serving`.

Rules:
- It listens only after the version and all that it builds on were read and verified: a container that is healthy
  answers from exactly that version, and from no other for as long as it lives.
- It needs the registry and the digest alone. The team's code comes from the recorded source, not from the image.
- An instance is a row as `clean` returned it. Every prediction names the version, so that whoever cuts it by a
  threshold can see that both belong together; `{"parameters": {"only": "version"}}` asks for that name alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from lockstep.declare import Task
from lockstep.errors import LockstepError, UsageError
from lockstep.registry import ObjectRef, Registry, read_manifest
from lockstep.training import Predictor, load_model
from lockstep.training.recorded import import_from
from lockstep.training.source import unpack

MOST_INSTANCES: Final = 10_000
_ONLY_VERSION: Final = {"only": "version"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A loaded version; `columns` are the types of the rows that it was trained on."""

    ref: str
    predictor: Predictor
    columns: Mapping[str, str]

    @property
    def identity(self) -> dict[str, str]:
        """What each prediction says of the version."""
        return {"model": self.ref, "digest": self.predictor.digest}

    def predict(self, instances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A prediction for each instance.

        Raises:
            UsageError: a feature is missing, or a value does not fit its column.
        """
        needed = _features(self.predictor)
        for place, instance in enumerate(instances):
            missing = sorted(needed - set(instance))
            if missing:
                raise UsageError(
                    f"Instance {place}: {', '.join(missing)} are missing; model {self.ref} needs"
                    f" {', '.join(sorted(needed))}, as clean returns them (null where nothing is known)."
                )
        values = {name: [instance[name] for instance in instances] for name in sorted(needed)}
        try:
            rows = pl.DataFrame(values, strict=False).cast(_dtypes(self.columns, needed))
        except (pl.exceptions.PolarsError, TypeError) as error:
            raise UsageError(f"The instances don't fit the columns of model {self.ref}: {error}") from error
        return [{**self._told(scores), **self.identity} for scores in self.predictor.scores(rows)]

    def _told(self, scores: NDArray[np.float64]) -> dict[str, Any]:
        if self.predictor.task is Task.REGRESSION:
            return {"prediction": float(scores[0])}
        classes = self.predictor.classes
        return {
            "prediction": classes[int(scores.argmax())],
            "probabilities": {str(label): float(score) for label, score in zip(classes, scores, strict=True)},
        }


def load_served(registry: Registry, name: str, digest: str) -> Served:
    """Load a version by the recorded source; what this process imports from is changed for good.

    Raises:
        UsageError: there is no such version.
        VersionRemoved, ObjectMissing, ObjectDamaged: a file is not what the log promises.
    """
    state = registry.state()
    version = state.model_by_digest(name, digest)
    manifest = read_manifest(registry.objects, version.fact.manifest)
    source = Path(mkdtemp(prefix="lockstep-serving-")) / "source"
    unpack(registry.objects.get(ObjectRef(**manifest["source"])), source)
    own = import_from(source)
    snapshot = state.snapshot_by_digest(version.fact.dataset, version.fact.snapshot)
    columns = read_manifest(registry.objects, snapshot.fact.manifest)["columns"]
    return Served(ref=version.ref, predictor=load_model(registry, version, own=own), columns=columns)


class Instances(BaseModel):
    """What Vertex AI sends to a container."""

    instances: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_INSTANCES)]
    parameters: dict[str, Any] | None = None


def create_version_app(served: Served, *, health: str, predict: str) -> FastAPI:
    """The FastAPI app, with its two routes."""
    app = FastAPI(title=f"Lockstep {served.ref}")

    @app.get(health)
    def healthy() -> dict[str, str]:
        """Which version answers."""
        return served.identity

    @app.post(predict)
    def answer(body: Instances) -> dict[str, Any]:
        """Predict each instance."""
        if body.parameters == _ONLY_VERSION:
            return {"predictions": [served.identity]}
        return {"predictions": served.predict(body.instances)}

    @app.exception_handler(LockstepError)
    def on_error(_: Request, error: LockstepError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400 if isinstance(error, UsageError) else 500)

    return app


def _features(model: Predictor) -> set[str]:
    """The columns that a caller gives: all but the predictions of the models that it builds on."""
    given = {name for above in model.upstream for name in above.prediction_names}
    return (set(model.features) - given).union(*(_features(above) for above in model.upstream))


def _dtypes(columns: Mapping[str, str], names: Iterable[str]) -> pl.Schema:
    """The types of columns that have a plain one, as `Float64`; not those with settings, like times."""
    found = {name: getattr(pl, columns.get(name, ""), None) for name in names}
    return pl.Schema({name: kind for name, kind in found.items() if isinstance(kind, pl.datatypes.DataTypeClass)})
