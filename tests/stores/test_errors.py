"""What goes wrong with a store is told in a sentence that names what, which, and what to do; no secret is told."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from lockstep.errors import LockstepError, StoreUnusable, UsageError
from lockstep.registry import Access, ObjectRef, Objects
from lockstep.registry.access import fixed
from loopback.servers import ACCOUNT, BUCKET, Server, Servers, account_signature, azure_variables, s3_variables

PLANTED: Final = "cGxhbnRlZHNlY3JldA=="  # also a key of Azure's form
NAMES: Final = {"gcs": "Google Cloud Storage", "moto": "S3", "minio": "S3", "azurite": "Azure Blob Storage"}
REF: Final = ObjectRef(path="models/x", sha256="0" * 64, size=1)


def uses(objects: Objects) -> list[Callable[[], Any]]:
    """All that can be asked of a store."""
    return [
        lambda: objects.put("models/x", b"x"),
        lambda: objects.put_new("models/x", b"x"),
        lambda: objects.move("scratch/x", "models/x"),
        lambda: objects.get(REF),
        lambda: objects.get_unverified("models/x"),
        lambda: objects.describe("models/x"),
        lambda: objects.check(REF),
        lambda: objects.exists("models/x"),
        lambda: objects.names("log"),
        lambda: objects.names("log", after="log/1"),
        lambda: list(objects.listing("log")),
        lambda: objects.delete("models/x"),
        lambda: objects.delete_scratch("scratch/x"),
    ]


def said_by_all(objects: Objects) -> set[str]:
    """Collect what each use says when it fails, without what each of them names or the server's code for it."""
    said: set[str] = set()
    for use in uses(objects):
        with pytest.raises(StoreUnusable) as refused:
            use()
        said.add(str(refused.value))
    return said


def name_of(server: Server) -> str:
    """Name the cloud as messages do."""
    kind = {"gs": "Google Cloud Storage", "s3": "S3", "az": "Azure Blob Storage"}[server.root.partition(":")[0]]
    return f"{kind} at 127.0.0.1:{server.port}"


def test_wrong_bucket_is_named(cloud: Server) -> None:
    """Whatever is asked of a bucket that is not there, the answer says which it is and where it was looked for."""
    uri = cloud.root.replace(BUCKET, "no-such-bucket")
    noun = "container" if uri.startswith("az:") else "bucket"
    start = f'Registry "{uri}": there is no {noun} "no-such-bucket" in {name_of(cloud)} ('
    for said in said_by_all(Objects.open(uri)):
        assert said.startswith(start)
        assert said.endswith("). Create it, or correct the address.")


@pytest.mark.parametrize("kind", ["minio", "azurite"])
def test_no_permission_is_told(kind: str, servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """Whatever is asked with credentials that do not fit, the answer says so, and what they must allow."""
    server = servers[kind]
    wrong = s3_variables("nobody", PLANTED)(server.port)
    if kind == "azurite":
        wrong = {**azure_variables(server.port), "AZURE_STORAGE_ACCOUNT_KEY": PLANTED}
    for name, value in wrong.items():
        surroundings.setenv(name, value)
    start = f'Registry "{server.root}": {name_of(server)} does not let these credentials in (403'
    for said in said_by_all(Objects.open(server.root)):
        assert said.startswith(start)
        assert "). Give others, or let these list, read, write and delete in " in said


def test_reader_that_may_not_write_is_told(servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """Credentials that may only read are refused when they write."""
    server = servers["azurite"]
    signature = account_signature(services="co", may="rl")
    surroundings.setenv("AZURE_STORAGE_ENDPOINT", azure_variables(server.port)["AZURE_STORAGE_ENDPOINT"])
    access = Access(config={"account_name": ACCOUNT}, credentials=fixed(sas_token=signature))
    objects = Objects.open(f"{server.root}/read-only", access=access)
    assert objects.names("log") == []
    with pytest.raises(StoreUnusable, match=r"does not let these credentials in \(403 Authorization\w+\)"):
        objects.put("models/x", b"x")


def test_wrong_region_is_told(servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """A bucket of another region is told, with the variable that names the region."""
    server = servers["minio"]
    for name, value in {**server.environment(), "AWS_REGION": "eu-central-1"}.items():
        surroundings.setenv(name, value)
    sentence = (
        f'Registry "{server.root}": bucket "{BUCKET}" in {name_of(server)} is of another region (400'
        " AuthorizationHeaderMalformed). Set AWS_REGION to that of the bucket."
    )
    objects = Objects.open(server.root)
    for use in (lambda: objects.names("log"), lambda: objects.put("models/x", b"x"), lambda: objects.get(REF)):
        with pytest.raises(StoreUnusable) as refused:
            use()
        assert str(refused.value) == sentence


def test_no_network_is_told_within_seconds(cloud: Server, surroundings: pytest.MonkeyPatch) -> None:
    """A server that is not there is given up in less than ten seconds, with a sentence that says where it should be."""
    for name, value in cloud.environment(1).items():
        surroundings.setenv(name, value)
    objects = Objects.open(cloud.root)
    sentence = (
        f'Registry "{cloud.root}": {name_of(replace(cloud, port=1))} can\'t be reached, or broke off (connect). Check'
        " the network and where the address leads, and try again."
    )
    for use in (lambda: objects.names("log"), lambda: objects.put("models/x", b"x"), lambda: objects.exists("log/1")):
        began = time.monotonic()
        with pytest.raises(StoreUnusable) as refused:
            use()
        assert str(refused.value) == sentence
        assert time.monotonic() - began < 10


NO_CREDENTIALS: Final = {
    "gs://lockstep-test": "no credentials for Google Cloud Storage could be had (DefaultCredentialsError). Give"
    " Application Default Credentials (gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS); or"
    " name an Airflow connection.",
    "s3://lockstep-test": "no credentials for S3 could be had. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
    " install boto3 for profiles and single sign-on; or name an Airflow connection.",
    "abfss://lockstep-test@account.dfs.core.windows.net": "no credentials for Azure Blob Storage could be had. Set"
    " AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_CONNECTION_STRING, or install"
    " azure-identity for all other ways; or name an Airflow connection.",
}


@pytest.mark.parametrize("uri", NO_CREDENTIALS)
@pytest.mark.usefixtures("surroundings")
def test_no_credentials_is_told(uri: str) -> None:
    """Where the surroundings hold no credentials, the answer says where they are looked for."""
    with pytest.raises(StoreUnusable) as refused:
        Objects.open(uri).names("log")
    assert str(refused.value) == f'Registry "{uri}": {NO_CREDENTIALS[uri]}'


@pytest.mark.usefixtures("surroundings")
def test_azure_without_an_account_is_told_when_opened() -> None:
    """On Azure somebody has to name the account: the address or the environment."""
    with pytest.raises(StoreUnusable, match=r"^Registry \"az://box\": no credentials .* AZURE_STORAGE_ACCOUNT_NAME"):
        Objects.open("az://box")


def planted(port: int, kind: str) -> Mapping[str, str]:
    """Plant a secret in every variable that a cloud's client may read one from."""
    if kind == "azure-key":
        return {**azure_variables(port), "AZURE_STORAGE_ACCOUNT_KEY": PLANTED}
    if kind == "azure-sas":
        endpoint = azure_variables(port)["AZURE_STORAGE_ENDPOINT"]
        said = f"AccountName={ACCOUNT};BlobEndpoint={endpoint};SharedAccessSignature=sv=2021-12-02&sp=rw&sig={PLANTED}"
        return {"AZURE_STORAGE_CONNECTION_STRING": said}
    return {**s3_variables("nobody", PLANTED)(port), "AWS_SESSION_TOKEN": f"token-{PLANTED}"}


@pytest.mark.parametrize("kind", ["s3", "azure-key", "azure-sas"])
@pytest.mark.parametrize("network", ["there", "gone"])
def test_no_secret_is_told(kind: str, network: str, servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """No error, nor anything that hangs on it, repeats a secret; the address and the objects do not show it either."""
    server = servers["minio" if kind == "s3" else "azurite"]
    for name, value in planted(server.port if network == "there" else 1, kind).items():
        surroundings.setenv(name, value)
    objects = Objects.open(f"{server.root}/planted")
    asked = uses(objects) if network == "there" else uses(objects)[7:9]
    for use in asked:
        with pytest.raises(StoreUnusable) as refused:
            use()
        assert_tells_nothing(refused.value)
    assert PLANTED not in f"{objects.uri} {objects!r} {vars(objects)!r}"


def assert_tells_nothing(error: BaseException) -> None:
    """Look for the planted secret in an error and in all that it is linked to."""
    shown = "".join(traceback.format_exception(error, chain=True))
    linked: BaseException | None = error
    while linked is not None:
        shown += f"{linked} {linked!r} {vars(linked)}"
        linked = linked.__cause__ or linked.__context__
    assert PLANTED not in shown


def test_service_account_key_is_not_told(tmp_path: Path, surroundings: pytest.MonkeyPatch) -> None:
    """A key of Google's that can't be read, or does not work, is not repeated."""
    key = tmp_path / "key.json"
    surroundings.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    for text in (f'{{"type": "service_account", "private_key": "{PLANTED}"}}', f'{{"{PLANTED}'):
        key.write_text(text)
        with pytest.raises(StoreUnusable) as refused:
            Objects.open("gs://lockstep-test").names("log")
        assert "no credentials for Google Cloud Storage could be had (" in str(refused.value)
        assert_tells_nothing(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://key:{PLANTED}@bucket/prefix",
        f"https://account.blob.core.windows.net/box?sig={PLANTED}",
        f"ftp://user:{PLANTED}@host/registry",
        f"gs://bucket/prefix?token={PLANTED}",
        f"memory://a:{PLANTED}@b",
    ],
)
def test_address_with_a_secret_is_refused_and_not_repeated(uri: str) -> None:
    """An address that holds a password or a query is refused without being repeated."""
    with pytest.raises(
        UsageError, match=r"^Registry \"\w+://…\": an address holds no password, token or query\."
    ) as no:
        Objects.open(uri)
    assert_tells_nothing(no.value)


@pytest.mark.usefixtures("surroundings")
def test_connection_string_is_not_repeated(surroundings: pytest.MonkeyPatch) -> None:
    """A connection string that can't be used is refused without being repeated."""
    for text in (f"AccountKey={PLANTED}", PLANTED, f"AccountName=x;AccountKey=no base 64 {PLANTED}"):
        surroundings.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        with pytest.raises(LockstepError) as refused:
            Objects.open("az://box").names("log")
        assert_tells_nothing(refused.value)
    access = Access(config={"secret_access_key": PLANTED}, credentials=fixed(access_key=PLANTED))
    assert PLANTED not in repr(access)
