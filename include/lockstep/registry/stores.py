"""Opens the store of an address with obstore, and says in a sentence what went wrong with it.

Rules:
- Opening touches no network.
- Each store is asked to write an object only where none stands, and to copy one only so.
- A store that can't be reached is given up after a few seconds: whoever asked may try again later.
- No message repeats what a server or an SDK said, beyond a status and a code: there may be a secret in it.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, S3Store

from lockstep.errors import NotAllowed, ObjectMissing, RegistryError, StoreUnusable
from lockstep.registry.access import Access, access_for
from lockstep.registry.address import Address, Kind

_CLIENT: Final = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(minutes=2)}
_RETRY: Final = {
    "max_retries": 10,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
    "retry_timeout": timedelta(seconds=3),  # who is in doubt about a write asks once more: six in all
}
_CONFIG: Final = {  # whatever the environment says
    Kind.GCS: {},
    Kind.S3: {"conditional_put": "etag", "copy_if_not_exists": "multipart"},
    Kind.AZURE: {"use_emulator": "false"},  # it would overrule the endpoint
}
_STATUS: Final = re.compile(r"status code: (\d{3})|\(code: (\d{3})\)")
_FORBIDDEN: Final = re.compile(r"status code: 40[13]|\(code: (?:40[13]|AccessDenied)\)")  # the latter of deletions
_CODE: Final = re.compile(r"<Code>(\w+)</Code>|\(code: ([A-Z]\w+)\)")
_BROKEN: Final = re.compile(r"kind: (Connect|Request|Timeout|Interrupted|Decode)\b")
_NO_BUCKET: Final = re.compile(r"NoSuchBucket|ContainerNotFound|specified (?:bucket|container) does not exist")
_NO_CREDENTIALS: Final = re.compile(
    r"credential provider|token request|/latest/api/token|/latest/meta-data|service account file|MissingAccount"
)
_REGION: Final = re.compile(r"AuthorizationHeaderMalformed|PermanentRedirect|incorrectly configured region")
_ASKED: Final = re.compile(r"CredentialsMissing: (\w+)")
_SOURCES: Final = {
    Kind.GCS: "Give Application Default Credentials (gcloud auth application-default login, or"
    " GOOGLE_APPLICATION_CREDENTIALS)",
    Kind.S3: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install boto3 for profiles and single sign-on",
    Kind.AZURE: "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_CONNECTION_STRING, or"
    " install azure-identity for all other ways",
}
_memory: Final[dict[str, MemoryStore]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An opened store: `handle` is obstore's; `endpoint` the server, where it is not the cloud's own."""

    address: Address
    handle: Any
    endpoint: str | None = None

    @property
    def copies(self) -> bool:
        """Whether it copies an object by itself, and has done so when it answers."""
        return self.address.kind is not Kind.AZURE  # which may go on copying behind its answer

    def problem(self, path: str, error: Exception) -> RegistryError:
        """What to tell somebody who met an error of obstore's at that path."""
        where, text = f'Registry "{self.address.uri}": ', str(error)
        cloud = self.address.kind in _CONFIG
        if cloud and (found := self._no_way_in(text)):
            return (NotAllowed if _FORBIDDEN.search(text) else StoreUnusable)(where + found)
        if isinstance(error, FileNotFoundError):
            return ObjectMissing(f'Object "{path}" is not in registry "{self.address.uri}". Restore it from a copy.')
        if cloud:
            return StoreUnusable(where + self._failed(path, error))
        return StoreUnusable(f'{where}"{path}" can\'t be read or written: {text}')

    def _no_way_in(self, text: str) -> str | None:
        """Why nothing at all can be had from the store, if an error says so."""
        kind, name = self.address.kind, self._name
        if _NO_CREDENTIALS.search(text):
            asked = _ASKED.search(text)
            why = f" ({asked[1]})" if asked else ""
            return f"no credentials for {name} could be had{why}. {_SOURCES[kind]}; or name an Airflow connection."
        if _NO_BUCKET.search(text):
            return f"there is no {self._bucket} in {name}{_said(text)}. Create it, or correct the address."
        if _REGION.search(text):
            return f"{self._bucket} in {name} is of another region{_said(text)}. Set AWS_REGION to that of the bucket."
        if _FORBIDDEN.search(text):
            return (
                f"{name} does not let these credentials in{_said(text)}. Give others, or let these list, read, write"
                f" and delete in {self._bucket}."
            )
        if not _STATUS.search(text) and (broken := _BROKEN.search(text)):
            return (
                f"{name} can't be reached, or broke off ({broken[1].lower()}). Check the network and where the address"
                " leads, and try again."
            )
        return None

    def _failed(self, path: str, error: Exception) -> str:
        said = _said(str(error)) or f" ({type(error).__name__})"
        return f'{self._name} could not read or write "{path}"{said}. Try again; what it lacks, its own log says.'

    @property
    def _name(self) -> str:
        host = urlsplit(self.endpoint or "").netloc.rpartition("@")[2]
        return f"{self.address.kind.value} at {host}" if host else self.address.kind.value

    @property
    def _bucket(self) -> str:
        return f'{"container" if self.address.kind is Kind.AZURE else "bucket"} "{self.address.bucket}"'


def open_store(address: Address, given: Access | None = None) -> Store:
    """Open the store of an address; a folder is made where there is none.

    Raises:
        UsageError: a variable of the environment can't be read.
        StoreUnusable: the folder can't be made, or what is given does not fit the store.
    """
    if address.kind is Kind.MEMORY:
        return Store(address=address, handle=_memory.setdefault(address.bucket, MemoryStore()))
    if address.folder is not None:
        try:
            address.folder.mkdir(parents=True, exist_ok=True)
            return Store(address=address, handle=LocalStore(address.folder))
        except (OSError, BaseError) as error:
            raise StoreUnusable(
                f'Registry "{address.uri}": the folder can\'t be used: {error}. Check its path and rights.'
            ) from None
    return _open_cloud(address, access_for(address.kind, given))


def _open_cloud(address: Address, access: Access) -> Store:
    config = {**_CONFIG[address.kind], **access.config}
    if address.account:
        if config.get("account_name", address.account) != address.account:
            config.pop("endpoint", None)  # it leads to the other account
        config["account_name"] = address.account
    endpoint = config.get("endpoint") or config.get("base_url")
    if endpoint and address.kind is Kind.S3:
        config["aws_endpoint_url_s3"] = config.pop("endpoint")  # the word that AWS_ENDPOINT_URL_S3 can't overrule
    classes: dict[Kind, Any] = {Kind.GCS: GCSStore, Kind.S3: S3Store, Kind.AZURE: AzureStore}
    try:
        handle = classes[address.kind](
            address.bucket,
            prefix=address.prefix or None,
            config=config,
            client_options=_CLIENT | {"allow_http": (endpoint or "").startswith("http://")},
            retry_config=_RETRY,
            credential_provider=access.credentials,
        )
    except (BaseError, OSError, ValueError) as error:
        problem = Store(address=address, handle=None, endpoint=endpoint).problem("", error)
    else:
        return Store(address=address, handle=handle, endpoint=endpoint)
    raise problem  # here, so that obstore's own words do not hang on it


def _said(text: str) -> str:
    """The status and the code in an answer of a server, in brackets; blank if there is neither."""
    status, code = _STATUS.search(text), _CODE.search(text)
    words = [match[match.lastindex or 0] for match in (status, code) if match]
    return f" ({' '.join(words)})" if words else ""
