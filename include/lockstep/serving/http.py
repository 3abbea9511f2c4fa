"""The decision API over HTTP.

Rules:
- Each response comes from one release, which it names.
- What is wrong with a row is answered for that row; what is wrong with a request is an error with one sentence.
"""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from lockstep.errors import LockstepError, UsageError
from lockstep.serving.decider import Decider, NotReleased

logger = logging.getLogger(__name__)
MOST_ROWS = 10_000


class Rows(BaseModel):
    """The rows to decide on: column name → value, in the columns of the dataset; labels may be missing."""

    model_config = ConfigDict(extra="forbid")
    rows: Annotated[list[dict[str, str | int | float | bool | None]], Field(min_length=1, max_length=MOST_ROWS)]


def create_app(decider: Decider, *, poll: float = 1.0) -> FastAPI:
    """The FastAPI app; it looks for a new release every `poll` seconds."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(poll):
            _refresh(decider)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        _refresh(decider)
        watcher = threading.Thread(target=watch, name="lockstep-release-watcher", daemon=True)
        watcher.start()
        yield
        stop.set()
        watcher.join()

    app = FastAPI(title="Lockstep decisions", lifespan=lifespan)

    @app.get("/health")
    def health() -> JSONResponse:
        """Which release of each group answers; status 503 until there is one, or while a newer one can't be loaded."""
        found = {group: loaded.release for group, loaded in decider.releases.items()}
        healthy = bool(found) and not decider.errors
        return JSONResponse({"releases": found, "errors": dict(decider.errors)}, status_code=200 if healthy else 503)

    @app.post("/apis/{api}/decisions")
    def decide(api: Annotated[str, Path()], body: Rows) -> dict[str, Any]:
        """Decide on each row."""
        answers = decider.decide(api, body.rows)
        return {"api": api, "release": answers[0]["release"], "answers": answers}

    @app.exception_handler(LockstepError)
    def on_error(_: Request, error: LockstepError) -> JSONResponse:
        status = 404 if isinstance(error, UsageError) else 503 if isinstance(error, NotReleased) else 500
        return JSONResponse({"detail": str(error)}, status_code=status)

    return app


def _refresh(decider: Decider) -> None:
    """Look for a new release; one that can't be loaded is logged and shown by /health, and the old one goes on."""
    try:
        decider.refresh()
    except LockstepError as error:
        logger.error("%s", error)  # noqa: TRY400  the sentence says it all
