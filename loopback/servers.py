"""Real servers that stand for the clouds, each started on a free port of loopback.

Rules:
- A server is ended by the process that started it, and leaves nothing but files below the folder that it was given.
- `variables` are all that a client needs, and what a user of that cloud would set.
"""

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import obstore
from obstore.store import S3Store

from loopback.install import FOLDER
from loopback.relay import GcsFront, serving

BUCKET: Final = "lockstep-test"
USER: Final = "lockstep-user"
SECRET: Final = "lockstep-secret-of-minio"
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# `urlopen` would go by the proxy that was set when this process first used it, perhaps in a test that is long over.
DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE: Final = 60  # seconds for a server to come up, on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server with one bucket: `root` is its address, `variables` are what a client's environment has to say."""

    root: str
    port: int
    variables: Callable[[int], Mapping[str, str]]  # for the port where the client is to go

    def environment(self, port: int | None = None) -> Mapping[str, str]:
        """Name what a client needs to come to it, or to a relay before it."""
        return self.variables(port or self.port)


class ProgramMissing(RuntimeError):
    """A program that stands for a cloud, or another that a test needs, is not installed."""

    def __init__(self, name: str, install: str = "python3 loopback/install.py") -> None:
        super().__init__(f"{name} is missing: {install}")


def program(name: str) -> Path:
    """Find a server's program.

    Raises:
        ProgramMissing: it is neither installed by `loopback/install.py` nor on the path.
    """
    for folder in ("go", "npm/node_modules/.bin", "venv/bin"):
        if (found := FOLDER / folder / name).exists():
            return found
    on_path = shutil.which(name)
    if on_path is None:
        raise ProgramMissing(name)
    return Path(on_path)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def started(command: Sequence[str | Path], *, port: int, folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Run a server until the block ends; it listens on the port when the block begins."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not listens(port):
            said = (folder / "log").read_text(errors="replace")[-2000:]
            assert process.poll() is None, f"{command[0]} ended: {said}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen: {said}"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str) -> None:
    """Wait until a server says at that place that it is ready."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ask("GET", url)
        except OSError:
            assert time.monotonic() < deadline, f"{url} is not ready"
            time.sleep(0.05)
        else:
            return


def ask(method: str, url: str, body: bytes = b"", **headers: str) -> None:
    """Send a request that has to go well."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    with DIRECTLY.open(urllib.request.Request(url, data=body, method=method, headers=said)) as answer:  # noqa: S310
        assert answer.status < 300


@contextmanager
def gcs(folder: Path, *, backend: str = "memory") -> Iterator[Server]:
    """Run fake-gcs-server behind a front that speaks XML."""
    port = free_port()
    (folder / "seed" / BUCKET).mkdir(parents=True, exist_ok=True)  # makes the bucket
    command = [program("fake-gcs-server"), "-backend", backend, "-filesystem-root", folder / "root"]
    command += ["-scheme", "http", "-log-level", "error"]
    command += ["-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    command += ["-external-url", f"http://127.0.0.1:{port}", "-data", folder / "seed"]
    with started(command, port=port, folder=folder, variables={}), serving(GcsFront(port)) as front:
        yield Server(
            root=f"gs://{BUCKET}", port=front, variables=lambda at: {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{at}"}
        )


def s3_variables(user: str, secret: str) -> Callable[[int], Mapping[str, str]]:
    """Name what an S3 client has to know."""
    return lambda port: {
        "AWS_ACCESS_KEY_ID": user,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """Run moto's S3."""
    port = free_port()
    command = [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with started(command, port=port, folder=folder, variables={}):
        ask("PUT", f"http://127.0.0.1:{port}/{BUCKET}")
        yield Server(root=f"s3://{BUCKET}", port=port, variables=s3_variables("any", "any"))


@contextmanager
def minio(folder: Path) -> Iterator[Server]:
    """Run MinIO."""
    port = free_port()
    command = [program("minio"), "server", "--quiet", "--address", f"127.0.0.1:{port}", folder / "data"]
    variables = {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    variables |= {"MINIO_REGION": "us-east-1"}
    with started(command, port=port, folder=folder, variables=variables):
        wait_for(f"http://127.0.0.1:{port}/minio/health/cluster")
        root = S3Store(
            BUCKET,
            aws_endpoint_url_s3=f"http://127.0.0.1:{port}",
            access_key_id=USER,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        ask("PUT", obstore.sign(root, "PUT", "", timedelta(minutes=1)))  # the path of the bucket itself
        yield Server(root=f"s3://{BUCKET}", port=port, variables=s3_variables(USER, SECRET))


@contextmanager
def s3rver(folder: Path) -> Iterator[Server]:
    """Run s3rver, which ignores the condition that an object must not exist yet."""
    port = free_port()
    command = [program("s3rver"), "-d", folder / "data", "-a", "127.0.0.1", "-p", str(port)]
    with started([*command, "--configure-bucket", BUCKET], port=port, folder=folder, variables={}):
        yield Server(root=f"s3://{BUCKET}", port=port, variables=s3_variables("S3RVER", "S3RVER"))


@contextmanager
def azurite(folder: Path) -> Iterator[Server]:
    """Run Azurite's blobs."""
    port = free_port()
    command = [program("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
    command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with started(command, port=port, folder=folder, variables={}):
        signature = account_signature(services="c", may="rwdlc")
        url = f"http://127.0.0.1:{port}/{ACCOUNT}/{BUCKET}?restype=container&{signature}"
        ask("PUT", url, x_ms_version="2021-12-02")
        yield Server(root=f"az://{BUCKET}", port=port, variables=azure_variables)


def azure_variables(port: int) -> Mapping[str, str]:
    """Name what an Azure client has to know."""
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
    }


def account_signature(*, services: str, may: str) -> str:
    """Sign for the account (SAS): which kinds of resources, and what may be done to them, for an hour."""
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"sv": "2021-12-02", "ss": "b", "srt": services, "sp": may, "se": until, "spr": "https,http"}
    text = f"{ACCOUNT}\n{may}\nb\n{services}\n\n{until}\n\nhttps,http\n2021-12-02\n\n"
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return urlencode(said | {"sig": base64.b64encode(digest).decode()})


@contextmanager
def gcp_storage_emulator(folder: Path) -> Iterator[Server]:
    """Run gcp-storage-emulator, which has no XML interface."""
    port = free_port()
    command = [program("gcp-storage-emulator"), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with started([*command, f"--default-bucket={BUCKET}"], port=port, folder=folder, variables={}):
        yield Server(
            root=f"gs://{BUCKET}", port=port, variables=lambda at: {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{at}"}
        )


KINDS: Final = {
    "gcs": gcs,
    "gcs-on-disk": partial(gcs, backend="filesystem"),  # its memory takes in many keys ever slower
    "moto": moto,
    "minio": minio,
    "azurite": azurite,
    "s3rver": s3rver,
    "gcp-storage-emulator": gcp_storage_emulator,
}


class Servers:
    """Starts each server when it is first asked for, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self._found: dict[str, Server] = {}

    def __getitem__(self, kind: str) -> Server:
        """Give a running server."""
        if kind not in self._found:
            self._found[kind] = self._running.enter_context(KINDS[kind](self._folder / kind))
        return self._found[kind]

    def end(self) -> None:
        """End them all."""
        self._running.close()
