"""The way from Google's clients to loopback: what passes, what is refused, and whom it is that they trust."""

import socket
import ssl
import urllib.error
import urllib.request

import pytest

from loopback.google import Google, authority
from loopback.relay import Message, serving


class Echo:
    """Answers with the path that was asked for."""

    def answer(self, request: Message) -> Message:
        """Repeat the path."""
        return Message(status=200, body=request.path.encode())

    def close(self) -> None:
        """Nothing to give back."""


def test_a_host_of_google_leads_to_loopback(way: Google) -> None:
    """A pattern of hosts is led to a port, over TLS that a client trusts by its environment."""
    with serving(Echo(), tls=authority().context()) as port:
        way.proxy.route("*-something.googleapis.com", port)
        with urllib.request.build_opener().open("https://a-something.googleapis.com/path") as answer:
            assert answer.read() == b"/path"


@pytest.mark.parametrize("url", ["https://example.com/", "https://storage.googleapis.com/", "http://example.com/"])
def test_everything_else_is_refused(way: Google, url: str) -> None:
    """Whatever has no place on this machine is refused by the proxy, and named."""
    before = len(way.proxy.refused)
    with pytest.raises(urllib.error.URLError, match="403"):
        urllib.request.build_opener().open(url)
    assert url.split("/")[2] in way.proxy.refused[before]


def test_this_machine_passes(way: Google) -> None:
    """A client that takes no notice of `no_proxy` comes to 127.0.0.1 all the same."""
    with serving(Echo()) as port, socket.create_connection(("127.0.0.1", way.proxy.port)) as line:
        line.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        line.sendall(b"GET /here HTTP/1.0\r\n\r\n")
        assert b"/here" in line.makefile("rb").read()


def test_nobody_else_trusts_the_authority() -> None:
    """A client without the variables does not take the certificate."""
    with (
        serving(Echo(), tls=authority().context()) as port,
        socket.create_connection(("127.0.0.1", port)) as line,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context(cafile=None, capath="/nowhere").wrap_socket(line, server_hostname="localhost")


def test_credentials_are_had_as_usual() -> None:
    """Google's own library finds the key by the environment, and gets a token for it."""
    import google.auth
    from google.auth.transport.requests import Request

    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())
    assert (credentials.token, project) == ("of-loopback", "lockstep-loopback")
