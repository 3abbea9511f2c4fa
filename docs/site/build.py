"""Build the documentation site into `.cache/site`: `python docs/site/build.py`, or `make docs`.

Rules:
- The tools live in an environment of their own, `.cache/docs`, made anew when `requirements.txt` here changes.
- A broken link or anchor, a page that no menu has, and a name that no docstring explains end the build with status 1.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).with_name("requirements.txt")
FOLDER = ROOT / ".cache" / "docs"
STAMP = FOLDER / "installed.txt"
SITE = ROOT / ".cache" / "site"
INSTALL = "python3 -m venv .cache/docs && .cache/docs/bin/pip install -r docs/site/requirements.txt"
PATIENCE = 300.0  # seconds for making the environment


class ToolMissing(Exception):
    """MkDocs is not there and can't be had; the message is the line that would install it."""


def python() -> Path:
    """The Python of MkDocs' environment, which is made if need be.

    Raises:
        ToolMissing: it can't be made.
    """
    found, wanted = FOLDER / "bin" / "python", PINS.read_text(encoding="utf-8")
    if found.exists() and STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted:
        return found
    uv = Path(sys.executable).with_name("uv")
    make: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", "--clear", FOLDER],
        [uv, "pip", "install", "--quiet", "--python", found, "-r", PINS]
        if uv.exists()
        else [found, "-m", "pip", "install", "--quiet", "-r", PINS],
    ]
    try:
        for command in make:
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)  # noqa: S603  tools of its own
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(
            f"MkDocs is not there and can't be installed ({type(error).__name__}); by hand: {INSTALL}"
        ) from None
    STAMP.write_text(wanted, encoding="utf-8")
    return found


def build(site: Path = SITE, *, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Build the site into a folder; with `capture`, what the build says is returned instead of printed.

    Raises:
        ToolMissing: MkDocs can't be had.
    """
    command = [python(), "-m", "mkdocs", "build", "--strict", "--clean", "--site-dir", site]
    return subprocess.run(  # noqa: S603  a tool of its own
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=capture,
        text=True,
        check=False,
    )


def main() -> int:
    """Build, and say where the site is."""
    try:
        status = build().returncode
    except ToolMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    if not status:
        sys.stderr.write(f"The site is in {SITE.relative_to(ROOT)}; open index.html there.\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
