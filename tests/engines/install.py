"""Installs what a Flink cluster and Beam's job server for it consist of: `python3 tests/engines/install.py`.

Rules:
- Each has one exact version, and goes into `.cache/engines/` of the project; what is there already stays.
- The job server comes first: where Maven's registry does not have it, `flink-job-server.missing` says so, and Flink's
  own libraries, which would be of no use, are not fetched.
- It needs pip, and Maven if it is there, and asks nothing but the registries of their packages.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[2] / ".cache/engines"
FLINK: Final = "2.2.1"
BEAM: Final = "2.77.0"
ARTIFACT: Final = f"org.apache.beam:beam-runners-flink-2.2-job-server:{BEAM}"
JOB_SERVER: Final = FOLDER / f"flink-job-server-{BEAM}.jar"
MISSING: Final = FOLDER / "flink-job-server.missing"
LIBRARIES: Final = FOLDER / f"flink-{FLINK}"
_NOT_THERE: Final = re.compile(r"Could not find artifact|was not found in")  # now, or when it was asked before
GIVEN: Final = "LOCKSTEP_FLINK_JOB_SERVER"  # a variable that names the jar, where Maven does not have it


def main() -> None:
    """Install what is missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if job_server():
        libraries()


def job_server() -> bool:
    """The jar from the variable, or from Maven; whether there is one."""
    given = os.environ.get(GIVEN)
    if given and not JOB_SERVER.exists():
        shutil.copyfile(given, JOB_SERVER)
    MISSING.unlink(missing_ok=True)
    if not JOB_SERVER.exists() and (why := _from_maven()):
        MISSING.write_text(why)
        sys.stderr.write(f"{why} The test on Flink is skipped; {GIVEN} may name the jar.\n")
    return JOB_SERVER.exists()


def _from_maven() -> str:
    """Fetch the jar; why there is none, if so."""
    maven = shutil.which("mvn")
    if maven is None:
        return f"Maven is not installed, so there is no {ARTIFACT}."
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    options = [f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={FOLDER}", "-Dmdep.stripVersion=true"]
    done = subprocess.run([maven, "-q", "-B", plugin, *options], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        (FOLDER / f"{ARTIFACT.split(':')[1]}.jar").replace(JOB_SERVER)
        return ""
    if not _NOT_THERE.search(done.stdout + done.stderr):
        raise SystemExit(done.stdout + done.stderr)
    return f"Maven's registry has no {ARTIFACT}."


def libraries() -> None:
    """Flink's jars, from the wheel that PyFlink installs."""
    if LIBRARIES.exists():
        return
    wheels = FOLDER / "wheels"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(wheels)]
    subprocess.run([*command, f"apache-flink-libraries=={FLINK}"], stdout=sys.stderr, check=True)
    (wheel,) = wheels.glob("*.whl")
    unpacked = LIBRARIES.with_name(f"{LIBRARIES.name}.unfinished")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith("pyflink/lib/")])
    unpacked.rename(LIBRARIES)
    shutil.rmtree(wheels)


if __name__ == "__main__":
    main()
