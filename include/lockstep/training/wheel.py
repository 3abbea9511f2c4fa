"""Makes a wheel of the folder that it stands in: the build backend of Lockstep's own source distribution.

Rules:
- It needs the standard library alone, so that installing the distribution fetches nothing to build it with.
- What stands in `PKG-INFO` is the wheel's metadata, word for word.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

_TAGS: Final = "Wheel-Version: 1.0\nGenerator: lockstep\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,  # noqa: ARG001  PEP 517's signature
    metadata_directory: str | None = None,  # noqa: ARG001  as above
) -> str:
    """Write the wheel into a folder, as PEP 517 wants it; returns its file name."""
    root = Path.cwd()
    metadata = root.joinpath("PKG-INFO").read_bytes()
    said = dict(line.split(": ", 1) for line in metadata.decode().splitlines() if ": " in line)
    stem = f"{said['Name'].replace('-', '_')}-{said['Version']}"
    code = sorted(path for path in root.rglob("*.py") if path.name != Path(__file__).name)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in code}
    files |= {f"{stem}.dist-info/METADATA": metadata, f"{stem}.dist-info/WHEEL": _TAGS.encode()}
    record = "".join(f"{name},sha256={_hash(content)},{len(content)}\n" for name, content in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
    name = f"{stem}-py3-none-any.whl"
    with ZipFile(Path(wheel_directory, name), "w", ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return name


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
