"""The security page: what shows each of its claims, and a trial of each that nothing else shows."""

import logging
import re
import shutil
import ssl
import subprocess
import sys
import traceback
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import polars as pl
import pytest

from lockstep.cli.context import Context
from lockstep.data import take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.errors import NotAllowed, StoreUnusable
from lockstep.registry import Log, Registry, sha256_of
from lockstep.registry.entries import GENESIS, encode, path_of
from lockstep.release import hold, promote, rollback
from lockstep.upkeep import verify
from lockstep.upkeep.retention import retain
from loopback.rights import RIGHTS, allowed
from loopback.servers import BUCKET, Server, Servers
from tests.cli.test_secrets import contents
from tests.docs.pages import ROOT
from tests.registry.conftest import Facts
from tests.serving.conftest import a_row
from tests.serving.service import serving, wait_for
from tests.stores.conftest import servers, surroundings
from tests.training import shop
from tests.training.conftest import (
    ADA,
    Shop,
    released,
    released_template,
    shop_template,
)
from tests.upkeep.years import BOT, TIGHT, Years

__all__ = ["a_row", "released", "released_template", "servers", "shop_template", "surroundings"]

GROUP: Final = shop.graph.group("shop")
WRITER: Final = ("list", "read", "write")
HERE: Final = "docs/test_security.py"
# What of the page is shown where, by the first words of each row and point.
SHOWN: Final = {
    "credentials of stores": [
        "stores/test_access.py::test_opening_asks_nothing_and_reading_writes_nothing",
        "stores/test_access.py::test_key_of_a_service_account",
        "stores/test_access.py::test_profile_of_aws",
        "stores/test_access.py::test_variables_of_azure",
        "airflow/test_connection.py::test_registry_is_opened_with_a_connection",
        "cli/test_secrets.py::test_planted_secrets_are_found_nowhere",
        f"{HERE}::test_no_secret_of_a_store_is_written_or_told",
    ],
    "addresses": [
        "stores/test_errors.py::test_address_with_a_secret_is_refused_and_not_repeated",
        "stores/test_errors.py::test_no_secret_is_told",
        "stores/test_errors.py::test_connection_string_is_not_repeated",
        "cli/test_secrets.py::test_an_address_with_a_password_is_refused_and_not_repeated",
    ],
    "model files": [
        "training/test_audit.py::test_forged_types_are_refused_even_where_the_manifest_names_them",
        "training/test_audit.py::test_the_attacks_would_work_where_types_are_simply_trusted",
        "training/test_audit.py::test_a_pickle_in_place_of_a_model_file_is_refused",
        "training/test_audit.py::test_files_that_would_exhaust_or_confuse_the_reader_are_refused",
        "training/test_audit.py::test_a_version_forged_as_a_whole_is_refused",
    ],
    "files in the registry": [
        "stores/test_contract.py::test_get_refuses_bytes_that_were_not_promised",
        "release/test_release.py::test_damaged_file_refuses_the_release",
        "training/test_storage.py::test_a_changed_file_is_not_loaded",
    ],
    "the decision API": [
        "serving/test_http_token.py::test_everything_else_needs_a_token",
        "serving/test_http_token.py::test_each_of_the_tokens_is_good",
        "serving/test_http_token.py::test_probes_are_open_and_say_little",
        "serving/test_http_token.py::test_tokens_of_a_file",
        "serving/test_http_serve.py::test_who_can_reach_an_address",
        f"{HERE}::test_an_open_service_without_a_token_warns",
        f"{HERE}::test_the_service_has_no_tls_and_counts_nobody",
    ],
    "personal data": [
        "journal/test_layout.py::test_private_columns_are_nowhere",
        "journal/test_layout.py::test_an_error_that_is_not_known_is_not_repeated",
        f"{HERE}::test_a_snapshot_holds_everything_in_plain",
    ],
    "docker-compose.yaml": [
        "repo/test_compose.py::test_secrets_come_from_outside",
        "repo/test_compose.py::test_each_secret_that_is_missing_is_named",
        "cluster/test_killed.py::test_without_a_secret_nothing_starts",
    ],
    "DAGs: train, promote, release, roll back": [
        "ui/test_access.py::test_a_viewer_may_start_nothing",
        "ui/test_access.py::test_rights_are_those_of_each_dag",
        "ui/test_access.py::test_airflows_audit_log_says_who_started_what",
        "airflow/test_standalone.py::test_a_person_approves_what_was_shown",
    ],
    "approve in Airflow": [
        "airflow/test_standalone.py::test_a_person_approves_what_was_shown",
        "ui/test_group.py::test_who_is_asked_and_who_may_answer",
        "ui/test_group.py::test_whoever_may_edit_answers_where_nobody_is_assigned",
    ],
    "the page of a group or a version in Airflow's UI": [
        "ui/test_access.py::test_nobody_gets_anything_without_a_login",
        "ui/test_access.py::test_whoever_may_read_a_dag_sees_its_group",
        "ui/test_access.py::test_of_a_group_that_may_not_be_read_no_route_is_there",
    ],
    "anything on the command line": [
        "cli/test_story.py::test_a_story_from_training_to_rollback",
        "docs/test_failures.py::test_a_folder_that_may_only_be_read",
    ],
    "asking for decisions": ["serving/test_http_token.py::test_what_is_no_good_token_is_refused"],
    "a service that decides": [
        f"{HERE}::test_a_service_needs_list_and_read",
        "serving/test_recording.py::test_a_log_that_can_not_be_written_harms_no_answer",
    ],
    "whoever trains on a snapshot that is there, tunes, promotes, releases or rolls back": [
        f"{HERE}::test_training_to_a_rollback_needs_no_delete",
        f"{HERE}::test_without_delete_older_checkpoints_stay",
    ],
    "whoever takes snapshots (its pipeline clears its `scratch/`), and so the retraining DAG": [
        f"{HERE}::test_a_snapshot_needs_delete"
    ],
    "`lockstep retain`": [f"{HERE}::test_without_delete_nothing_is_removed"],
    "Whoever may write to the registry may do everything": [
        "cli/test_release.py::test_release",
        "airflow/test_standalone.py::test_a_word_from_elsewhere_needs_no_answer",
        f"{HERE}::test_a_log_that_is_rewritten_whole_is_not_noticed",
    ],
    "Names in the log are claims.": [f"{HERE}::test_a_name_is_what_whoever_writes_says"],
    "Declarations are code.": ["cli/test_story.py::test_the_working_folders_own_groups"],
    "Files are not encrypted by Lockstep": [
        f"{HERE}::test_a_snapshot_holds_everything_in_plain",
        f"{HERE}::test_a_backup_keeps_what_was_removed",
    ],
    "The decision API has no TLS and no limit on rates.": [f"{HERE}::test_the_service_has_no_tls_and_counts_nobody"],
    "Denial of service by somebody with a token, and models that leak what they learned": [],  # not looked at
}


def test_the_page_says_what_tests_show() -> None:
    """Each row and each point has its tests, and they are there."""
    page = (ROOT / "docs/operations/security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    found = [row for row in rows if not row.startswith("---") and row not in ("what", "act", "role")]
    assert found + re.findall(r"^- \*\*(.+?)\*\*", page, re.MULTILINE) == list(SHOWN)
    for file, _, name in (one.partition("::") for tests in SHOWN.values() for one in tests):
        assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), f"{file} has no {name}"


# ------------------------------------------------------------------------------------------------- rights in the store


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A registry in a bucket where everybody has some rights only."""

    server: Server
    uri: str
    patch: pytest.MonkeyPatch

    def may(self, *rights: str) -> Registry:
        """Come in anew with these rights alone."""
        for name, value in allowed(self.server, rights).items():
            self.patch.setenv(name, value)
        return Registry.open(self.uri)

    def desk(self, *rights: str) -> Shop:
        """Sit down before the shop with these rights alone."""
        registry = self.may(*rights)
        return Shop(registry=registry, snapshot=registry.state().snapshot("shoppers"))

    def fill(self, folder: Path) -> None:
        """Copy a registry into it."""
        objects = self.may(*RIGHTS).objects
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            objects.put(file.relative_to(folder).as_posix(), file.read_bytes())

    def holds(self) -> list[tuple[str, Any]]:
        """List all that is there, with the time of its writing."""
        objects = self.may(*RIGHTS).objects
        return sorted((item.path, item.modified) for item in objects.listing(""))


@pytest.fixture(params=["minio", "azurite"])
def bucket(
    request: pytest.FixtureRequest, servers: Servers, surroundings: pytest.MonkeyPatch, tmp_path: Path
) -> Bucket:
    """Run the server, and let its region be known."""
    server = servers[request.param]
    return Bucket(server=server, uri=f"{server.root}/{tmp_path.name}", patch=surroundings)


def test_a_service_needs_list_and_read(
    bucket: Bucket, released_template: Path, a_row: dict[str, Any], tmp_path: Path
) -> None:
    """With these two a service decides, and writes nothing; with one of them nothing can be read."""
    bucket.fill(released_template)
    before = bucket.holds()
    with serving(bucket.desk("list", "read"), tmp_path) as service, service.client() as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        answer = client.post("/apis/calls/decisions", json=a_row)
        assert (answer.status_code, list(answer.json()["decisions"])) == (200, ["call"])
    assert bucket.holds() == before
    for alone in ("list", "read"):
        with pytest.raises(NotAllowed, match="Give others, or let these list, read, write"):
            bucket.may(alone).state()


def test_training_to_a_rollback_needs_no_delete(bucket: Bucket, shop_template: Path) -> None:
    """With list, read and write all is trained, tuned, promoted, released and rolled back; without write, nothing."""
    bucket.fill(shop_template / "registry")
    at = bucket.desk(*WRITER)
    first, second = at.release("first"), at.release("second")
    assert first.digest != second.digest
    assert rollback(at.registry, GROUP, ADA).digest == first.digest
    assert list(verify(at.registry)) == []
    before, reader = bucket.holds(), bucket.desk("list", "read")
    for act in (
        partial(reader.train, "leaving", force=True),
        partial(promote, reader.registry, GROUP, "leaving@1", ADA),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert bucket.holds() == before


ON_MINIO: Final = pytest.mark.parametrize("bucket", ["minio"], indirect=True)  # Azurite lets no signature delete


@ON_MINIO
def test_a_snapshot_needs_delete(bucket: Bucket, shop_template: Path) -> None:
    """Without it a snapshot is refused before anything is written; with it, it is taken."""
    bucket.patch.setenv(DATA_VARIABLE, str(shop_template / "data"))
    with pytest.raises(NotAllowed):
        take_snapshot(bucket.may(*WRITER), shop.shoppers, ADA)
    assert bucket.holds() == []
    assert take_snapshot(bucket.may(*RIGHTS), shop.shoppers, ADA).ref == "shoppers@1"


@ON_MINIO
def test_without_delete_older_checkpoints_stay(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    """Each that should go leaves a warning; every entry stands, and is read again."""
    objects = bucket.may(*WRITER).objects
    log, facts = Log(objects, checkpoint_every=1), Facts(objects)
    for content in "abcd":
        fact = facts.snapshot("customers", content)
        log.append(lambda _, fact=fact: fact, ADA)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "Log entry 4 stands, but a checkpoint could not be written, or not deleted: " in caplog.text
    assert len(objects.names("log/checkpoint")) == 8
    assert Registry.open(bucket.uri).state().head == 4


@ON_MINIO
def test_without_delete_nothing_is_removed(bucket: Bucket) -> None:
    """One sentence says what is missing, the files stay, and no entry says that they are gone."""
    bucket.may(*WRITER)
    years = Years(bucket.uri)
    for recipe in "ab":
        years.trained(recipe)
    before = bucket.holds()
    bucket.may(*WRITER)
    with pytest.raises(NotAllowed) as refused:
        years.retain()
    assert re.fullmatch(
        r'Registry "\S+": S3 at 127\.0\.0\.1:\d+ does not let these credentials in \(AccessDenied\)\. Give others,'
        r' or let these list, read, write and delete in bucket "lockstep-test"\.',
        str(refused.value),
    )
    assert bucket.holds() == before
    registry = Registry.open(bucket.uri, clock=lambda: years.time)
    assert len(retain(registry, TIGHT, BOT).plan.removals) == 5


def test_no_secret_of_a_store_is_written_or_told(
    bucket: Bucket, shop_template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What let a release in stands afterwards in no object, however packed; nor in an error or a line of the log."""
    bucket.fill(shop_template / "registry")
    variables = allowed(bucket.server, WRITER)
    secrets = [variables[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN") if name in variables]
    if not secrets:
        given = parse_qs(variables["AZURE_STORAGE_CONNECTION_STRING"].partition("SharedAccessSignature=")[2])
        secrets = [given["sig"][0]]
    with caplog.at_level(logging.DEBUG):
        for name, value in variables.items():
            bucket.patch.setenv(name, value)
        registry = Registry.open(bucket.uri)
        Shop(registry=registry, snapshot=registry.state().snapshot("shoppers")).release()
        with pytest.raises(StoreUnusable) as refused:
            Registry.open(bucket.uri.replace(BUCKET, "another")).state()
    told = "".join(traceback.format_exception(refused.value)) + caplog.text + repr(vars(registry.objects))
    for name in registry.objects.names(""):
        for place, data in contents(name, registry.objects.get_unverified(name)):
            assert not [secret for secret in secrets if secret.encode() in data], place
    assert not [secret for secret in secrets if secret in told]


# ------------------------------------------------------------------------------------------------ what is not protected


def test_a_log_that_is_rewritten_whole_is_not_noticed(released: Shop) -> None:
    """Somebody else did it all, each hash is right, and nothing and nobody can tell."""
    place, previous = Path(released.registry.uri.removeprefix("file://")), GENESIS
    for entry in list(released.registry.log.entries()):
        data = encode(replace(entry, previous=previous, origin=replace(entry.origin, by="eve")))
        (place / path_of(entry.number)).write_bytes(data)
        previous = sha256_of(data)
    registry = Registry.open(released.registry.uri)
    assert {entry.origin.by for entry in registry.log.entries()} == {"eve"}
    assert list(verify(registry)) == []
    hold(registry, GROUP, ADA)


def test_a_name_is_what_whoever_writes_says(released: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is enough for the command line to write another's name."""
    monkeypatch.setenv("LOGNAME", "eve")
    hold(released.registry, GROUP, Context(registry_uri=released.registry.uri, graph_spec=()).origin())
    assert [entry.origin.by for entry in released.registry.log.entries()][-1] == "eve"


def test_a_snapshot_holds_everything_in_plain(
    shop_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has its files reads each column without Lockstep and without a key, also what is private."""
    monkeypatch.setenv(DATA_VARIABLE, str(shop_template / "data"))
    take_snapshot(Registry.open(str(tmp_path)), replace(shop.shoppers, private=["region"]), ADA)
    rows = pl.read_parquet(tmp_path / "datasets/shoppers/*/part-*.parquet")
    assert set(rows["region"]) == {"north", "south", "east"}


def test_a_backup_keeps_what_was_removed(tmp_path: Path) -> None:
    """What retention deletes is whole in a copy that was made before."""
    years = Years((tmp_path / "registry").as_uri())
    for recipe in "ab":
        years.trained(recipe)
    shutil.copytree(tmp_path / "registry", tmp_path / "backup")
    assert years.retain().files > 0
    backup = Registry.open(str(tmp_path / "backup"))
    assert list(verify(backup)) == []
    assert backup.objects.exists(backup.state().model("churn@1").fact.manifest.path)


def test_the_service_has_no_tls_and_counts_nobody(released: Shop, a_row: dict[str, Any], tmp_path: Path) -> None:
    """By itself it listens on this machine alone, knows no TLS, and answers whoever asks as often as they ask."""
    with serving(released, tmp_path) as service, service.client() as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        said = {client.post("/apis/calls/decisions", json=a_row).status_code for _ in range(300)}
        assert said == {200}
        with pytest.raises(httpx.ConnectError, match=r"(?i)ssl"):
            httpx.get(service.url.replace("http:", "https:"), trust_env=False, verify=ssl.create_default_context())
        assert urlsplit(service.url).hostname == "127.0.0.1"
        assert "warning: no token" not in service.said()


@pytest.fixture
def apart() -> list[str]:
    """Words before a command that give it a network of its own, where nobody is."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        pytest.skip("This machine lets nobody have a network of their own.")
    return words


def test_an_open_service_without_a_token_warns(
    apart: list[str], released: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens it to others is told that it asks nobody for a token."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'include'}:{ROOT}")
    command = [sys.executable, "-m", "lockstep", "--registry", released.registry.uri, "--graph", "tests.training.shop"]
    words = [*apart, *command, "serve", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104  what is tried
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        first = process.stderr.readline() if process.stderr else ""
        process.terminate()
    assert first == "warning: no token is set, so whoever reaches this address gets answers (--token-file).\n"
