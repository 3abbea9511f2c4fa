"""Who opens a store in a cloud, and by which door: what the surroundings say, where nobody says it outright.

Rules:
- Credentials come from where each cloud's users expect them: Application Default Credentials, AWS's default chain,
  Azure's default identity. Those that are given outright come first, and are not mixed with these.
- Nothing is asked over the network before the store needs credentials.
- No secret is shown: not by `repr`, and not by an error.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from lockstep.errors import UsageError
from lockstep.registry.address import Kind

Provider = Callable[[], Any]
# The one scope that a user's own Application Default Credentials carry; what they may do, IAM says.
_GOOGLE_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
# As Microsoft publishes them for its emulator: everybody knows them.
_EMULATOR: Final = {
    "AccountName": "devstoreaccount1",
    "AccountKey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
}
_AZURE_SECRETS: Final = (
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY", "AZURE_STORAGE_TOKEN"),
    *("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_SKIP_SIGNATURE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a store is opened: `config` in obstore's words, and `credentials`, asked whenever fresh ones are needed."""

    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Provider | None = field(default=None, repr=False)


class CredentialsMissing(Exception):
    """An SDK has no credentials, or could not renew them. Only the kind of its error is told, never the text."""


class Asked:
    """Credentials of an SDK, which is asked when they are needed first."""

    def __init__(self, make: Callable[[], Provider]) -> None:
        self._make = make
        self._provider: Provider | None = None

    def __call__(self) -> Any:  # noqa: ANN401  each cloud has a form of its own
        """Give fresh credentials.

        Raises:
            CredentialsMissing: there are none.
        """
        try:
            if self._provider is None:
                self._provider = self._make()
            return self._provider()
        except Exception as error:  # noqa: BLE001  each SDK has errors of its own, and their text may hold a secret
            kind = type(error).__name__
        raise CredentialsMissing(kind)


def fixed(**credentials: str | None) -> Provider:
    """Credentials that never expire."""
    return lambda: credentials | {"expires_at": None}


def access_for(kind: Kind, given: Access | None = None) -> Access:
    """What is given, and from the surroundings what that leaves open.

    Raises:
        UsageError: a variable of the surroundings can't be read.
    """
    found = {Kind.GCS: _google, Kind.S3: _amazon, Kind.AZURE: _azure}[kind]()
    if given is None:
        return found
    own = given.credentials is not None or "client_secret" in given.config
    credentials = given.credentials if own else found.credentials
    return Access(config={**found.config, **given.config}, credentials=credentials)


def from_connection_string(text: str) -> Access:
    """Read a connection string of Azure Storage.

    Raises:
        UsageError: it is none; the message does not repeat it.
    """
    said = dict(part.partition("=")[::2] for part in text.split(";") if part)
    if said.get("UseDevelopmentStorage", "").lower() == "true":
        said = _EMULATOR | {"BlobEndpoint": f"http://127.0.0.1:10000/{_EMULATOR['AccountName']}"}
    if "AccountName" not in said and "BlobEndpoint" not in said:
        raise UsageError(
            "The connection string of Azure Storage names no account: it needs AccountName or BlobEndpoint. Copy it"
            " again from the storage account's access keys."
        )
    suffix = said.get("EndpointSuffix", "core.windows.net")
    protocol = said.get("DefaultEndpointsProtocol", "https")
    account = said.get("AccountName") or said["BlobEndpoint"].partition("://")[2].partition(".")[0]
    config = {"account_name": account, "endpoint": said.get("BlobEndpoint") or f"{protocol}://{account}.blob.{suffix}"}
    if "AccountKey" in said:
        return Access(config=config, credentials=fixed(access_key=said["AccountKey"]))
    if "SharedAccessSignature" in said:
        return Access(config=config, credentials=fixed(sas_token=said["SharedAccessSignature"].removeprefix("?")))
    return Access(config=config)


def _google() -> Access:
    if emulator := os.environ.get("STORAGE_EMULATOR_HOST"):
        url = emulator if "://" in emulator else f"http://{emulator}"
        return Access(config={"base_url": url.rstrip("/")}, credentials=fixed(token="emulator"))  # noqa: S106  asks for none
    return Access(credentials=Asked(_google_default) if _importable("google.auth", "requests") else None)


def _google_default() -> Provider:
    provider = import_module("obstore.auth.google").GoogleCredentialProvider
    credentials, _ = import_module("google.auth").default(scopes=_GOOGLE_SCOPES)
    return provider(credentials)  # type: ignore[no-any-return]  # imported by name


def _amazon() -> Access:
    config = _endpoint(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    if os.environ.get("AWS_ACCESS_KEY_ID") or not _importable("boto3"):
        return Access(config=config)  # obstore knows keys, web identities, containers and instances
    with suppress(Exception):  # a profile that is not there: the credentials, asked later, will say so
        config |= {"region": import_module("boto3").Session().region_name or "us-east-1"}
    return Access(config=config, credentials=Asked(import_module("obstore.auth.boto3").Boto3CredentialProvider))


def _azure() -> Access:
    if text := os.environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        return from_connection_string(text)
    config = _endpoint(("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"))
    if os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true", "yes", "on"):
        found = from_connection_string("UseDevelopmentStorage=true")
        return Access(config={**found.config, **config}, credentials=found.credentials)
    if account := os.environ.get("AZURE_STORAGE_ACCOUNT_NAME") or os.environ.get("AZURE_STORAGE_ACCOUNT"):
        config |= {"account_name": account}
    if key := os.environ.get("AZURE_STORAGE_KEY"):
        return Access(config=config, credentials=fixed(access_key=key))
    if any(map(os.environ.get, _AZURE_SECRETS)) or not _importable("azure.identity"):
        return Access(config=config)  # obstore knows keys, tokens, client secrets and managed identities
    return Access(config=config, credentials=Asked(import_module("obstore.auth.azure").AzureCredentialProvider))


def _endpoint(variables: Iterable[str]) -> dict[str, str]:
    found = next(filter(None, map(os.environ.get, variables)), None)
    return {"endpoint": found} if found else {}


def _importable(*modules: str) -> bool:
    try:
        for module in modules:
            import_module(module)
    except ImportError:
        return False
    return True
