"""docker-compose.yaml: it hangs together, and gives nothing away."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.cli.serve import GRACE
from lockstep.serving.guard import OPEN

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
AIRFLOW = {"airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker"}
OTHERS = {"postgres", "redis", "airflow-init", "decisions", "store"}
# `$${NAME}` is left to the shell in the container
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<rule>[^}]*)\}")
SECRET = re.compile(r"PASSWORD$|SECRET|FERNET_KEY|SQL_ALCHEMY_CONN|BROKER_URL|RESULT_BACKEND|TOKEN$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """What the file says, with its anchors resolved."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services by name."""
    return compose["services"]


def mounts(services: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Service, source, target and options of every mount."""
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source, target, *options = mount.split(":")
            yield name, source, target, "".join(options)


def template() -> dict[str, str]:
    """The variables in .env.example."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_part_of_airflow_runs(services: dict[str, dict[str, Any]]) -> None:
    """Each part of Airflow, its database, broker and set-up, the decision API and a store is a service; no more is."""
    assert set(services) == AIRFLOW | OTHERS
    for name in AIRFLOW:
        command = services[name]["command"]
        words = command if isinstance(command, str) else " ".join(command)
        part = name.removeprefix("airflow-").replace("apis", "api-s").replace("worker", "celery worker")
        assert re.search(rf"(^|airflow ){part}\b", words), words


def test_tasks_run_on_several_workers(services: dict[str, dict[str, Any]]) -> None:
    """CeleryExecutor hands tasks to two workers or more, and a worker that ends waits for its tasks."""
    for name in AIRFLOW:
        assert services[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    worker = services["airflow-worker"]
    assert worker["deploy"]["replicas"] >= 2
    assert worker["environment"]["DUMB_INIT_SETSID"] == "0"
    assert worker["stop_grace_period"] == "5m"


def test_a_task_is_handed_out_once(services: dict[str, dict[str, Any]]) -> None:
    """Redis hands a task out again only after a day; a dead worker's task is noticed after a minute."""
    said = services["airflow-scheduler"]["environment"]
    assert int(said["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) >= 86400
    assert int(said["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) <= 60


def test_memory_and_processors_are_limited(services: dict[str, dict[str, Any]]) -> None:
    """Every service has a limit for memory and for processors."""
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) > 0, name
        assert re.fullmatch(r"\d+[mg]", limits["memory"]), name


def test_what_is_handed_over_outlasts_the_broker(services: dict[str, dict[str, Any]]) -> None:
    """Redis writes down what it was given, in a volume; its password is on no command line."""
    (script,) = services["redis"]["command"]
    assert "appendonly yes" in script
    assert "dir /data" in script
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert "redis-server -" in script
    assert "REDIS_PASSWORD:?" not in script


def test_a_store_is_an_option_without_a_default_key(services: dict[str, dict[str, Any]]) -> None:
    """The store starts only when asked for, has no key of its own, and refuses to start without one."""
    store = services["store"]
    assert [name for name, service in services.items() if "profiles" in service] == ["store"]
    assert "environment" not in store
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(re.findall(r"\$\$\{(\w+):\?", store["command"][0]))
    for name in AIRFLOW | {"decisions", "store"}:
        assert services[name]["env_file"] == [{"path": "store.env", "required": False}], name


def test_no_version(compose: dict[str, Any]) -> None:
    """The file carries no `version:`, which Compose calls obsolete."""
    assert "version" not in compose


def test_dependencies_can_be_met(services: dict[str, dict[str, Any]]) -> None:
    """A service waits for services that exist: until they are healthy if they stay, until they are done if they end."""
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            ends = services[other]["restart"] == "no"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")
            assert ends or "healthcheck" in services[other]


def test_dependencies_end(services: dict[str, dict[str, Any]]) -> None:
    """No service waits for itself through others."""
    waiting = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    while ready := {name for name, others in waiting.items() if not others & set(waiting)}:
        waiting = {name: others for name, others in waiting.items() if name not in ready}
    assert not waiting


def test_what_stays_up_is_watched(services: dict[str, dict[str, Any]]) -> None:
    """Every service that is to stay up starts again after a crash, and has a health check."""
    for name, service in services.items():
        if name != "airflow-init":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    """Every image has a tag, which is not `latest`; so have the two that the Dockerfile builds on."""
    base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    images = [*base, *(service["image"] for service in services.values())]
    assert len(images) == len(services) + 2
    for image in images:
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image), image


def test_the_image_has_the_airflow_of_the_lock() -> None:
    """The Dockerfile builds on the very Airflow that requirements.txt pins."""
    pinned = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned
    assert f"\nFROM apache/airflow:{pinned[1]}-python3.11\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_ports_are_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    """Nothing is published but on 127.0.0.1, and no two services want the same port."""
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:8000:8000", "127.0.0.1:8080:8080"]
    assert not any("network_mode" in service for service in services.values())


def test_folders_exist(services: dict[str, dict[str, Any]]) -> None:
    """Every folder of this project that is mounted is there, and containers can't write into it."""
    folders = {(source, options) for _, source, _, options in mounts(services) if source.startswith((".", "/"))}
    assert folders == {("./dags", "ro"), ("./plugins", "ro"), ("./include", "ro")}
    for source, _ in folders:
        assert (ROOT / source).is_dir(), source


def test_volumes_are_declared_and_used(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    """Every named volume that is mounted is declared, and none is declared for nothing."""
    assert {source for _, source, _, _ in mounts(services) if not source.startswith((".", "/"))} == set(
        compose["volumes"]
    )


def test_no_service_hides_a_mount(services: dict[str, dict[str, Any]]) -> None:
    """No service mounts two things at the same place."""
    places = [(name, target) for name, _, target, _ in mounts(services)]
    assert len(places) == len(set(places))


def test_volumes_belong_to_airflow(services: dict[str, dict[str, Any]]) -> None:
    """Every volume of Lockstep's is mounted on a folder that the Dockerfile makes for the user `airflow`."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    made = re.search(r"install --directory --owner=airflow [^\n]*\\\n(.*)", dockerfile)
    assert made
    targets = {target for _, source, target, _ in mounts(services) if source in {"auth", "data", "registry"}}
    assert targets <= set(made[1].split())


def test_registry_and_data_are_mounted(services: dict[str, dict[str, Any]]) -> None:
    """Whoever is told where the registry is has it mounted there, and decisions can only read it."""
    where = {(name, target): options for name, _, target, options in mounts(services)}
    for name in AIRFLOW | {"decisions"}:
        said = services[name]["environment"]["LOCKSTEP_REGISTRY"]
        assert said == "${LOCKSTEP_REGISTRY:-file:///opt/lockstep/registry}"
        assert where[name, "/opt/lockstep/registry"] == ("ro" if name == "decisions" else "")
    for name in AIRFLOW:
        assert services[name]["environment"]["LOCKSTEP_DATA"] == "/opt/lockstep/data"
        assert (name, "/opt/lockstep/data") in where
        assert services[name]["environment"]["PYTHONPATH"] == "/opt/lockstep/include"


def test_tasks_find_the_api_server(services: dict[str, dict[str, Any]]) -> None:
    """Tasks are told the API server's name in this network, and the port that it publishes."""
    for name in AIRFLOW:
        url = services[name]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        assert url == "http://airflow-apiserver:8080/execution/"
    assert services["airflow-apiserver"]["ports"] == ["127.0.0.1:8080:8080"]


def test_passwords_reach_only_who_checks_them(services: dict[str, dict[str, Any]]) -> None:
    """The file with the passwords is mounted where it is written and where people log in, and nowhere else."""
    assert {name for name, source, _, _ in mounts(services) if source == "auth"} == {
        "airflow-init",
        "airflow-apiserver",
    }


def test_secrets_come_from_outside(services: dict[str, dict[str, Any]]) -> None:
    """Every secret is a variable that has to be set."""
    found = 0
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name) and not name.endswith("_FILE"):
                found += 1
                assert (variable := VARIABLE.search(value)), name
                assert variable["rule"].startswith(":?"), name
    assert found >= len(AIRFLOW) * 5


def test_decisions_know_no_secret_but_their_own(services: dict[str, dict[str, Any]]) -> None:
    """The decision API gets its token and none of Airflow's secrets; nobody else gets the token."""
    for name, service in services.items():
        variables = {found["name"] for found in VARIABLE.finditer(yaml.safe_dump(service))}
        assert ("LOCKSTEP_TOKEN" in variables) == (name == "decisions")
    known = {found["name"] for found in VARIABLE.finditer(yaml.safe_dump(services["decisions"]))}
    assert known == {"LOCKSTEP_TOKEN", "LOCKSTEP_REGISTRY"}


def test_decisions_are_ready_with_their_releases(services: dict[str, dict[str, Any]]) -> None:
    """Several workers answer, whether they are ready is asked where no token is needed, and they may end in order."""
    decisions = services["decisions"]
    command = decisions["command"]
    assert int(command[command.index("--workers") + 1]) > 1
    assert decisions["healthcheck"]["test"][-1] == f"http://127.0.0.1:{command[command.index('--port') + 1]}/readyz"
    assert "/readyz" in OPEN
    assert int(decisions["stop_grace_period"].removesuffix("s")) > GRACE
    assert not any("decisions" in service.get("depends_on", {}) for service in services.values())


def test_variables_are_in_the_template() -> None:
    """Each variable but the registry's place refuses to be empty, and is blank in .env.example; no other is there."""
    variables = list(VARIABLE.finditer(FILE.read_text(encoding="utf-8")))
    optional = {variable["name"] for variable in variables if not variable["rule"].startswith(":?")}
    assert optional == {"LOCKSTEP_REGISTRY"}
    assert template() == dict.fromkeys((v["name"] for v in variables if v["name"] not in optional), "")
    assert "\n# LOCKSTEP_REGISTRY=" in (ROOT / ".env.example").read_text(encoding="utf-8")


def test_secrets_stay_out_of_the_image() -> None:
    """Only what the Dockerfile copies may enter a build, and `.env` may not."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = re.findall(r"^COPY (?:--\S+ )*(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert all(name in allowed or name.partition("/")[0] in allowed for name in copied)
    assert allowed <= set(copied)
    assert "**/.env" in rules
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {".env", "store.env"} <= set(ignored)


def test_compose_accepts_it(tmp_path: Path) -> None:
    """Docker Compose, or the loader that it is built on, accepts the file."""
    docker, loader = shutil.which("docker"), ROOT / ".cache/compose-go/cmd"
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        (tmp_path / "filled").write_text("".join(f"{name}=x\n" for name in template()), encoding="utf-8")
        command = [docker, "compose", "--env-file", tmp_path / "filled", "--file", FILE, "config", "--quiet"]
    elif loader.exists():
        command = [loader, "-no-interpolation", FILE]  # it looks for variables nowhere; the tests above do
    else:
        pytest.skip(
            "install Docker Compose, or its loader: GOBIN=$PWD/.cache/compose-go go install"
            " github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
        )
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_each_secret_that_is_missing_is_named() -> None:
    """The loader that Docker Compose is built on stops, and names each variable that has no value."""
    loader = ROOT / ".cache/compose-go/cmd"  # it looks for variables nowhere, so each is missing
    if not loader.exists():
        pytest.skip("install the loader of Docker Compose, as the test above says")
    said = subprocess.run([loader, FILE], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    missing = re.findall(r"required variable (\w+) is missing a value: set it in \.env", said.stderr)
    assert set(missing) == set(template())


def test_the_image_that_trains_has_the_core_alone() -> None:
    """Target `train` installs the lock of the core with hashes, copies the core, and holds neither Airflow nor Beam."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    train = text.partition(" AS train\n")[2].partition("\nFROM ")[0]
    assert "--require-hashes --requirement /opt/lockstep/requirements-train.txt" in train
    assert re.findall(r"^COPY (\S+)", train, re.MULTILINE) == ["requirements-train.txt", "include/lockstep"]
    lock = (ROOT / "requirements-train.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert {"numpy", "obstore", "polars", "pydantic", "scikit-learn", "skops"} <= pinned
    assert not {name for name in pinned if name.startswith("apache-")}
