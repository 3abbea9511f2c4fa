"""Servers on loopback that keep what they are told: a webhook, a mail server, StatsD, and a collector of traces."""

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Heard:
    """What a server was told, and the port that it listens on."""

    def __init__(self) -> None:
        self.port = 0
        self.items: list[Any] = []


@contextmanager
def serving(server: socketserver.BaseServer, heard: Heard) -> Iterator[Heard]:
    """The server in a thread, for as long as it is needed."""
    heard.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def posts(read: Any = json.loads) -> Any:  # noqa: ANN401  a context manager of `Heard`
    """A web server that keeps the body of each POST as `read` reads it."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.items.append(read(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler), heard)


def datagrams() -> Any:  # noqa: ANN401  as above
    """A listener of UDP, as StatsD is one; keeps each line."""
    heard = Heard()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.items.extend(self.request[0].decode().splitlines())

    return serving(socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler), heard)


def mails() -> Any:  # noqa: ANN401  as above
    """A mail server that takes what it is sent; keeps each mail as its bytes."""
    heard = Heard()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 loopback")
            while line := self.rfile.readline():
                word = line.strip().upper()
                if re.match(rb"EHLO|HELO|MAIL|RCPT|RSET|NOOP", word):
                    self.say("250 ok")
                elif word == b"DATA":
                    self.say("354 go on")
                    heard.items.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self.say("250 taken")
                elif word == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("502 not known here")

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    return serving(Server(("127.0.0.1", 0), Handler), heard)


def spans() -> Any:  # noqa: ANN401  as above
    """A collector of OpenTelemetry's traces over HTTP; keeps each request as the collector's own message."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return posts(ExportTraceServiceRequest.FromString)
