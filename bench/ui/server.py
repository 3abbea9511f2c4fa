"""The server of `child`, as whoever asks it sees it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

ROOT: Final = Path(__file__).resolve().parents[2]
PASSWORD: Final = "open sesame"  # noqa: S105  of a server on this machine
START: Final = 280.0  # seconds, on a machine that has other things to do


@dataclass(kw_only=True)
class Server(AbstractContextManager["Server"]):
    """It runs for as long as a `with` block lasts. `users` are names with roles, as "vic:viewer"."""

    home: Path
    module: str
    commands: Sequence[str] = ()
    users: Sequence[str] = ("admin:admin",)
    variables: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    _process: subprocess.Popen[str] | None = None
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        (self.home / "dags").mkdir(parents=True)
        names = [user.partition(":")[0] for user in self.users]
        (self.home / "passwords.json").write_text(json.dumps(dict.fromkeys(names, PASSWORD)))
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "LOCKSTEP", "_AIRFLOW")) and name != "PYTHONDONTWRITEBYTECODE"
        }
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(self.users),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789" * 8,
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "_AIRFLOW_PROCESS_CONTEXT": "server",  # as `airflow api-server` sets it
            "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("include", "plugins", ".")),
            **self.variables,
        }
        command = [sys.executable, "-m", "bench.ui.child", self.module, *self.commands]
        with (self.home / "log.txt").open("w") as log:
            self._process = subprocess.Popen(
                command,
                env=inherited | own,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        port = self._line()
        if not port:
            self.__exit__()
            raise RuntimeError(f"The API server did not start:\n{self.log()[-6000:]}")
        self.url = f"http://127.0.0.1:{port.strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        for client in self._clients.values():
            client.close()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def log(self) -> str:
        """What it has written beside its answers."""
        return (self.home / "log.txt").read_text()

    def do(self, what: str, **given: Any) -> Any:  # noqa: ANN401  any JSON
        """Let a function of its modules do something, and give what that returned."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("it does not run")
        self._process.stdin.write(json.dumps({"do": what, "with": given}) + "\n")
        self._process.stdin.flush()
        line = self._line()
        if not line:
            raise RuntimeError(f"{what}({given}) failed:\n{self.log()[-6000:]}")
        return json.loads(line)

    def client(self, user: str = "admin") -> httpx.Client:
        """A user who has logged in; "" is nobody."""
        if user not in self._clients:
            client = httpx.Client(base_url=self.url, timeout=120)
            if user:
                answer = client.post("/auth/token", json={"username": user, "password": PASSWORD})
                client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            self._clients[user] = client
        return self._clients[user]

    def _line(self) -> str:
        if self._process is None or self._process.stdout is None:
            return ""
        return self._process.stdout.readline()
