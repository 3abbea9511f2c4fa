"""The decision diff as one HTML file, with plots.

Rules:
- The file stands alone: no script, nothing from a network, so that it can be mailed, kept, and opened behind a wall.
- It reads well on light and on dark: plots are SVG whose colours are those of the page.
- It is made of the diff's JSON alone, and the same diff is the same file.
- What comes out of data is text, whatever it looks like.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final, Self

from lockstep.decisions import told
from lockstep.errors import UsageError

Document = Mapping[str, Any]
# Colours that stand in a plot until the page's own take their place.
_INK, _SOFT, _OLD, _NEW = "#010203", "#010204", "#010205", "#010206"
_VARIABLES: Final = {_INK: "var(--ink)", _SOFT: "var(--soft)", _OLD: "var(--old)", _NEW: "var(--new)"}
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "legend.frameon": False,
    "text.parse_math": False,
}
_SIDES: Final = ("old", "new")
_ENDS: Final = ("from", "to")
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


def as_html(diff: Document) -> str:
    """The report.

    Raises:
        UsageError: the plotting library is not installed.
    """
    title = f"What releasing {diff['group']} changes"
    body = [f"<h1>{escape(title)}</h1>", f'<p class="about">{escape(told.headline(diff))}</p>']
    members = told.changed(diff)
    body += [f"<p>{escape(', '.join(members))}</p>"] if members else []
    for population in diff["populations"]:
        body += _population(population)
    if diff["splits"]:
        rows = [(told.split_name(split), told.split_rates(split)) for split in diff["splits"]]
        body += ["<h2>Contradictions</h2>", _table(("APIs that must agree", "contradictions, old → new"), rows)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n"
        "</html>\n"
    )


def _population(population: Document) -> list[str]:
    thresholds, models = population["thresholds"], population["models"]
    rows = [
        (threshold["threshold"], told.flipped(threshold), told.direction(threshold), told.yes(threshold))
        for threshold in thresholds
    ]
    parts = [f"<h2>{escape(told.rows_of(population)).capitalize()}</h2>"]
    parts.append(_table(("threshold", "decisions that flip", "direction", "yes, and cut, old → new"), rows))
    figures = []
    if any(threshold["flips"] and threshold["flips"]["of"] for threshold in thresholds):
        figures.append(_figure("Share of decisions that flip, with 95 % intervals", _flip_plot(thresholds)))
    for model in models:
        for score in model["scores"]:
            cuts = [threshold for threshold in thresholds if _cuts(threshold, model)]
            caption = f"Scores of {told.versions(model)}" + ("" if score["of"] == "value" else f" for {score['of']}")
            figures.append(_figure(caption, _score_plot(caption, score, cuts)))
    parts.append(f'<div class="plots">{"".join(figures)}</div>')
    metrics = [
        (told.versions(model), name, *told.metric(values))
        for model in models
        for name, values in model["metrics"].items()
        if values["new"] is not None
    ]
    if metrics:
        parts += ["<h3>Metrics on the same rows</h3>", _table(("model", "metric", "old", "new", "change"), metrics)]
    for threshold in thresholds:
        if threshold["examples"]:
            examples = [
                (
                    str(row["key"]),
                    _score(row["old"]),
                    _score(row["new"]),
                    *(row[end] for end in ("from", "to") if end in row),
                )
                for row in threshold["examples"]
            ]
            summary = f"The first rows that {threshold['threshold']} decides on otherwise"
            head = ("key", "old score", "new score", "old decision", "new decision")
            table = _table(head[: len(examples[0])], examples)
            parts.append(f"<details><summary>{escape(summary)}</summary>{table}</details>")
    return parts


def _cuts(threshold: Document, model: Document) -> bool:
    side = threshold["new"] or threshold["old"]
    return bool(side["model"] in (model["new"], model["old"]))


def _cuts_of(side: Document | None) -> Sequence[float]:
    """Where a side cuts the score, for all rows."""
    if side is None:
        return ()
    return side["cuts"] if "cuts" in side else (side["cut"],)


def _score(value: float) -> str:
    return f"{value:.4f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ["".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>" if lines else ""


def _kind(cell: str) -> str:
    return ' class="number"' if re.fullmatch(r"[+-]?[0-9.e-]+", cell) else ""


def _figure(caption: str, svg: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


# --------------------------------------------------------------------------------------------------------------- plots


def _flip_plot(thresholds: Sequence[Document]) -> str:
    """A bar for each threshold: rows from yes to no, from no to yes, and otherwise, with the interval of all."""
    shown = [threshold for threshold in thresholds if threshold["flips"] and threshold["flips"]["of"]]
    names = [threshold["threshold"] for threshold in shown]
    with _Plot("flips", 4.6, 0.9 + 0.42 * len(shown)) as plot:
        axes = plot.axes
        to_no = [100 * threshold["yes_to_no"]["rate"] for threshold in shown]
        to_yes = [100 * threshold["no_to_yes"]["rate"] for threshold in shown]
        axes.barh(names, to_no, color=_OLD, label="yes to no", height=0.55)
        axes.barh(names, to_yes, left=to_no, color=_NEW, label="no to yes", height=0.55)
        rates = [threshold["flips"] for threshold in shown]
        both = [no + yes for no, yes in zip(to_no, to_yes, strict=True)]
        others = [100 * found["rate"] - known for found, known in zip(rates, both, strict=True)]
        has_others = any("changes" in threshold for threshold in shown)
        if has_others:
            axes.barh(names, others, left=both, color=_SOFT, label="otherwise", height=0.55)
        below = [100 * (found["rate"] - found["low"]) for found in rates]
        above = [100 * (found["high"] - found["rate"]) for found in rates]
        totals = [100 * found["rate"] for found in rates]
        axes.errorbar(totals, names, xerr=[below, above], fmt="none", ecolor=_INK, capsize=3, linewidth=1)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("% of the rows")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / len(shown)), ncols=3 if has_others else 2)
        return plot.svg()


def _score_plot(name: str, score: Document, thresholds: Sequence[Document]) -> str:
    """Both distributions as steps, each as shares of its rows, and where the thresholds cut."""
    with _Plot(name, 4.6, 2.3) as plot:
        axes = plot.axes
        for side, color, style in (("old", _OLD, "--"), ("new", _NEW, "-")):
            found = score[side]
            if found is None or not found["counts"]:
                continue
            total, counts = sum(found["counts"]), found["counts"]
            edges = [found["start"] + place * found["width"] for place in range(len(counts) + 1)]
            axes.stairs([100 * count / total for count in counts], edges, color=color, linestyle=style, label=side)
            for threshold in thresholds:
                for cut in _cuts_of(threshold[side]):
                    axes.axvline(cut, color=color, linewidth=0.8, linestyle=":")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("score" + (" (dotted: the cuts)" if thresholds else ""))
        axes.set_ylabel("% of the rows")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return plot.svg()


class _Plot:
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
