"""What MkDocs does here beside its own: pages from the project's root, and links that lead out of `docs`.

Rules:
- README, CONTRIBUTING and CHANGELOG are pages of the site, and stand once, in the project's root.
- A link from a page to a file outside of `docs` becomes the file's name; a file that is not there ends the build.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
FROM_ROOT = {
    "README.md": "index.md",
    "README.ja.md": "ja/index.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])+)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)]*)?\)")
IMAGE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any, **_: Any) -> Files:  # noqa: ANN401  as MkDocs calls it
    """Add the pages of the project's root."""
    for name, page in FROM_ROOT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:  # noqa: ANN401  as MkDocs calls it
    """Turn links so that they fit the site; code is left alone."""
    here = page.file.src_uri
    came_from = next((name for name, target in FROM_ROOT.items() if target == here), None)
    folder = ROOT if came_from else (ROOT / "docs" / here).parent
    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _turned(part, here, folder) for part in parts)


def _turned(text: str, here: str, folder: Path) -> str:
    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            return match[0]
        inside = _inside(target, here, folder)
        if inside is None:
            shown = match["text"]
            return shown if "`" in shown else f"{shown} (`{_file(target, here, folder)}`)"
        return f"[{match['text']}]({inside}{match['anchor'] or ''})"

    def image(match: re.Match[str]) -> str:
        return f"![{match['text']}]({_inside(match['target'], here, folder) or match['target']})"

    return IMAGE.sub(image, LINK.sub(link, text))


def _file(target: str, here: str, folder: Path) -> str:
    """Where a link leads to, from the project's root."""
    found = Path(os.path.normpath(folder / target))
    if not found.exists():
        raise PluginError(f"{here}: a link leads to {target}, which is not there.")
    return found.relative_to(ROOT).as_posix()


def _inside(target: str, here: str, folder: Path) -> str | None:
    """The page that a link leads to, from the page `here`; None for a file that is no page."""
    file = _file(target, here, folder)
    page = FROM_ROOT.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if page is None or not Path(page).suffix:
        return None
    return os.path.relpath(page, Path(here).parent).replace(os.sep, "/")
