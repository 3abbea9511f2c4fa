"""The page of a version: what made it, what it was made of, and the way back to the log.

Rules:
- Every route needs a user who may read DAGs; there is no static mount, which would be public.
- It reads the registry, and changes nothing.
"""

import json
from typing import Annotated

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, Path
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from lockstep.errors import LockstepError, UsageError
from lockstep.registry import read_manifest
from lockstep.registry.lineage import find, lineage
from lockstep_airflow.tasks import open_registry

_pages = Environment(loader=PackageLoader("lockstep_airflow", "templates"), autoescape=True, undefined=StrictUndefined)


def create_app() -> FastAPI:
    """The app that Airflow mounts at /lockstep."""
    app = FastAPI(title="Lockstep", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/versions/{ref}", dependencies=[Depends(requires_access_dag(method="GET"))])
    def version(ref: Annotated[str, Path()]) -> HTMLResponse:
        """A version by its name, as `churn@3`."""
        try:
            registry = open_registry(None)
            state = registry.state()
            found = find(state, ref)
            is_there = not state.is_removed(found)  # what the log says of a removed version stays
            manifest = read_manifest(registry.objects, found.fact.manifest) if is_there else {}
        except LockstepError as error:
            status = 404 if isinstance(error, UsageError) else 500
            page = _pages.get_template("error.html").render(title=ref, message=str(error))
            return HTMLResponse(page, status_code=status)
        shown = json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else ""
        from lockstep.decisions.rule import Rule  # it brings the libraries of data, which the server starts without

        told = lineage(state, found)
        rule = Rule.from_json(told["rule"]).as_text() if "rule" in told else ""
        return HTMLResponse(_pages.get_template("version.html").render(title=ref, v=told, rule=rule, manifest=shown))

    return app
