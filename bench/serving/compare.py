"""Benchmark i: decisions over HTTP, the same churn pipeline behind everyone, one after the other on one machine.

Rules:
- Ours is `lockstep serve` as it is started by anybody, with one worker: it parses and cleans the raw row, decides by a
  threshold of a release and names every version. The peers get rows that are clean already, and only predict.
- Peers: `mlflow models serve` (its scoring server, one process), FastAPI around `predict_proba` with polars and with
  pandas, and FastAPI that answers a constant: the floor.
- A thousand rows come as JSON, which ours and its peers read, and to ours also as an Arrow stream.
- Ours with its decision log is a server of its own beside ours without.
- Without HTTP, a thousand rows are decided on in process; see `in_process`.
- All rounds of one peer take turns with ours, so that whatever else the machine does meets everybody.
"""

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import polars as pl
import psutil

from bench.registry import peer
from bench.report import Aim, Report, Row, percentile
from bench.serving import in_process, pipeline
from demo import simulate
from groups.churn import customers, graph
from lockstep.data import clean_rows, parse_rows, take_snapshot
from lockstep.decisions import tune_threshold
from lockstep.registry import Origin, Registry
from lockstep.release import promote, release
from lockstep.serving.body import ARROW
from lockstep.training import resolve_upstream, train_model

ROOT: Final = Path(__file__).resolve().parents[2]
ORIGIN: Final = Origin(by="bench")
PATIENCE: Final = 120.0  # seconds for a server to start
MANY: Final = 1000  # rows of a large request
BODIES: Final = 200
ROUNDS, SECONDS = 5, 4.0
ROUNDS_IN_PROCESS: Final = 40
MLFLOW, BARE, PANDAS, CONSTANT, OURS = "MLflow", "bare FastAPI", "bare FastAPI with pandas", "constant FastAPI", "ours"
LOGGED: Final = "ours with the decision log"
ARROWS: Final = "ours with Arrow"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs: where it is asked, one row (many bodies) and many rows (one)."""

    process: int
    port: int
    path: str
    single: bytes
    many: bytes
    kind: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one server and one kind of load: median of answers a second, all times in ms, the client's own in µs.

    Attributes:
        used: processor time of the server for an answer, in ms, the median; it does not depend on who else is busy.
    """

    per_second: float
    p50: float
    p99: float
    own: float
    used: float


def run(*, small: bool) -> Report:
    """Prepare, start everyone, take turns."""
    rounds, seconds = (1, 0.5) if small else (ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as place, ExitStack() as running:
        folder = Path(place)
        rows = _prepare(folder, 800 if small else 6000)
        alone = in_process.measure(folder, rows, rounds=5 if small else ROUNDS_IN_PROCESS)
        servers = {
            OURS: running.enter_context(_ours(folder, rows)),
            LOGGED: running.enter_context(_ours(folder, rows, "--log", "registry")),
            BARE: running.enter_context(_endpoint("bare", folder, rows)),
            PANDAS: running.enter_context(_endpoint("pandas", folder, rows)),
            CONSTANT: running.enter_context(_endpoint("constant", folder, rows)),
        }
        notes: list[str] = []
        try:
            servers[MLFLOW] = running.enter_context(_mlflow(folder, rows))
        except peer.PeerMissing as missing:
            notes.append(str(missing))
        single = {
            clients: _turns(servers, clients, rounds, seconds, lambda server: server.single) for clients in (1, 8)
        }
        wide = {name: servers[name] for name in (OURS, LOGGED, BARE, PANDAS)}
        wide[ARROWS] = replace(servers[OURS], many=b64encode(rows["arrow"]), kind=ARROW)
        many = _turns(wide, 1, rounds, seconds, lambda server: server.many)
        own = ", ".join(f"{found[OURS].own:.0f} µs with {clients}" for clients, found in single.items())
        notes.append(f"clients are threads of one process; of its processor time each answer of ours took {own}")
        notes.append(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return _report(single, many, alone, notes)


def _prepare(folder: Path, count: int) -> dict[str, Any]:
    """A release of the churn group, and the same rows clean, for the peers."""
    simulate.write(folder / "data" / "customers", 1, count)
    os.environ["LOCKSTEP_DATA"] = str(folder / "data")
    registry = Registry.open((folder / "registry").as_uri())
    snapshot = take_snapshot(registry, customers, ORIGIN)
    made: dict[str, str] = {}
    for name in ("churn", "churn_reason"):
        upstream = resolve_upstream(graph, name, registry.state(), made)
        version = train_model(registry, graph, name, ORIGIN, snapshot=snapshot, upstream=upstream).version
        made[name] = version.digest
        for threshold in graph.thresholds_of(name):
            tune_threshold(registry, graph, threshold.name, ORIGIN, model=version)
        promote(registry, graph.group("churn"), version.ref, ORIGIN)
    release(registry, graph.group("churn"), ORIGIN)
    text = simulate.simulate(1, count, simulate.SEED)
    clean = clean_rows(customers, parse_rows(text, customers.schema).good)
    clean.write_parquet(folder / "clean.parquet")
    clean.write_csv(folder / "clean.csv")
    raw = parse_rows(text, customers.schema).good.drop("Churn")
    return {
        "raw": raw.head(MANY).to_dicts(),
        "arrow": _stream(raw.head(MANY)),
        "clean": clean.drop("Churn", "customerID").head(MANY).to_dicts(),
    }


def _lines(bodies: Sequence[Any]) -> bytes:
    return b"\n".join(b64encode(json.dumps(body).encode()) for body in bodies)


def _stream(rows: pl.DataFrame) -> bytes:
    written = io.BytesIO()
    rows.write_ipc_stream(written, compat_level=pl.CompatLevel.oldest())
    return written.getvalue()


@contextmanager
def _ours(folder: Path, rows: Mapping[str, Any], *options: str) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "lockstep", "--registry", (folder / "registry").as_uri()]
    command += ["--graph", "groups.churn:graph", "serve", "--port", str(port), *options]
    with _running(command, port, folder / f"ours{''.join(options)}.log") as process:
        raw = rows["raw"]
        server = Server(
            process=process,
            port=port,
            path="/apis/calls/decisions",
            single=_lines(raw[:BODIES]),
            many=_lines([{"rows": raw}]),
        )
        _wait_until_it_answers(server)
        yield server


@contextmanager
def _endpoint(which: str, folder: Path, rows: Mapping[str, Any]) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "bench.serving.endpoints", which, "--port", str(port)]
    with _running([*command, "--data", str(folder / "clean.parquet")], port, folder / f"{which}.log") as process:
        clean = rows["clean"]
        server = Server(
            process=process, port=port, path="/", single=_lines(clean[:BODIES]), many=_lines([{"rows": clean}])
        )
        _wait_until_it_answers(server)
        yield server


@contextmanager
def _mlflow(folder: Path, rows: Mapping[str, Any]) -> Iterator[Server]:
    """MLflow's scoring server.

    Raises:
        PeerMissing: its environment is not there and can't be made.
    """
    python, port = peer.python(), _free_port()
    child = [python, Path(__file__).with_name("mlflow_child.py"), folder / "clean.csv", folder / "model"]
    subprocess.run([*child, json.dumps(pipeline.as_json())], check=True, capture_output=True, cwd=folder)
    command = [str(python), "-m", "mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    with _running(command, port, folder / "mlflow.log", PATH=path) as process:
        asked = [{"dataframe_records": [row]} for row in rows["clean"][:BODIES]]
        many = [{"dataframe_records": rows["clean"]}]
        server = Server(process=process, port=port, path="/invocations", single=_lines(asked), many=_lines(many))
        _wait_until_it_answers(server)
        yield server


@contextmanager
def _running(command: Sequence[str], port: int, log: Path, **environ: str) -> Iterator[int]:
    """A process group of its own, which is ended as a whole: MLflow's server has children."""
    path = os.pathsep.join(str(ROOT / name) for name in ("include", "plugins", "."))
    environment = {**os.environ, "PYTHONPATH": path, **environ}
    if environ:
        del environment["PYTHONPATH"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        until = time.monotonic() + PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[:4]} does not serve: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _wait_until_it_answers(server: Server) -> None:
    """A server that listens may still be loading."""
    until = time.monotonic() + PATIENCE
    while (ended := _load(server, server.single, 1, 0.1)).returncode:
        if time.monotonic() > until:
            raise RuntimeError(f"{server.path} does not answer: {ended.stderr[-2000:]}")
        time.sleep(0.2)


def _load(server: Server, bodies: bytes, clients: int, seconds: float) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "bench.serving.load", str(server.port), server.path, str(clients), str(seconds)]
    command.append(server.kind)
    return subprocess.run(command, cwd=ROOT, input=bodies, capture_output=True, check=False)


def _turns(
    servers: Mapping[str, Server],
    clients: int,
    rounds: int,
    seconds: float,
    asked: Callable[[Server], bytes],
) -> dict[str, Found]:
    """Each server in turn, as often as there are rounds."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    times: dict[str, list[float]] = {name: [] for name in servers}
    own: dict[str, list[float]] = {name: [] for name in servers}
    used: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            before = _used(server.process)
            ended = _load(server, asked(server), clients, seconds)
            if ended.returncode:
                raise RuntimeError(f"{name}: {ended.stderr.decode(errors='replace')[-2000:]}")
            found = json.loads(ended.stdout)
            rates[name].append(found["per_second"])
            times[name] += found["times"]
            own[name].append(found["own"])
            used[name].append((_used(server.process) - before) / max(found["asked"], 1))
    return {
        name: Found(
            per_second=median(rates[name]),
            p50=percentile(times[name], 0.5) * 1000,
            p99=percentile(times[name], 0.99) * 1000,
            own=median(own[name]) * 1e6,
            used=median(used[name]) * 1000,
        )
        for name in servers
    }


def _used(process: int) -> float:
    """Seconds of processor time that a process and its children have used."""
    found = psutil.Process(process)
    times = [one.cpu_times() for one in (found, *found.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _report(
    single: Mapping[int, Mapping[str, Found]],
    many: Mapping[str, Found],
    alone: Mapping[str, in_process.Taken],
    notes: Sequence[str],
) -> Report:
    rows: list[Row] = []
    aims: list[Aim] = []
    for clients, found in single.items():
        ours = found[OURS]
        crowd = "1 client" if clients == 1 else f"{clients} clients"
        for name in (MLFLOW, BARE, PANDAS, CONSTANT, LOGGED):
            if name in found:
                its = found[name]
                rows.append(Row(what=f"{crowd}, {name}", ours=ours.per_second, peer=its.per_second, unit="/s"))
                rows.append(Row(what=f"{crowd}, {name}, p50", ours=ours.p50, peer=its.p50))
                rows.append(Row(what=f"{crowd}, {name}, p99", ours=ours.p99, peer=its.p99))
                rows.append(Row(what=f"{crowd}, {name}, processor time", ours=ours.used, peer=its.used))
        mlflow = found[MLFLOW].per_second if MLFLOW in found else None
        against = ours.per_second / mlflow if mlflow else None
        aims.append(Aim(what=f"{crowd}: throughput of MLflow's", value=against, at_least=20))
        of_floor = ours.per_second / found[CONSTANT].per_second
        aims.append(Aim(what=f"{crowd}: throughput of the floor's", value=of_floor, at_least=0.5))
    for kind, name in ((OURS, BARE), (OURS, PANDAS), (OURS, LOGGED), (ARROWS, BARE), (ARROWS, PANDAS)):
        ours, its = many[kind], many[name]
        what = f"{MANY} rows at once, {kind}, {name}"
        rows.append(Row(what=what, ours=ours.per_second, peer=its.per_second, unit="/s"))
        rows.append(Row(what=f"{what}, p50", ours=ours.p50, peer=its.p50))
        rows.append(Row(what=f"{what}, processor time", ours=ours.used, peer=its.used))
        if name != LOGGED:
            aims.append(Aim(what=what, value=ours.per_second / its.per_second, at_least=5))
    own = alone[in_process.OURS]
    for name in (in_process.POLARS, in_process.PANDAS):
        taken, what = alone[name], f"{MANY} rows in process, {name}"
        rows.append(Row(what=what, ours=own.passed, peer=taken.passed))
        rows.append(Row(what=f"{what}, processor time", ours=own.used, peer=taken.used))
        aims.append(Aim(what=f"{what}: times as fast", value=taken.passed / own.passed, at_least=5))
    return Report(
        title="Decisions over HTTP: one row a request, and many",
        peer=f"{peer.PINNED}, FastAPI around predict_proba, FastAPI with a constant answer",
        rows=rows,
        aims=aims,
        notes=notes,
    )
