"""The app that Airflow mounts at /lockstep: the answers of the API, the files of the web UI, and one redirect.

Rules:
- Every route needs a user who is logged in, and shows groups by the right to read their DAGs. There is no static mount,
  which would be public.
- It changes nothing: what people do goes to Airflow's own API.
- An error is {"detail": "a sentence"}.
"""

from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse

from lockstep_airflow.ui import dist, libraries
from lockstep_airflow.ui.answering import answer
from lockstep_airflow.ui.data import data
from lockstep_airflow.ui.diffs import diff, newest
from lockstep_airflow.ui.drift import comparing, drift
from lockstep_airflow.ui.group import group as group_page
from lockstep_airflow.ui.groups import groups as all_groups
from lockstep_airflow.ui.groups import summary as in_short
from lockstep_airflow.ui.history import history as past_of
from lockstep_airflow.ui.history import sets_with_diffs
from lockstep_airflow.ui.made import made as made_by
from lockstep_airflow.ui.search import search as find_all
from lockstep_airflow.ui.shapes import HistoryKind, Stage
from lockstep_airflow.ui.version import version as version_page
from lockstep_airflow.ui.versions import place_of
from lockstep_airflow.ui.versions import versions as versions_of
from lockstep_airflow.ui.viewer import ViewerDep, viewer
from lockstep_airflow.ui.warnings import warnings as all_warnings
from lockstep_airflow.ui.weighing import weighed
from lockstep_airflow.ui.world import Place, Scene, World

Before = Annotated[int | None, Query(ge=1)]
Limit = Annotated[int, Query(ge=1, le=200)]
Kinds = Annotated[list[HistoryKind] | None, Query()]
Text = Annotated[str, Query(max_length=400)]


def create_app() -> FastAPI:
    """The app, with a world of its own."""
    app = FastAPI(title="Lockstep", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(RequestValidationError, _refused)
    world = World()
    app.include_router(_across(world), prefix="/api")
    app.include_router(_of_a_group(world), prefix="/api/groups/{group}")
    app.include_router(_files())
    return app


def _refused(_: Request, error: Exception) -> JSONResponse:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    return JSONResponse({"detail": f"{first['loc'][-1] if first['loc'] else 'The request'}: {first['msg']}"}, 422)


def _across(world: World) -> APIRouter:
    """Routes over all groups that may be seen."""

    def scene(user: ViewerDep) -> Scene:
        return world.scene(user)

    SceneDep = Annotated[Scene, Depends(scene)]  # noqa: N806  a type
    router = APIRouter()

    @router.get("/groups")
    def groups(request: Request, scene: SceneDep) -> Response:
        """Every group with its gate, production, drift and what waits."""
        version = (scene.version(), _consulted(scene), comparing.turns)
        return answer(request, version, lambda: all_groups(scene))

    @router.get("/warnings")
    def warnings(request: Request, scene: SceneDep) -> Response:
        """What should be looked at."""
        return answer(request, scene.version(), lambda: all_warnings(scene))

    @router.get("/search")
    def search(request: Request, scene: SceneDep, q: Text = "") -> Response:
        """Whatever has that name, hash or job."""
        return answer(request, scene.version(), lambda: find_all(scene, q))

    @router.get("/made")
    def made(
        request: Request, scene: SceneDep, dag_id: Text, run_id: Text, task_id: Text, map_index: int = -1
    ) -> Response:
        """What a task instance made."""
        return answer(request, scene.version(), lambda: made_by(scene, dag_id, run_id, task_id, map_index))

    @router.get("/find/{ref}")
    def find(request: Request, scene: SceneDep, ref: str) -> Response:
        """Where a version is shown."""
        return answer(request, scene.version(), lambda: place_of(scene, ref))

    @router.get("/summary")
    def summary(request: Request, scene: SceneDep) -> Response:
        """How the groups stand, in short."""
        return answer(request, (scene.version(), _consulted(scene)), lambda: in_short(scene))

    return router


def _of_a_group(world: World) -> APIRouter:
    """Routes of one group."""

    def place(user: ViewerDep, group: str) -> Place:
        return world.place(user, group)

    PlaceDep = Annotated[Place, Depends(place)]  # noqa: N806  a type
    router = APIRouter()

    @router.get("")
    def page(request: Request, place: PlaceDep) -> Response:
        """The graph, the verdict, and what may be done."""
        version = (place.version(), _consulted(place.scene))
        return answer(request, version, lambda: group_page(place))

    @router.get("/versions")
    def versions(
        request: Request,
        place: PlaceDep,
        node: str | None = None,
        stage: Stage | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> Response:
        """Versions, newest first."""
        return answer(request, place.version(), lambda: versions_of(place, node, stage, before, limit))

    @router.get("/versions/{ref}")
    def version(request: Request, place: PlaceDep, ref: str) -> Response:
        """All of a version."""
        return answer(request, place.version(), lambda: version_page(place, ref))

    @router.get("/history")
    def history(
        request: Request, place: PlaceDep, kind: Kinds = None, before: Before = None, limit: Limit = 50
    ) -> Response:
        """What was done, newest first."""
        version = (place.version(), sets_with_diffs(place))
        return answer(request, version, lambda: past_of(place, kind or (), before, limit))

    @router.get("/diffs/{digest}")
    def diffs(request: Request, place: PlaceDep, digest: str) -> Response:
        """The decision diff of a set."""
        return answer(request, (place.version(), newest(place, digest)), lambda: diff(place, digest))

    @router.get("/data")
    def datasets(request: Request, place: PlaceDep) -> Response:
        """The datasets with their snapshots."""
        return answer(request, place.version(), lambda: data(place))

    @router.get("/snapshots/{ref}")
    def snapshots(request: Request, place: PlaceDep, ref: str) -> Response:
        """All of a snapshot."""
        libraries.load()
        from lockstep_airflow.ui.snapshot import snapshot

        return answer(request, place.version(), lambda: snapshot(place, ref))

    @router.get("/drift")
    def drifted(
        request: Request, place: PlaceDep, dataset: str | None = None, reference: str | None = None
    ) -> Response:
        """Drift of a dataset over time."""
        return answer(request, place.version(), lambda: drift(place, dataset, reference))

    return router


def _consulted(scene: Scene) -> tuple[Any, ...]:
    """What of the verdicts hangs on files that come without an entry of the log."""
    found = (weighed(group, scene.seen(group)) for group in scene.declared.values() if group.group.release_if)
    return tuple((one.verdict.status, one.verdict.reasons) for one in found if one is not None)


def _files() -> APIRouter:
    """The files of the web UI, and the address of a version's page from before it."""
    router = APIRouter(dependencies=[Depends(viewer)])

    @router.get("/ui/{file}")
    def ui(request: Request, file: str) -> Response:
        """A file that was built."""
        return dist.serve(request, file)

    @router.get("/versions/{ref}")
    def old_page(ref: str) -> Response:
        """To the page of a version."""
        return RedirectResponse(page_of(ref), 307)

    return router


def page_of(ref: str) -> str:
    """Where the page of a version is, below whatever path Airflow is served at."""
    base = urlsplit(str(conf.get("api", "base_url", fallback="/"))).path.rstrip("/")
    return f"{base}/plugin/lockstep/versions/{quote(ref, safe='')}"
