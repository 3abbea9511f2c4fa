"""Installs the programs that stand for the clouds: `python3 loopback/install.py`.

Rules:
- Each has one exact version, and goes into `.cache/stores/` of the project; what is there already stays.
- It needs Go, npm and Python 3.11 to 3.13, and asks nothing but the registries of their packages.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / ".cache/stores"
LOCK: Final = Path(__file__).resolve().parents[1] / "requirements-train.txt"
LOCKED: Final = hashlib.sha256(LOCK.read_bytes()).hexdigest()
CONTAINER: Final = FOLDER / "container"  # the Python of containers that train or serve: without Airflow and Beam
VENV: Final = FOLDER / "venv"  # of servers and SDKs that the lock does not hold
COMMANDS: Final[dict[str, Sequence[str | Path]]] = {
    "go/fake-gcs-server": ("go", "install", "github.com/fsouza/fake-gcs-server@v1.56.1"),
    "go/minio": ("go", "install", "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"),
    "npm/node_modules/.bin/azurite-blob": ("npm", "install", "--no-audit", "--no-fund", "azurite@3.35.0"),
    "npm/node_modules/.bin/s3rver": ("npm", "install", "--no-audit", "--no-fund", "s3rver@3.7.1"),
    "venv/bin/python": (sys.executable, "-m", "venv", VENV),
    "venv/bin/moto_server": (VENV / "bin/pip", "install", "-q", "moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"),
    "venv/bin/gcp-storage-emulator": (VENV / "bin/pip", "install", "-q", "gcp-storage-emulator==2026.7.19"),
    "venv/azure-identity": (VENV / "bin/pip", "install", "-q", "azure-identity==1.27.0"),  # moto brings boto3
    "container/bin/python": (sys.executable, "-m", "venv", CONTAINER),
    f"container/{LOCKED}": (
        CONTAINER / "bin/pip",
        "install",
        "-q",
        "--no-deps",
        "--require-hashes",
        "-r",
        LOCK,
    ),
}


def main() -> None:
    """Install what is missing."""
    (FOLDER / "npm").mkdir(parents=True, exist_ok=True)
    if not (CONTAINER / LOCKED).exists():
        shutil.rmtree(CONTAINER, ignore_errors=True)  # it holds another lock's packages
    for made, command in COMMANDS.items():
        stamp = FOLDER / made
        if stamp.exists():
            continue
        environment = os.environ | {"GOBIN": str(FOLDER / "go"), "GOFLAGS": "-mod=mod"}
        subprocess.run(command, cwd=FOLDER / "npm", env=environment, stdout=sys.stderr, check=True)
        stamp.touch()


if __name__ == "__main__":
    main()
