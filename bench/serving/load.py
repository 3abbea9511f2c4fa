"""The load: clients that each ask again as soon as they are answered, in a process of their own.

`python -m bench.serving.load PORT PATH CLIENTS SECONDS KIND < bodies` prints one JSON object: answers a second, their
times, the processor time that the clients took for each, and how many were asked with the warm-up. A line of standard
input is the body of a request, in base64; clients take them in turn. KIND is its Content-Type.

Rules:
- A client is a thread with one open connection; requests are made before the clock starts, and of an answer no more is
  read than its status and length.
- An answer that is no 200 ends the run.
"""

import json
import socket
import sys
import threading
import time
from base64 import b64decode
from itertools import chain

WARM_UP = 0.3  # of the time that is measured


def requests_of(port: int, path: str, kind: str, bodies: list[bytes]) -> list[bytes]:
    """The bodies as HTTP requests."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def ask(connection: socket.socket, request: bytes) -> None:
    """Send one request, and read its answer."""
    connection.sendall(request)
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(connection)
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 200"):
        raise ValueError(f"An answer is no 200: {data[:500]!r}")
    at = head.index(b"content-length:") + len(b"content-length:")
    left = int(head[at:].split(b"\r\n", 1)[0]) - (len(data) - end - 4)
    while left > 0:
        left -= len(_more(connection))


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 18)
    if not data:
        raise ConnectionError("The server hung up.")
    return data


def client(
    port: int, requests: list[bytes], end: float, told: list[tuple[float, float]], wrong: list[Exception]
) -> None:
    """Ask until the end; note when each began and how long it took, and what went wrong."""
    try:
        _ask_until(port, requests, end, told)
    except (OSError, ValueError) as error:  # the end of a thread ends no run
        wrong.append(error)


def _ask_until(port: int, requests: list[bytes], end: float, told: list[tuple[float, float]]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        place = 0
        while (began := time.perf_counter()) < end:
            ask(connection, requests[place])
            place = (place + 1) % len(requests)
            told.append((began, time.perf_counter() - began))


def main(port: int, path: str, clients: int, seconds: float, kind: str) -> None:
    """Run all clients."""
    requests = requests_of(port, path, kind, list(map(b64decode, sys.stdin.buffer.read().splitlines())))
    begin, used = time.perf_counter() + WARM_UP * seconds, time.process_time()
    told: list[list[tuple[float, float]]] = [[] for _ in range(clients)]
    wrong: list[Exception] = []
    apart = len(requests) // clients  # so that no two ask about the same row at once
    threads = [
        threading.Thread(
            target=client, args=(port, requests[i * apart :] + requests[: i * apart], begin + seconds, found, wrong)
        )
        for i, found in enumerate(told)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise SystemExit(f"{len(wrong)} of {clients} clients ended early: {wrong[0]}")
    every = list(chain.from_iterable(told))
    times = sorted(took for began, took in every if began >= begin)
    own = (time.process_time() - used) / max(len(every), 1)
    print(json.dumps({"per_second": len(times) / seconds, "times": times, "own": own, "asked": len(every)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
