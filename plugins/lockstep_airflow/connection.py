"""Credentials for a registry from an Airflow connection, which its address names: `gs://my_google@bucket/prefix`.

Rules:
- The connection is looked up when a registry is opened, by Airflow's own ways: secrets backends, variables, database.
- Its secrets go to the store's client and nowhere else: no message repeats one.
- What a connection does not say, the environment does: an endpoint, or where it holds no credentials, these.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from lockstep.errors import UsageError
from lockstep.registry import Access
from lockstep.registry.access import fixed, from_connection_string
from lockstep.registry.address import Address, Kind


def access_to(uri: str) -> Access | None:
    """The access that an address's connection gives; None where it names none.

    Raises:
        UsageError: there is no such connection, or it does not fit the address.
    """
    address = Address.parse(uri)
    if address.connection is None:
        return None
    try:
        connection = Connection.get(address.connection)
    except AirflowNotFoundException:
        raise UsageError(
            f'Registry "{uri}": Airflow has no connection "{address.connection}". Add it, or leave it out of the'
            " address, so that the environment's credentials count."
        ) from None
    conn_type, access_from = _TYPES[address.kind]
    if connection.conn_type != conn_type:
        raise UsageError(
            f'Registry "{uri}": connection "{address.connection}" is of type "{connection.conn_type}"; for'
            f' {address.kind.value} it has to be "{conn_type}".'
        )
    return access_from(connection)


def from_google(connection: Connection) -> Access:
    """As Google's provider reads it: a key, a key's path, credentials of the surroundings, an impersonated account."""
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
    from google.auth.credentials import AnonymousCredentials
    from obstore.auth.google import GoogleCredentialProvider

    credentials = GoogleBaseHook(gcp_conn_id=connection.conn_id).get_credentials()
    if isinstance(credentials, AnonymousCredentials):
        return Access(credentials=fixed(token="anonymous"))  # noqa: S106  an emulator asks for none, Google refuses it
    return Access(credentials=GoogleCredentialProvider(credentials))


def from_amazon(connection: Connection) -> Access:
    """Keys and session token, region and endpoint.

    Raises:
        UsageError: it wants a role or a profile.
    """
    extra = connection.extra_dejson
    for name in ("role_arn", "profile_name"):
        if extra.get(name):
            raise UsageError(
                f'Connection "{connection.conn_id}" has a {name}, which is not understood here. Leave the connection'
                " out of the address, and let the environment say it: AWS_PROFILE, with boto3 installed."
            )
    of_s3 = extra.get("service_config", {}).get("s3", {})
    endpoint = of_s3.get("endpoint_url") or extra.get("endpoint_url")
    config = _said(region=extra.get("region_name"), endpoint=endpoint)
    key = connection.login or extra.get("aws_access_key_id")
    if not key:
        return Access(config=config)
    secret = connection.password or extra.get("aws_secret_access_key")
    token = extra.get("aws_session_token")
    return Access(config=config, credentials=fixed(access_key_id=key, secret_access_key=secret, token=token))


def from_azure(connection: Connection) -> Access:
    """A connection string, a signature (SAS), a client's secret, or the account's key."""
    extra = connection.extra_dejson
    if text := extra.get("connection_string"):
        return from_connection_string(text)
    host = connection.host or ""
    url = host if "://" in host or not host else f"https://{host}"
    account = connection.login if not extra.get("tenant_id") else None
    config = _said(account_name=account or _account_of(url), endpoint=url.rstrip("/"))
    if token := extra.get("sas_token"):
        return Access(config=config, credentials=fixed(sas_token=token.rpartition("?")[2]))
    if tenant := extra.get("tenant_id"):
        client = _said(client_id=connection.login, client_secret=connection.password, tenant_id=tenant)
        return Access(config={**config, **client, "credential_type": "client_secret"})
    key = connection.password or extra.get("shared_access_key")
    return Access(config=config, credentials=fixed(access_key=key) if key else None)


def _account_of(url: str) -> str | None:
    """The storage account in `https://account.blob.core.windows.net`, or in an emulator's `http://host:port/account`."""
    split = urlsplit(url)
    return split.path.strip("/") or (split.hostname or "").partition(".")[0] or None


def _said(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


_TYPES: Final[Mapping[Kind, tuple[str, Callable[[Any], Access]]]] = {
    Kind.GCS: ("google_cloud_platform", from_google),
    Kind.S3: ("aws", from_amazon),
    Kind.AZURE: ("wasb", from_azure),
}
