"""A registry whose address names an Airflow connection is opened with what that connection says."""

import json
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loopback.relay import Relay, serving
from loopback.servers import ACCOUNT, KEY, SECRET, USER, Servers, account_signature, azure_variables
from tests.airflow.conftest import Program
from tests.stores.conftest import servers, surroundings
from tests.stores.test_access import TOKEN, TokenServer

__all__ = ["servers", "surroundings"]

pytestmark = pytest.mark.airflow

USE: Final = """
import asyncio
import json
import sys

from lockstep.errors import LockstepError
from lockstep.registry import Objects
from lockstep_airflow.gate import GateTrigger
from lockstep_airflow.tasks import open_registry


async def first_state(uri):
    async for state in GateTrigger.open_shared_stream({"registry": uri, "poll": 0.01}):
        return state.head


def use(uri):
    try:
        registry = open_registry(uri)
        registry.objects.put("models/x", b"x")
        again = Objects.open(registry.uri).names("models")  # as a worker of a pipeline does
        return [repr(registry.objects.uri), again, asyncio.run(first_state(uri))]
    except LockstepError as error:
        return str(error)


used = {uri: use(uri) for uri in sys.argv[1:]}
print()
print(json.dumps(used))
"""

FIELDS: Final = """
import json
import sys

from airflow.sdk import Connection
from lockstep_airflow.connection import from_amazon, from_azure

found = []
for kind, fields in json.loads(sys.argv[1]):
    access = {"aws": from_amazon, "wasb": from_azure}[kind](Connection(conn_id="x", conn_type=kind, **fields))
    found.append([access.config, access.credentials and access.credentials()])
print()
print(json.dumps(found))
"""


def variables_of(connections: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name connections as Airflow finds them in the environment."""
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(said) for name, said in connections.items()}


@pytest.mark.usefixtures("surroundings")
def test_registry_is_opened_with_a_connection(run_program: Program, servers: Servers) -> None:
    """A registry in each cloud is read and written with nothing but a connection, also by the gate's reader."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    tokens, relay = TokenServer(), Relay(servers["gcs"].port)
    with serving(tokens) as at, serving(relay) as google:
        key = {"type": "service_account", "client_email": "a@b.c", "private_key": private.decode(), "project_id": "p"}
        minio = {"endpoint_url": f"http://127.0.0.1:{servers['minio'].port}", "region_name": "us-east-1"}
        azurite = azure_variables(servers["azurite"].port)["AZURE_STORAGE_ENDPOINT"]
        signature = account_signature(services="sco", may="rwdlc")
        connections: dict[str, dict[str, Any]] = {
            "team_s3": {"conn_type": "aws", "login": USER, "password": SECRET, "extra": minio},
            "team_key": {"conn_type": "wasb", "login": ACCOUNT, "password": KEY, "host": azurite},
            "team_sas": {"conn_type": "wasb", "login": ACCOUNT, "host": azurite, "extra": {"sas_token": signature}},
            "anybody": {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}},
            "team_gcs": {
                "conn_type": "google_cloud_platform",
                "extra": {"keyfile_dict": key | {"token_uri": f"http://127.0.0.1:{at}/token"}},
            },
        }
        addresses = [
            "s3://team_s3@lockstep-test/airflow",
            "az://team_key@lockstep-test/airflow/key",
            "abfs://team_sas@lockstep-test/airflow/sas",
            "gs://team_gcs@lockstep-test/airflow",
            "gs://anybody@lockstep-test/airflow/anybody",
        ]
        variables = variables_of(connections) | {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{google}"}
        used = run_program(USE, *addresses, variables=variables)
    assert used == {uri: [repr(uri), ["models/x"], 0] for uri in addresses}
    assert {request.headers.get("authorization") for request in relay.seen} == {f"Bearer {TOKEN}", "Bearer anonymous"}


@pytest.mark.usefixtures("surroundings")
def test_connection_that_does_not_fit_is_refused(run_program: Program) -> None:
    """A connection that is missing, of another kind, or not understood is named with the way out."""
    connections = {
        "google": {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}},
        "role": {"conn_type": "aws", "password": "planted", "extra": {"role_arn": "arn:aws:iam::1:role/a"}},
    }
    asked = ["gs://nobody@bucket/a", "s3://google@bucket/a", "s3://role@bucket/a"]
    said = run_program(USE, *asked, variables=variables_of(connections))
    assert said == {
        asked[0]: 'Registry "gs://nobody@bucket/a": Airflow has no connection "nobody". Add it, or leave it out of the'
        " address, so that the environment's credentials count.",
        asked[1]: 'Registry "s3://google@bucket/a": connection "google" is of type "google_cloud_platform"; for S3 it'
        ' has to be "aws".',
        asked[2]: 'Connection "role" has a role_arn, which is not understood here. Leave the connection out of the'
        " address, and let the environment say it: AWS_PROFILE, with boto3 installed.",
    }


FROM: Final[list[tuple[str, dict[str, Any], list[Any]]]] = [
    ("aws", {}, [{}, None]),
    (
        "aws",
        {
            "extra": json.dumps(
                {
                    "aws_access_key_id": "i",
                    "aws_secret_access_key": "s",
                    "aws_session_token": "t",
                    "service_config": {"s3": {"endpoint_url": "http://s3"}},
                    "endpoint_url": "http://all",
                }
            )
        },
        [{"endpoint": "http://s3"}, {"access_key_id": "i", "secret_access_key": "s", "token": "t", "expires_at": None}],
    ),
    (
        "wasb",
        {"login": "acc", "password": "k"},
        [{"account_name": "acc"}, {"access_key": "k", "expires_at": None}],
    ),
    (
        "wasb",
        {"host": "acc.blob.core.windows.net", "extra": json.dumps({"sas_token": "?sv=1&sig=2"})},
        [
            {"account_name": "acc", "endpoint": "https://acc.blob.core.windows.net"},
            {"sas_token": "sv=1&sig=2", "expires_at": None},
        ],
    ),
    (
        "wasb",
        {
            "host": "https://acc.blob.core.windows.net/",
            "login": "client",
            "password": "secret",
            "extra": json.dumps({"tenant_id": "t"}),
        },
        [
            {
                "account_name": "acc",
                "endpoint": "https://acc.blob.core.windows.net",
                "client_id": "client",
                "client_secret": "secret",
                "tenant_id": "t",
                "credential_type": "client_secret",
            },
            None,
        ],
    ),
    (
        "wasb",
        {
            "extra": json.dumps(
                {"connection_string": "AccountName=acc;AccountKey=k;EndpointSuffix=core.chinacloudapi.cn"}
            )
        },
        [
            {"account_name": "acc", "endpoint": "https://acc.blob.core.chinacloudapi.cn"},
            {"access_key": "k", "expires_at": None},
        ],
    ),
    ("wasb", {"login": "acc"}, [{"account_name": "acc"}, None]),
]


def test_fields_of_a_connection(run_program: Program) -> None:
    """Each way to write a connection of AWS and Azure gives the settings and credentials that it stands for."""
    asked = json.dumps([(kind, fields) for kind, fields, _ in FROM])
    assert run_program(FIELDS, asked) == [expected for _, _, expected in FROM]
