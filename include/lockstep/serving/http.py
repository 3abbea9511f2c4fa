"""The decision API over HTTP: its routes, and what runs beside them.

Rules:
- Decisions take the shortest path (`asking`), past all middleware and routes; everything else is for whoever runs the
  service.
- The service is ready while every group with an API has a release to answer from. A registry that is away, or a newer
  release that can't be loaded, is a warning: to stop answering would make an outage of it.
- Every error is JSON with one sentence, under "detail".
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from lockstep import __version__
from lockstep.serving.asking import Decisions
from lockstep.serving.board import Board, OwnBoard
from lockstep.serving.decider import Decider
from lockstep.serving.guard import OPEN, Guard, Tokens
from lockstep.serving.metrics import CONTENT_TYPE, Metrics
from lockstep.serving.openapi import names_of, paths_of
from lockstep.serving.recorder import Recorder
from lockstep.serving.sending import App, Scope
from lockstep.serving.standing import readiness, standing
from lockstep.serving.watch import Watcher

_DECISIONS: Final = re.compile("/apis/([^/]+)/decisions")
_ABOUT: Final = "Decisions of the current releases. Every answer names the release and the versions that made it."


def create_app(
    decider: Decider,
    *,
    poll: float = 1.0,
    tokens: Tokens | None = None,
    recorder: Recorder | None = None,
    board: Board | None = None,
    settle: Callable[[], None] | None = None,
) -> FastAPI:
    """The FastAPI app.

    Args:
        decider: what answers.
        poll: seconds between two looks for a new release.
        tokens: of these, every request but a probe has to show one.
        recorder: is told of every answer.
        board: where this worker says what it knows, and reads what others do; by default it is alone.
        settle: is called when all is loaded, before the first answer.
    """
    board, tokens = board or OwnBoard(), tokens or Tokens(())
    metrics = Metrics(board)

    def states() -> Mapping[str, int]:
        return metrics.recorded(recorder.counts()) if recorder is not None else {}

    watcher = Watcher(decider, board, poll=poll, states=states)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if recorder is not None:
            await asyncio.to_thread(recorder.start)
        await asyncio.to_thread(watcher.start)
        if settle is not None:
            settle()
        yield
        await asyncio.to_thread(watcher.stop)
        if recorder is not None:
            await asyncio.to_thread(recorder.stop)
            states()

    decisions: App = Decisions(decider, metrics, recorder)
    app = _Direct(
        title="Lockstep decisions", version=__version__, description=_ABOUT, lifespan=lifespan, openapi_url=None
    )
    app.decisions = Guard(decisions, tokens=tokens, metrics=metrics) if tokens else decisions
    app.router.routes.append(Route("/apis/{api}/decisions", decisions, include_in_schema=False))  # below a root path
    _add_probes(app, decider, watcher, recorder, tokens)
    _add_reports(app, decider, metrics)
    _add_documentation(app, decider, tokens)
    app.add_exception_handler(HTTPException, _no_such_thing(decider))
    app.add_exception_handler(Exception, _broken)
    if tokens:
        app.add_middleware(Guard, tokens=tokens, metrics=metrics)
    return app


class _Direct(FastAPI):
    """FastAPI, but for decisions, which would wait for its middleware and routes as long as for HTTP itself."""

    decisions: App

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401  Starlette's types are wider
        """Answer a request."""
        found = _DECISIONS.fullmatch(scope["path"]) if scope["type"] == "http" and not scope.get("root_path") else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["path_params"] = {"api": found[1]}
        await self.decisions(scope, receive, send)


def _add_probes(app: FastAPI, decider: Decider, watcher: Watcher, recorder: Recorder | None, tokens: Tokens) -> None:
    @app.get("/healthz", tags=["probes"])
    async def healthz() -> dict[str, bool]:
        """The process is alive; nothing else is looked at."""
        return {"alive": True}

    @app.get("/readyz", tags=["probes"], responses={503: {"description": "A group has no release to answer from."}})
    async def readyz(request: Request) -> JSONResponse:
        """Whether every group has a release to answer from; who shows a token learns which, and what is wrong."""
        found = readiness(decider, watcher, recorder)
        status = HTTPStatus.OK if found["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
        if not tokens.admit(dict(request.headers.raw)):
            found = {"ready": found["ready"]}
        return JSONResponse(found, status_code=status)


def _add_reports(app: FastAPI, decider: Decider, metrics: Metrics) -> None:
    @app.get("/release", tags=["releases"])
    async def release() -> dict[str, Any]:
        """Of each group: the release that answers, since when and by whom, and its members with their versions."""
        return standing(decider)

    @app.get("/metrics", tags=["probes"], response_class=Response)
    def prometheus() -> Response:
        """Counts and gauges of all workers, in Prometheus' text format."""
        return Response(metrics.page(), media_type=CONTENT_TYPE)


def _add_documentation(app: FastAPI, decider: Decider, tokens: Tokens) -> None:
    known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def describe() -> dict[str, Any]:
        """The document, made again where a release has changed what it says."""
        now = tuple(sorted((group, loaded.release) for group, loaded in decider.releases.items()))
        if now not in known:
            plain = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            paths, schemas = paths_of(decider, guarded=bool(tokens))
            parts = plain.setdefault("components", {})
            parts.setdefault("schemas", {}).update(schemas)
            if tokens:
                parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                for path in set(plain["paths"]) - set(OPEN):
                    for operation in plain["paths"][path].values():
                        operation["security"] = [{"token": []}]
            known.clear()
            known[now] = {**plain, "paths": {**paths, **plain["paths"]}}
        return known[now]

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(describe())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="openapi.json", title=app.title)

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's own way to say it


async def _broken(request: Request, error: Exception) -> JSONResponse:
    """What nobody foresaw; the server logs it."""
    said = f"{request.url.path} broke with a {type(error).__name__}; the service's log says where."
    return JSONResponse({"detail": said}, status_code=HTTPStatus.INTERNAL_SERVER_ERROR)


def _no_such_thing(decider: Decider) -> Any:  # noqa: ANN401  a handler, in the type that Starlette wants
    async def handler(request: Request, error: Exception) -> JSONResponse:
        """A path or a method that there is not."""
        status, headers = getattr(error, "status_code", HTTPStatus.NOT_FOUND), getattr(error, "headers", None)
        path = request.url.path[:80]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (headers or {}).get("Allow", "another method")
            said = f"{path} is asked for by {allowed}, not by {request.method}."
        elif status == HTTPStatus.NOT_FOUND:
            there = [*names_of(decider), "/release", *OPEN, "/metrics", "/docs"]
            said = f"There is no {path}; there are {', '.join(there)}."
        else:
            said = str(error)
        return JSONResponse({"detail": said}, status_code=status, headers=headers)

    return handler
