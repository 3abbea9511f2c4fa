"""Addresses of registries: which kind of store, which bucket or folder in it, and below which prefix.

Rules:
- An address holds no secret: one with a password or a query is refused, and is not repeated in the message.
- A name before the bucket, as in `gs://name@bucket`, says who opens it: a connection that somebody else looks up.
- A prefix can't lead out of its bucket or of itself.
"""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote

from lockstep.errors import UsageError


class Kind(Enum):
    """A kind of store, and what people call it."""

    FILE = "local disk"
    MEMORY = "memory"
    GCS = "Google Cloud Storage"
    S3 = "S3"
    AZURE = "Azure Blob Storage"


_SCHEMES: Final = {"gs": Kind.GCS, "s3": Kind.S3}  # all others of the forms below are Azure's
_BUCKET: Final = r"(?P<bucket>[A-Za-z0-9$][A-Za-z0-9._-]{1,221})"
_PREFIX: Final = r"(?:/(?P<prefix>(?s:.*)))?"
_ACCOUNT: Final = r"(?P<account>[a-z0-9]{3,24})"
_FORMS: Final = (
    re.compile(rf"(?P<scheme>abfss?)://{_BUCKET}@{_ACCOUNT}\.dfs\.core\.windows\.net{_PREFIX}"),
    re.compile(rf"(?P<scheme>https)://{_ACCOUNT}\.(?:blob|dfs)\.core\.windows\.net/{_BUCKET}{_PREFIX}"),
    re.compile(rf"(?P<scheme>gs|s3|az|abfss?)://(?:(?P<connection>[A-Za-z0-9._-]+)@)?{_BUCKET}{_PREFIX}"),
)
_UNSAFE: Final = re.compile(r'[\\#?%*<>|"~^`{}\[\]]')  # each store writes these in its own way


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a registry is: its `folder` on local disk, else a `bucket` (on Azure: a container) and a `prefix` in it.

    `account` is Azure's, where the address names it. The name of a memory store is its `bucket`.
    """

    kind: Kind
    uri: str
    bucket: str = ""
    prefix: str = ""
    account: str | None = None
    connection: str | None = None
    folder: Path | None = None

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read an address.

        Raises:
            UsageError: it has none of the known forms, or holds what may be a secret.
        """
        scheme, is_uri, rest = uri.partition("://")
        if not is_uri:
            return cls._local(Path(uri))
        if scheme == "file" and rest.startswith("/"):
            return cls._local(Path(unquote(rest)))
        host = rest.partition("/")[0]
        if "?" in rest or ":" in host.rpartition("@")[0]:
            raise UsageError(
                f'Registry "{scheme}://…": an address holds no password, token or query. Give these to the environment,'
                " or to an Airflow connection; docs/guides/stores.md says how."
            )
        if scheme == "memory":
            return cls(kind=Kind.MEMORY, uri=uri, bucket=rest)
        found = next(filter(None, (form.fullmatch(uri.rstrip("/")) for form in _FORMS)), None)
        if found is None:
            raise UsageError(
                f'Registry "{uri}": this kind of address is unknown; allowed are a folder, file:///folder,'
                " memory://name, gs://bucket/prefix, s3://bucket/prefix and az://container/prefix."
            )
        named = found.groupdict()
        prefix = named["prefix"] or ""
        if prefix and not _is_plain(prefix):
            raise UsageError(
                f'Registry "{uri}": the prefix is not allowed: names are separated by one "/", and hold no "..", "%",'
                ' "#" or other special character.'
            )
        return cls(
            kind=_SCHEMES.get(named["scheme"], Kind.AZURE),
            uri=uri.rstrip("/"),
            bucket=named["bucket"],
            prefix=prefix,
            account=named.get("account"),
            connection=named.get("connection"),
        )

    @classmethod
    def _local(cls, path: Path) -> Self:
        folder = path.expanduser().absolute()
        return cls(kind=Kind.FILE, uri=folder.as_uri(), folder=folder)


def _is_plain(prefix: str) -> bool:
    if not prefix.isprintable() or _UNSAFE.search(prefix):
        return False
    return not any(part in ("", ".", "..") for part in prefix.split("/"))
