"""No secret of the environment reaches an object, an entry, or what a command says."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from zipfile import ZipFile

import polars as pl
import pytest

from tests.cli.conftest import PROJECT, Command

VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AIRFLOW__CORE__FERNET_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS_JSON",
    "SLACK_TOKEN",
)
ADDRESSES = {
    "AIRFLOW_CONN_WAREHOUSE": "postgres://ada:{}@db.example/warehouse",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:{}@db.example/airflow",
    "DATABASE_URL": "mysql://root:{}@db.example/crm",
    "HTTPS_PROXY_WITH_PASSWORD": "http://proxy:{}@proxy.example:3128",
}


def contents(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Give an object's bytes, and those of all that is packed in it."""
    yield name, data
    if name.endswith(".tar.gz"):
        yield name, gzip.decompress(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                yield from contents(f"{name}/{member.name}", file.read() if file else b"")
    elif data.startswith(b"PK\x03\x04"):
        with ZipFile(io.BytesIO(data)) as packed:
            for part in packed.namelist():
                yield from contents(f"{name}/{part}", packed.read(part))
    elif name.endswith(".parquet"):
        yield name, json.dumps(pl.read_parquet(io.BytesIO(data)).to_dicts(), default=str).encode()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Copy the declarations to a folder with a file of secrets beside them, as they lie on a developer's machine."""
    folder = tmp_path / "checkout"
    shutil.copytree(PROJECT / "include" / "groups", folder / "groups")
    return folder


def test_planted_secrets_are_found_nowhere(start: Command, code: Path, tmp_path: Path, a_row: dict[str, Any]) -> None:
    """Train, tune, promote, release, decide, train again, look: then every byte is searched, unpacked where packed."""
    planted = {name: token_hex(12) for name in (*VARIABLES, *ADDRESSES)}
    variables = {name: ADDRESSES.get(name, "{}").format(secret) for name, secret in planted.items()}
    planted["file"] = token_hex(12)
    for place in (code / ".env", code / "groups" / ".env", tmp_path / ".env"):
        place.write_text(f"PASSWORD={planted['file']}\n", encoding="utf-8")
    variables["PYTHONPATH"] = f"{code}:{PROJECT / 'include'}"
    said = []
    for words in (
        ("train", "--group", "biopsy", "--promote"),
        ("release", "biopsy"),
        ("decide", "referrals", "--row", json.dumps(a_row)),
        ("reproduce", "surgery"),
        ("lineage", "surgery"),
        ("log", "--json"),
    ):
        done = start("--why", "an honest reason", *words, **variables)
        assert done.status == 0, done.err
        said.append(done.out + done.err)
    names: set[str] = set()
    for path in sorted((tmp_path / "registry").rglob("*")):
        if not path.is_file():
            continue
        for name, data in contents(path.relative_to(tmp_path / "registry").as_posix(), path.read_bytes()):
            names.add(name)
            found = [variable for variable, secret in planted.items() if secret.encode() in data]
            assert found == [], f"{name} holds the secret of {', '.join(found)}"
    assert any(name.endswith(".tar.gz/groups/biopsy.py") for name in names)
    assert any(name.endswith("model.skops/schema.json") for name in names)
    assert any(name.startswith("log/") for name in names)
    for text in said:
        assert [variable for variable, secret in planted.items() if secret in text] == []


def test_an_address_with_a_password_is_refused_and_not_repeated(run: Command) -> None:
    """The message says where secrets go, and does not hold the one that was given."""
    secret = token_hex(12)
    for uri in (f"s3://key:{secret}@bucket/registry", f"gs://bucket/registry?token={secret}"):
        done = run("--registry", uri, "status")
        assert done.status == 2
        assert "an address holds no password, token or query" in done.err
        assert secret not in done.err + done.out
