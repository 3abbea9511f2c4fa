"""HTTP servers between a client and a server: one that loses answers, and one that speaks to fake-gcs-server.

Rules:
- A request is passed on whole before its answer is, or is not, passed back: what is lost was done.
- Which answers get lost follows from a seed and the order in which requests come in.
- They listen on loopback, and only for one test or one session.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from socket import IPPROTO_TCP, SHUT_RDWR, TCP_NODELAY
from ssl import SSLContext
from threading import Lock, Thread
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length"}  # said anew on each side
PAGE: Final = 1000  # keys, as the clouds have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request, with method and path, or an answer, with a status."""

    method: str = ""
    path: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Relay:
    """Passes requests on to a port, and answers back; `lose` is the share of writes whose answer it drops."""

    def __init__(self, port: int, *, lose: float = 0, seed: int = 0) -> None:
        self.upstream = port
        self.lost = 0
        self.seen: list[Message] = []  # without their bodies
        self._lose, self._random, self._lock = lose, Random(seed), Lock()  # noqa: S311  not for secrets
        self._idle: list[HTTPConnection] = []

    def answer(self, request: Message) -> Message | None:
        """What the server says; None where that gets lost."""
        answer = self.ask(request)
        with self._lock:
            if request.method in ("GET", "HEAD") or self._random.random() >= self._lose:
                return answer
            self.lost += 1
        return None

    def ask(self, request: Message) -> Message:
        """Ask the server behind."""
        self.seen.append(replace(request, body=b""))
        while True:
            connection, reused = (self._idle.pop(), True) if self._idle else (self._connect(), False)
            try:
                connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
                for name, value in request.headers.items():
                    if name.lower() not in _HOP:
                        connection.putheader(name, value)
                if request.body or request.method in ("PUT", "POST"):
                    connection.putheader("Content-Length", str(len(request.body)))
                connection.endheaders(request.body or None)
                found = connection.getresponse()
                body = found.read()
            except OSError:
                connection.close()
                if reused:  # the server has closed it while it was idle
                    continue
                raise
            self._idle.append(connection)
            own = _HOP | {"date", "server"}
            headers = {name: value for name, value in found.getheaders() if name.lower() not in own}
            length = found.getheader("Content-Length") if request.method == "HEAD" else str(len(body))
            return Message(status=found.status, headers=headers | {"Content-Length": length or "0"}, body=body)

    def close(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        connection.connect()
        connection.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        return connection


class GcsFront(Relay):
    """Speaks Google's XML interface, which obstore uses, to fake-gcs-server, which has much of it as JSON only.

    It keeps nothing: the objects, and the condition that an object must not exist yet, are the server's.
    """

    def answer(self, request: Message) -> Message | None:
        """Translate a request and its answer."""
        url = urlsplit(request.path)
        bucket, _, name = url.path.lstrip("/").partition("/")
        if not name and request.method == "GET":
            return self._list(bucket, {key: values[0] for key, values in parse_qs(url.query).items()})
        if request.method == "PUT":
            return self._put(bucket, unquote(name), request)
        answer = self.ask(_with_host(request, self.upstream))
        if answer.status == 404:
            return self._missing(bucket, body=request.method != "HEAD")
        return answer

    def _put(self, bucket: str, name: str, request: Message) -> Message:
        headers = {key.lower(): value for key, value in request.headers.items()}
        if source := headers.get("x-goog-copy-source"):
            of, _, copied = unquote(source).lstrip("/").partition("/")
            path = f"/storage/v1/b/{of}/o/{quote(copied, safe='')}/copyTo/b/{bucket}/o/{quote(name, safe='')}"
            answer = self._json("POST", path)
        else:
            said = {"uploadType": "media", "name": name}
            if "x-goog-if-generation-match" in headers:
                said["ifGenerationMatch"] = headers["x-goog-if-generation-match"]
            answer = self._json("POST", f"/upload/storage/v1/b/{bucket}/o?{urlencode(said)}", request.body)
        if answer.status == 404:
            return self._missing(bucket)
        if answer.status != 200:
            return _xml(f"<Error><Code>Fake{answer.status}</Code></Error>", answer.status)
        made = json.loads(answer.body)
        return Message(status=200, headers={"ETag": f'"{made["etag"]}"', "x-goog-generation": str(made["generation"])})

    def _list(self, bucket: str, asked: dict[str, str]) -> Message:
        said = {"prefix": asked.get("prefix", ""), "maxResults": str(PAGE)}
        if "continuation-token" in asked:
            said["pageToken"] = asked["continuation-token"]
        if "start-after" in asked:
            said["startOffset"] = asked["start-after"] + "\0"
        answer = self._json("GET", f"/storage/v1/b/{bucket}/o?{urlencode(said)}")
        if answer.status == 404:
            return self._missing(bucket)
        found = json.loads(answer.body)
        contents = "".join(
            f"<Contents><Key>{escape(item['name'])}</Key><LastModified>{item['updated']}</LastModified>"
            f"<Size>{item['size']}</Size><ETag>&quot;{escape(item['etag'])}&quot;</ETag></Contents>"
            for item in found.get("items", [])
        )
        token = found.get("nextPageToken")
        further = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        return _xml(f"<ListBucketResult>{contents}{further}</ListBucketResult>", 200)

    def _missing(self, bucket: str, *, body: bool = True) -> Message:
        there = self._json("GET", f"/storage/v1/b/{bucket}").status == 200
        code = "NoSuchKey" if there else "NoSuchBucket"
        return _xml(f"<Error><Code>{code}</Code></Error>" if body else "", 404)

    def _json(self, method: str, path: str, body: bytes = b"") -> Message:
        headers = {"Content-Type": "application/octet-stream"}
        return self.ask(_with_host(Message(method=method, path=path, headers=headers, body=body), self.upstream))


def _with_host(request: Message, port: int) -> Message:
    headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
    headers["Host"] = f"127.0.0.1:{port}"
    return Message(method=request.method, path=request.path, headers=headers, body=request.body)


def _xml(body: str, status: int) -> Message:
    headers = {"Content-Type": "application/xml", "Content-Length": str(len(body.encode()))}
    return Message(status=status, headers=headers, body=body.encode())


class Answers(Protocol):
    """Whatever answers requests."""

    def answer(self, request: Message) -> Message | None:
        """Answer, or None to hang up."""

    def close(self) -> None:
        """Give back what it holds."""


@contextmanager
def serving(relay: Answers, *, tls: SSLContext | None = None) -> Iterator[int]:
    """Let it listen; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # the client has gone
                self.close_connection = True

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = relay.answer(Message(method=self.command, path=self.path, headers=dict(self.headers), body=body))
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(SHUT_RDWR)
                return
            self.send_response(answer.status)
            for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815  the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        relay.close()
