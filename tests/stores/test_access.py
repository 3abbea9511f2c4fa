"""Credentials and endpoints: found where each cloud's users expect them, or given outright, and asked for late."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import lockstep
from lockstep.errors import StoreUnusable, UsageError
from lockstep.registry import Access, Objects, Registry
from lockstep.registry.access import fixed
from lockstep.registry.address import Address, Kind
from lockstep.registry.stores import open_store
from loopback.install import VENV
from loopback.relay import Message, Relay, serving
from loopback.servers import ACCOUNT, KEY, SECRET, USER, Server, Servers, azure_variables, program

TOKEN: Final = "token-of-the-test"


class TokenServer(Relay):
    """Gives a token to whoever asks, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[Message] = []

    def answer(self, request: Message) -> Message:
        """Give the token."""
        self.asked.append(request)
        said = {"access_token": TOKEN, "expires_in": 3600, "expires_on": "4102444800", "token_type": "Bearer"}
        return Message(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(said).encode())


@pytest.fixture
def tokens() -> Iterator[tuple[TokenServer, str]]:
    """Run a server of tokens; gives its address too."""
    server = TokenServer()
    with serving(server) as port:
        yield server, f"http://127.0.0.1:{port}/token"


def test_opening_asks_nothing_and_reading_writes_nothing(cloud: Server, surroundings: pytest.MonkeyPatch) -> None:
    """Opening a registry sends no request; looking at an empty one sends none that could change anything."""
    relay = Relay(cloud.port)
    with serving(relay) as port:
        for name, value in cloud.environment(port).items():
            surroundings.setenv(name, value)
        registry = Registry.open(f"{cloud.root}/unread")
        assert relay.seen == []
        assert registry.state().head == 0
        assert {request.method for request in relay.seen} <= {"GET", "HEAD"}


@pytest.mark.parametrize("place", ["named by a variable", "in gcloud's folder"])
def test_key_of_a_service_account(
    place: str,
    servers: Servers,
    surroundings: pytest.MonkeyPatch,
    tmp_path: Path,
    tokens: tuple[TokenServer, str],
) -> None:
    """Application Default Credentials: a key is found, signed with at the first request, and its token used."""
    server, address = tokens
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {"type": "service_account", "client_email": "a@b.c", "private_key": pem.decode(), "token_uri": address}
    file = tmp_path / "application_default_credentials.json"
    file.write_text(json.dumps(key))
    if place == "named by a variable":
        surroundings.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    else:
        surroundings.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    relay = Relay(servers["gcs"].port)
    with serving(relay) as port:
        door = Access(config={"base_url": f"http://127.0.0.1:{port}"})
        objects = Objects.open(f"gs://lockstep-test/{file.stem}/{len(place)}", access=door)
        assert server.asked == []
        objects.put("models/x", b"x")
    assert {request.headers["authorization"] for request in relay.seen} == {f"Bearer {TOKEN}"}
    assertion = parse_qs(server.asked[0].body.decode())["assertion"][0]
    audience = "https://oauth2.googleapis.com/token"
    said = jwt.decode(assertion, private.public_key(), algorithms=["RS256"], audience=audience)
    assert said["scope"] == "https://www.googleapis.com/auth/cloud-platform"


WITH_SDKS: Final = """
import sys
sys.path.append(sys.argv[1])
from lockstep.registry import Objects
objects = Objects.open(sys.argv[2])
objects.put("models/x", b"x")
print(objects.names("models"))
"""


def with_sdks(uri: str) -> str:
    """Write to a registry in a process that has boto3 and azure-identity too."""
    _ = program("moto_server")  # beside which they are installed
    (packages,) = VENV.glob("lib/python3.*/site-packages")
    done = subprocess.run(
        [sys.executable, "-c", WITH_SDKS, packages, uri],
        cwd=Path(lockstep.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_profile_of_aws(servers: Servers, surroundings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS's default chain: with boto3, the profile that AWS_PROFILE names counts, its region too."""
    server = servers["minio"]
    (tmp_path / "credentials").write_text(f"[team]\naws_access_key_id = {USER}\naws_secret_access_key = {SECRET}\n")
    (tmp_path / "config").write_text("[profile team]\nregion = us-east-1\n")
    for name, value in {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "team",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}",
    }.items():
        surroundings.setenv(name, value)
    assert with_sdks(f"{server.root}/profile") == "['models/x']\n"
    surroundings.setenv("AWS_PROFILE", "nobody")
    assert "could be had (ProfileNotFound)" in with_sdks(f"{server.root}/profile")


def test_identity_of_azure(servers: Servers, surroundings: pytest.MonkeyPatch, tokens: tuple[TokenServer, str]) -> None:
    """Azure's default identity: with azure-identity, the token of the machine's own identity reaches the store."""
    relay = Relay(servers["azurite"].port)
    with serving(relay) as port:
        surroundings.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        surroundings.setenv("AZURE_STORAGE_ENDPOINT", azure_variables(port)["AZURE_STORAGE_ENDPOINT"])
        surroundings.setenv("IDENTITY_ENDPOINT", tokens[1])
        surroundings.setenv("IDENTITY_HEADER", "header")
        said = with_sdks("az://lockstep-test/identity")  # Azurite wants TLS before it looks at a token
    assert "does not let these credentials in (403" in said
    assert {request.headers["authorization"] for request in relay.seen} == {f"Bearer {TOKEN}"}
    assert tokens[0].asked[0].headers["X-IDENTITY-HEADER"] == "header"


ENDPOINT: Final = "http://127.0.0.1:{port}/devstoreaccount1"
AZURE: Final = {
    "connection string": {
        "AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={ENDPOINT};"
    },
    "emulator": {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURE_STORAGE_ENDPOINT": ENDPOINT},
    "as the az command": {
        "AZURE_STORAGE_ACCOUNT": ACCOUNT,
        "AZURE_STORAGE_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": ENDPOINT,
    },
    "as obstore": {
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        "AZURE_STORAGE_ENDPOINT": ENDPOINT,
    },
}


@pytest.mark.parametrize("variables", AZURE)
def test_variables_of_azure(variables: str, servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """Each set of variables that Azure's tools know leads in."""
    for name, value in AZURE[variables].items():
        surroundings.setenv(name, value.format(port=servers["azurite"].port))
    objects = Objects.open(f"abfs://lockstep-test/{variables.replace(' ', '-')}")
    objects.put("models/x", b"x")
    assert objects.names("models") == ["models/x"]


def test_account_of_the_address_counts(surroundings: pytest.MonkeyPatch) -> None:
    """An address that names an account leads to that one, whatever account the environment is of."""
    surroundings.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;SharedAccessSignature=sv=1&sig=2")
    store = open_store(Address.parse("abfss://box@mine123.dfs.core.windows.net/a"))
    assert store.handle.config["account_name"] == "mine123"
    assert "endpoint" not in store.handle.config
    assert store.endpoint is None


def test_given_credentials_count_alone(servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """What is given outright is not mixed with the surroundings, and holds for who opens the address again."""
    server = servers["minio"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        surroundings.setenv(name, "of-another-account")
    surroundings.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    access = Access(
        config={"endpoint": f"http://127.0.0.1:{server.port}", "region": "us-east-1"},
        credentials=fixed(access_key_id=USER, secret_access_key=SECRET, token=None),
    )
    uri = "s3://team@lockstep-test/given"
    objects = Objects.open(uri, access=access)
    assert objects.uri == uri
    objects.put("models/x", b"x")
    assert Objects.open(uri).names("models") == ["models/x"]
    with pytest.raises(StoreUnusable):
        Objects.open("s3://lockstep-test/given").names("models")


ADDRESSES: Final = {
    "gs://bucket": (Kind.GCS, "bucket", "", None, None),
    "gs://bucket/a/b/": (Kind.GCS, "bucket", "a/b", None, None),
    "gs://google_cloud_default@bucket/a": (Kind.GCS, "bucket", "a", None, "google_cloud_default"),
    "s3://my.bucket-1/a b": (Kind.S3, "my.bucket-1", "a b", None, None),
    "az://box/a": (Kind.AZURE, "box", "a", None, None),
    "abfs://wasb@box/a": (Kind.AZURE, "box", "a", None, "wasb"),
    "abfss://box@account.dfs.core.windows.net/a": (Kind.AZURE, "box", "a", "account", None),
    "https://account.blob.core.windows.net/box/a/b": (Kind.AZURE, "box", "a/b", "account", None),
    "memory://name/a": (Kind.MEMORY, "name/a", "", None, None),
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_address_is_read(uri: str) -> None:
    """Each form of an address names the store, the bucket, the prefix, and whose account or connection it is."""
    found = Address.parse(uri)
    assert (found.kind, found.bucket, found.prefix, found.account, found.connection) == ADDRESSES[uri]
    assert found.uri == uri.rstrip("/")


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://host/registry",
        "http://host",
        "file://host/registry",
        "memroy://x",
        "gs://",
        "gs:///a",
        "gs://b$/x y",
        "s3://",
        "https://example.com/box",
        "https://account.blob.core.windows.net",
        "az://a@b@c/d",
        "gs://bu cket",
    ],
)
def test_unknown_kind_of_address_is_refused(uri: str) -> None:
    """An address that no store answers is refused with those that are known."""
    with pytest.raises(UsageError) as refused:
        Objects.open(uri)
    assert str(refused.value) == (
        f'Registry "{uri}": this kind of address is unknown; allowed are a folder, file:///folder, memory://name,'
        " gs://bucket/prefix, s3://bucket/prefix and az://container/prefix."
    )


@pytest.mark.parametrize("prefix", ["a/../b", "..", "a//b", "./a", "a%2e%2e", "a#b", "a\\b", "a\nb", "a*"])
def test_prefix_that_could_lead_elsewhere_is_refused(prefix: str) -> None:
    """A prefix that is not plain names separated by one slash is refused."""
    for root in ("gs://bucket", "s3://bucket", "az://bucket", "https://account.blob.core.windows.net/box"):
        with pytest.raises(UsageError, match="the prefix is not allowed"):
            Objects.open(f"{root}/{prefix}")
