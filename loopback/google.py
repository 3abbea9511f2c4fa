"""A way for Google's own, unchanged clients to servers of loopback: a proxy, a certificate authority, and tokens.

Rules:
- `variables` are all that a client's process needs. In them stands a proxy that leads hosts of Google to ports of this
  machine; what is on 127.0.0.1 passes, and all else is refused, so that nothing ever leaves this machine.
- The authority is made anew by each process, is kept as long as that lasts, and vouches for `*.googleapis.com` only.
- A line that is cut is cut for both sides: what a client loses that way was done by the server.
"""

import atexit
import json
import re
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from loopback.relay import Message, serving

PROJECT: Final = "lockstep-loopback"
HOSTS: Final = ("*.googleapis.com", "localhost")
_CONNECT: Final = re.compile(rb"CONNECT ([\w.-]+|\[[0-9a-f:]+\]):(\d+) HTTP/1\.[01]\r\n")
_HEAD: Final = 65536  # bytes, at most, of what a client says before its line is through


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Files of an authority and of the one certificate that it gave."""

    trusted: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """What a server on TLS needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@cache
def authority() -> Authority:
    """Make this process's authority; gRPC reads whom it trusts once in a process, so there is one."""
    folder = Path(tempfile.mkdtemp(prefix="lockstep-authority-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    keys = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Lockstep loopback", HOSTS[0])]
    own = x509.SubjectKeyIdentifier.from_public_key(keys[0].public_key())
    may = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    ) | {"decipher_only": False}
    root = (
        _certificate(names[0], names[0], keys[0])
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(own, critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **may),
            critical=True,
        )
        .sign(keys[0], hashes.SHA256())
    )
    known = [x509.DNSName(host) for host in HOSTS] + [x509.IPAddress(ip_address("127.0.0.1"))]
    leaf = (
        _certificate(names[1], names[0], keys[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
        .sign(keys[0], hashes.SHA256())
    )
    made = Authority(trusted=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "key.pem")
    made.trusted.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    made.key.touch(mode=0o600)
    made.key.write_bytes(_pem(keys[1]))
    return made


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


class Proxy:
    """Takes CONNECT, and leads patterns of hosts (as `*-aiplatform.googleapis.com`) to ports of loopback."""

    def __init__(self) -> None:
        self.refused: list[str] = []  # hosts that a client asked for and did not get
        self._routes: dict[str, int] = {}
        self._lines: dict[int, tuple[socket.socket, socket.socket]] = {}  # by the port that the server sees
        self._lock = Lock()
        self._listens = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listens.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def route(self, pattern: str, port: int) -> None:
        """Lead hosts to a port; of several patterns that fit, the first counts."""
        self._routes[pattern] = port

    @contextmanager
    def leading(self, patterns: Iterable[str], port: int) -> Iterator[None]:
        """Lead hosts to a port until the block ends; then they lead where they led before."""
        before = dict(self._routes)
        for pattern in patterns:
            self.route(pattern, port)
        try:
            yield
        finally:
            self._routes = before

    def cut(self, port: int) -> None:
        """Cut the line that comes to a server from that port, on both sides and at once."""
        with self._lock:
            line = self._lines.pop(port, ())
        for end in line:
            _hang_up(end)

    def close(self) -> None:
        """Stop, and cut all lines."""
        _hang_up(self._listens)
        self._listens.close()
        for port in list(self._lines):
            self.cut(port)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listens.accept()
            except OSError:  # closed
                return
            Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and len(head) < _HEAD:
                more = client.recv(4096)
                if not more:
                    return
                head += more
            asked = _CONNECT.match(head)
            port = self._leads(asked[1].decode(), int(asked[2])) if asked else None
            if port is None:
                self.refused.append(head.partition(b"\r\n")[0].decode(errors="replace"))
                client.sendall(b"HTTP/1.1 403 Not on loopback\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", port)) as server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                seen: int = server.getsockname()[1]
                with self._lock:
                    self._lines[seen] = client, server
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()
                self.cut(seen)

    def _leads(self, host: str, port: int) -> int | None:
        if host in ("127.0.0.1", "localhost"):
            return port
        return next((to for pattern, to in self._routes.items() if fnmatchcase(host, pattern)), None)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            target.sendall(part)
    except OSError:  # one side has hung up
        pass
    _hang_up(target)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # it has hung up already
        end.shutdown(socket.SHUT_RDWR)


class Identity:
    """Answers `oauth2.googleapis.com/token`, and clients that ask which locations an account is allowed."""

    def answer(self, request: Message) -> Message:
        """Whoever asks gets a token, and is allowed every location."""
        said: dict[str, object] = {"access_token": "of-loopback", "expires_in": 3600, "token_type": "Bearer"}
        if request.path.endswith("/allowedLocations"):
            said = {"locations": [], "encodedLocations": "0x0"}
        return Message(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(said).encode())

    def close(self) -> None:
        """It holds nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Google:
    """The way in.

    Attributes:
        proxy: `proxy.route(pattern, port)` adds a service, whose port speaks TLS as `authority().context()` has it.
        variables: what a client's process needs.
    """

    proxy: Proxy
    variables: Mapping[str, str]


@contextmanager
def google(folder: Path) -> Iterator[Google]:
    """Open the way in, and write the key of a service account into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as until:
        proxy = until.enter_context(closing(Proxy()))
        identity = until.enter_context(serving(Identity(), tls=authority().context()))
        for host in ("oauth2.googleapis.com", "iamcredentials.googleapis.com"):
            proxy.route(host, identity)
        yield Google(proxy=proxy, variables=_variables(proxy.port, _service_account(folder / "service-account.json")))


def _service_account(path: Path) -> Path:
    said = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "loopback",
        "private_key": _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)).decode(),
        "client_email": f"lockstep@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(said))
    return path


def _variables(port: int, key: Path) -> Mapping[str, str]:
    proxy, direct, trusted = f"http://127.0.0.1:{port}", "127.0.0.1,localhost", str(authority().trusted)
    connection = {"conn_type": "google_cloud_platform", "extra": {"key_path": str(key), "project": PROJECT}}
    return {
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        **dict.fromkeys(("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), trusted),
        "NO_GCE_CHECK": "true",  # there is no metadata server to look for
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
    }
