"""A machine of Dataflow: `python -S -P dataflow_worker.py LIBRARIES PIPELINE FOLDER` runs a staged pipeline.

Rules:
- It imports Beam and its libraries, and what the job's packages bring; nothing of this project.
- It ends with 0 only if the pipeline is done.
"""

import importlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

PACKAGES = (".tar.gz", ".whl")


def main(libraries: str, pipeline: str, folder: Path) -> int:
    """Run it."""
    brought = folder / "packages"
    brought.mkdir()  # before Python looks there, or it would remember that there is none
    sys.path[:] = [*(path for path in sys.path if path), str(brought), libraries]
    from apache_beam.portability.api import beam_runner_api_pb2 as api

    proto = api.Pipeline.FromString(fetched(pipeline))
    for name, url in artifacts(api, proto):
        if name.endswith(PACKAGES):
            path = folder / name
            path.write_bytes(fetched(url))
            install(path, brought, libraries)
    importlib.invalidate_caches()
    for environment in proto.components.environments.values():
        environment.CopyFrom(api.Environment(urn="beam:env:embedded_python:v1", capabilities=environment.capabilities))

    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    result = FnApiRunner().run_via_runner_api(proto, PipelineOptions([]))
    return 0 if result.wait_until_finish() == "DONE" else 1


def artifacts(api: Any, proto: Any) -> list[tuple[str, str]]:  # noqa: ANN401  generated modules
    """What the environments depend on: the name on a machine, and where it was staged."""
    found: dict[str, str] = {}
    for environment in proto.components.environments.values():
        for one in environment.dependencies:
            name = api.ArtifactStagingToRolePayload.FromString(one.role_payload).staged_name
            found[name] = api.ArtifactUrlPayload.FromString(one.type_payload).url
    return list(found.items())


def fetched(url: str) -> bytes:
    """The bytes of an object in the emulator's bucket."""
    bucket, _, name = url.removeprefix("gs://").partition("/")
    address = f"{os.environ['STORAGE_EMULATOR_HOST']}/{bucket}/{quote(name)}"
    with urllib.request.urlopen(address) as answer:  # noqa: S310  of loopback
        data: bytes = answer.read()
        return data


def install(path: Path, folder: Path, libraries: str) -> None:
    """As a machine does it, but from no index."""
    command = [sys.executable, "-S", "-P", "-c", "import runpy, sys; sys.path.append(sys.argv.pop(1));"]
    command[-1] += " runpy.run_module('pip', run_name='__main__', alter_sys=True)"
    options = ["install", "--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--target", str(folder)]
    subprocess.run([*command, libraries, *options, str(path)], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
