"""A token keeps out whoever does not show it, from everything but the probes, and is written down nowhere."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lockstep.errors import UsageError
from lockstep.registry import Registry
from lockstep.serving import Decider, create_app
from lockstep.serving.guard import Tokens, read_tokens
from tests.training import shop
from tests.training.conftest import open_shop

Row = dict[str, Any]
OLD, NEW = "an-old-token-0123456789", "a-new-token-9876543210"


@pytest.fixture(scope="module")
def client(released_template: Path) -> Iterator[TestClient]:
    """Ask an app that knows two tokens."""
    registry = Registry.open(open_shop(released_template).registry.uri)
    app = create_app(Decider(registry, [shop.graph]), tokens=Tokens([OLD, NEW]))
    with TestClient(app) as opened:
        yield opened


@pytest.mark.parametrize(
    "path", ["/release", "/metrics", "/docs", "/openapi.json", "/nothing", "/apis/offers/decisions"]
)
def test_everything_else_needs_a_token(client: TestClient, path: str) -> None:
    """Without a token, whatever there is or is not behind a path is answered by 401 and how to do better."""
    response = client.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="lockstep"'
    assert response.json() == {"detail": "This needs a token: send it as Authorization: Bearer …"}


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer ", f"Bearer {OLD}x", f"Bearer {OLD[:-1]}", f"Basic {OLD}", OLD, "Bearer ü"]
)
def test_what_is_no_good_token_is_refused(client: TestClient, a_row: Row, shown: str) -> None:
    """Part of a token, more than a token, another scheme: all are refused."""
    headers = {"Authorization": shown.encode()}
    assert client.post("/apis/calls/decisions", json=a_row, headers=headers).status_code == 401


@pytest.mark.parametrize("shown", [f"Bearer {OLD}", f"Bearer {NEW}", f"bearer {OLD}"])
def test_each_of_the_tokens_is_good(client: TestClient, a_row: Row, shown: str) -> None:
    """A token can be replaced while clients still show the old one."""
    headers = {"Authorization": shown}
    assert client.post("/apis/calls/decisions", json=a_row, headers=headers).status_code == 200
    assert client.get("/release", headers=headers).status_code == 200


def test_probes_are_open_and_say_little(client: TestClient) -> None:
    """Whoever asks without a token learns that it lives and is ready; with one, which releases answer."""
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True}
    told = client.get("/readyz", headers={"Authorization": f"Bearer {NEW}"}).json()
    assert set(told) == {"ready", "groups", "registry", "warnings"}


def test_the_documentation_says_so(client: TestClient) -> None:
    """The OpenAPI document asks for a bearer token wherever one is needed, and nowhere else."""
    told = client.get("/openapi.json", headers={"Authorization": f"Bearer {NEW}"}).json()
    assert told["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == (None if path in ("/healthz", "/readyz") else [{"token": []}])


def test_no_token_is_written_down(client: TestClient, a_row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a good token nor a bad one stands in a log, an answer or a representation."""
    with caplog.at_level(logging.DEBUG):
        for shown in (NEW, "a-bad-token"):
            response = client.post("/apis/calls/decisions", json=a_row, headers={"Authorization": f"Bearer {shown}"})
            assert shown not in response.text + caplog.text
    page = client.get("/metrics", headers={"Authorization": f"Bearer {NEW}"}).text
    assert 'lockstep_requests_total{api="",status="401"}' in page
    assert repr(Tokens([NEW])) == "Tokens(1)"


def test_tokens_of_a_file(tmp_path: Path) -> None:
    """A file holds a token a line; it stands above the variable, and where neither is, everybody may ask."""
    file = tmp_path / "tokens"
    file.write_text(f"{OLD}\n\n  {NEW}\n", encoding="utf-8")
    both = read_tokens(file, {"LOCKSTEP_TOKEN": "another"})
    assert [both.admit({b"authorization": f"Bearer {one}".encode()}) for one in (OLD, NEW, "another")] == [
        True,
        True,
        False,
    ]
    alone = read_tokens(None, {"LOCKSTEP_TOKEN": "another\n"})
    assert alone.admit({b"authorization": b"Bearer another"})
    assert not read_tokens(None, {})
    assert read_tokens(None, {}).admit({})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "can't be read: No such file or directory. Give a file with a token a line."),
        (b"\xff\xfe", "can't be read: it is no UTF-8. Give a file with a token a line."),
        (b"\n \n", "holds no token. Make one: openssl rand -hex 32; or leave it out, and all may ask."),
        (b"two words\n", "a token has letters, digits and signs, and no blanks. Make one: openssl rand -hex 32."),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """A token that was meant and is not there is an error, not an open door; no message quotes what the file holds."""
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_tokens(file, {})
    assert str(caught.value).endswith(sentence)


def test_an_empty_variable_is_no_open_door() -> None:
    """A variable that is set to nothing was meant to be a token."""
    with pytest.raises(UsageError, match="LOCKSTEP_TOKEN holds no token"):
        read_tokens(None, {"LOCKSTEP_TOKEN": " "})
