"""A page of a report, and the plots on it.

Rules:
- The file stands alone: no script, nothing from a network, so that it can be mailed, kept, and opened behind a wall.
- It reads well on light and on dark: plots are SVG whose colours are those of the page.
- The same values are the same file.
- What comes out of data is text, whatever it looks like.
"""

import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final, Self

from lockstep.errors import UsageError

# Colours that stand in a plot until the page's own take their place.
INK, SOFT, OLD, NEW = "#010203", "#010204", "#010205", "#010206"
_VARIABLES: Final = {INK: "var(--ink)", SOFT: "var(--soft)", OLD: "var(--old)", NEW: "var(--new)"}
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "text.parse_math": False,
}
_GROUP: Final = re.compile(r'<g id="[^"]*">')
_ABOUT: Final = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_STYLE: Final = """
:root { color-scheme: light dark; --page: #fbfbfa; --ink: #1d2329; --soft: #68727c; --line: #d9dde1; --old: #8a6d1d;
  --new: #1f6fb2; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --ink: #e4e8ec; --soft: #87919b; --line: #343b42;
  --old: #d9b44a; --new: #62b0f0; --card: #1b2026; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 62rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p.about { color: var(--soft); margin: 0 0 1rem; }
table { border-collapse: collapse; margin: .4rem 0 1rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; } td.number { font-variant-numeric: tabular-nums; text-align: right; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; margin: 0; padding: .6rem; }
figure svg { display: block; height: auto; max-width: 100%; } figcaption { color: var(--soft); font-size: .85rem; }
details summary { cursor: pointer; color: var(--soft); }
"""


def document(title: str, body: Sequence[str]) -> str:
    """The page that holds some elements."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n"
        "</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, numbers to the right; nothing where there are no rows."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ["".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>" if lines else ""


def _kind(cell: str) -> str:
    return ' class="number"' if re.fullmatch(r"[+-]?[0-9.e-]+", cell) else ""


def figure(caption: str, svg: str) -> str:
    """A plot with what it shows."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


class Plot:
    """One figure of matplotlib, without its global state; sizes in inches."""

    def __init__(self, name: str, width: float, height: float) -> None:
        try:
            from matplotlib import rc_context
            from matplotlib.figure import Figure
        except ImportError:
            raise UsageError(
                "The HTML report needs matplotlib, which is not installed. Install airflow-provider-lockstep[report],"
                " or ask for --json."
            ) from None
        self._settings = rc_context({**_SETTINGS, "svg.hashsalt": name})  # the same ids each time, others in each plot
        self._size, self._make = (width, height), Figure

    def __enter__(self) -> Self:
        self._settings.__enter__()
        self.figure = self._make(figsize=self._size, layout="constrained")
        self.axes: Any = self.figure.add_subplot()
        return self

    def __exit__(self, *error: object) -> None:
        self._settings.__exit__(None, None, None)

    def svg(self) -> str:
        """The figure as an element of HTML, in the page's colours."""
        file = io.StringIO()
        self.figure.savefig(file, format="svg", transparent=True, metadata=_METADATA)
        found = file.getvalue()
        found = _GROUP.sub("<g>", _ABOUT.sub("", found[found.index("<svg") :]))
        for color, variable in _VARIABLES.items():
            found = found.replace(color, variable)
        return found
