"""`lockstep serve`: decisions over HTTP, from one process or from several workers.

Rules:
- Each worker loads the releases and looks for new ones by itself; one that dies is replaced.
- Told to end (SIGTERM, Ctrl-C), it takes no more requests, answers those under way, and then ends. Workers whose
  supervisor was killed end so too.
"""

import gc
import multiprocessing
import os
import signal
import socket
import threading
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from lockstep.cli import say
from lockstep.cli.context import Context
from lockstep.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lockstep.serving import Decider
    from lockstep.serving.guard import Tokens
    from lockstep.serving.recorder import Recorder

GRACE: Final = 30  # seconds that requests under way have to be answered
_IDLE: Final = 75  # seconds that a connection may wait for its next request: longer than a proxy in front keeps it
_SILENCE: Final = 60  # seconds without a sign of life, after which a worker is replaced


def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen; 0: at a free port.", min=0, max=65535)] = 8000,
    poll: Annotated[float, typer.Option(help="Seconds between two looks for a new release.", min=0.05)] = 1.0,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1, max=256)] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with a token a line, one of which clients must show; default: LOCKSTEP_TOKEN, or none."
        ),
    ] = None,
    log: Annotated[
        Literal["off", "registry", "stdout"],
        typer.Option(help="Where the decision log goes: what was asked and answered, without private columns."),
    ] = "off",
    shadow: Annotated[
        Literal["staging"] | None,
        typer.Option(help="Decide by what stands in staging, too; only the decision log is told."),
    ] = None,
) -> None:
    """Answer decisions over HTTP from the current releases, and switch to a new one whole."""
    from lockstep.serving.guard import read_tokens

    tokens = read_tokens(token_file, os.environ)
    ctx.obj.registry()  # what is wrong with the words is said here, once, and not by each worker
    ctx.obj.graphs()
    if shadow is not None and log == "off":
        raise UsageError(
            "--shadow needs --log registry or --log stdout: what a shadow decides is told to the decision log alone."
        )
    worker = Worker(context=ctx.obj, poll=poll, tokens=tokens, log=log, shadow=shadow)
    with _listen(host, port) as listener:
        if not tokens and is_open(listener.getsockname()[0]):
            say.message("warning: no token is set, so whoever reaches this address gets answers (--token-file).")
        say.message(f"decisions at http://{_address(listener)}/docs")
        if workers == 1:
            _run_alone(worker, listener)
        else:
            _run_workers(worker, listener, workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Makes the app in the process that answers; `folder` is what several workers share."""

    context: Context
    poll: float
    tokens: "Tokens"
    log: str = "off"
    shadow: str | None = None
    folder: Path | None = None

    def __call__(self) -> "FastAPI":
        """The app."""
        from lockstep.serving import Decider, create_app
        from lockstep.serving.board import SharedBoard

        if self.folder is not None:
            _end_with_the_supervisor()
        decider = Decider(self.context.registry(), self.context.graphs().all)
        board = SharedBoard(self.folder) if self.folder is not None else None
        return create_app(
            decider,
            poll=self.poll,
            tokens=self.tokens,
            recorder=self._recorder(decider),
            board=board,
            settle=_spare_what_is_loaded,
        )

    def _recorder(self, decider: "Decider") -> "Recorder | None":
        from lockstep.serving.recording import LogTo, ShadowOf, open_recording

        shadow = ShadowOf(self.shadow) if self.shadow is not None else None
        graphs = self.context.graphs().all
        return open_recording(decider.registry, graphs, log=LogTo(self.log), shadow=shadow, poll=self.poll)


def _spare_what_is_loaded() -> None:
    """Have the garbage collector leave alone what stays: looking through it slows large requests."""
    gc.collect()
    gc.freeze()


def _run_alone(worker: Worker, listener: socket.socket) -> None:
    import uvicorn

    try:
        uvicorn.Server(_config(worker, workers=1)).run(sockets=[listener])
    except KeyboardInterrupt:
        return  # Ctrl-C: all was answered before it is raised again


def _run_workers(worker: Worker, listener: socket.socket, count: int) -> None:
    """Run uvicorn's own supervisor; it hands the worker to processes that it starts anew, so nothing is forked."""
    from uvicorn.supervisors import Multiprocess

    class Supervisor(Multiprocess):
        def terminate_all(self) -> None:
            """Listen no more, so that who comes now is refused at once rather than left waiting; then end them."""
            listener.close()
            super().terminate_all()

    with TemporaryDirectory(prefix="lockstep-serve-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # the workers' prometheus_client reads it at its import
        os.environ.setdefault("POLARS_MAX_THREADS", "1")  # the workers are what runs at the same time
        shared = replace(worker, folder=Path(folder))
        supervisor = Supervisor(_config(shared, workers=count), sockets=[listener])
        supervisor.run()
        failed = [process.exitcode for process in supervisor.processes if process.exitcode not in (0, -signal.SIGTERM)]
    if failed:
        raise typer.Exit(1)


def _config(worker: Worker, *, workers: int) -> Any:  # noqa: ANN401  uvicorn's
    import uvicorn

    return uvicorn.Config(
        worker,
        factory=True,
        workers=workers,
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=GRACE,
        timeout_worker_healthcheck=_SILENCE,
    )


def _end_with_the_supervisor() -> None:
    """Have this worker end in order once the process that started it is gone."""
    supervisor = multiprocessing.parent_process()

    def wait() -> None:
        if supervisor is not None:
            supervisor.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lockstep-supervisor-watcher", daemon=True).start()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that all workers share."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}: nobody can listen there: {error.strerror or error}. Choose another port, or"
            " end what listens there."
        ) from None
    return listener


def is_open(address: str) -> bool:
    """Whether others than this machine can reach it."""
    return not ip_address(address).is_loopback


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
