"""The drift report as one HTML file, with plots.

Rules:
- It keeps the rules of `lockstep.decisions.paper`: it stands alone, and reads well on light and on dark.
- It is made of the report's JSON alone, and the same report is the same file.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from lockstep.decisions.paper import INK, NEW, OLD, SOFT, Plot, document, figure, table
from lockstep.monitoring import told

Document = Mapping[str, Any]
_PLOTTED: Final = 12  # columns beyond those that moved
_MOST_BINS: Final = 14
_LONGEST: Final = 24  # characters of a label


def as_html(report: Document) -> str:
    """The report.

    Raises:
        UsageError: the plotting library is not installed.
    """
    title = f"Drift of {report['dataset']}: {report['verdict']}"
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(report['says'])}</p>"]
    sides = f"Reference: {told.side(report['reference'])}. Current: {told.side(report['current'])}."
    body.append(f'<p class="about">{escape(sides)}</p>')
    everything = told.figures(report)
    rows = [(one["verdict"], one["says"], _share(one.get("weight"))) for one in everything]
    body += ["<h2>What each figure says</h2>", table(("verdict", "in words", "weight"), rows)]
    body += [f"<p>{escape(note)}</p>" for note in report["notes"]]
    if report["missing"]:
        body.append(f"<p>Only on one side: {escape(', '.join(report['missing']))}.</p>")
    plots = [_overview(report)] if any(column["psi"] is not None for column in report["columns"]) else []
    shown = [one for one in everything if one.get("bins")]
    loud = sum(one["verdict"] != "quiet" for one in shown)
    plots += [figure(_caption(one), _spread(one)) for one in shown[: loud + _PLOTTED]]
    if plots:
        body += ["<h2>How the columns are spread</h2>", f'<div class="plots">{"".join(plots)}</div>']
    if report["decisions"]:
        head = ("decision", "reference", "current", "change in points", "Cohen's h", "p, corrected")
        body += ["<h2>Decisions</h2>", table(head, map(_decision, report["decisions"]))]
    body += ["<h2>All figures</h2>", table(*_figures(everything))]
    return document(title, body)


def _decision(one: Document) -> tuple[str, ...]:
    moved = one["moved"]
    return (
        f"{one['threshold']}: {one['decision']}",
        _interval(one["reference"]),
        _interval(one["current"]),
        "" if moved is None else f"{100 * moved:+.2f}",
        _number(one["cohens_h"]),
        _number(one["p_corrected"]),
    )


def _figures(everything: Sequence[Document]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table that leaves nothing out."""
    head = ("column", "role", "rows", "blanks", "PSI", "p", "p, corrected", "further figures")
    rows: list[tuple[str, ...]] = [
        (
            one["name"],
            one["role"],
            _pair(one["rows"]),
            _pair(one["blanks"]),
            _number(one["psi"]),
            _number(one["p"]),
            _number(one["p_corrected"]),
            ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in one["figures"].items()),
        )
        for one in everything
        if "role" in one
    ]
    return head, rows


# --------------------------------------------------------------------------------------------------------------- plots


def _overview(report: Document) -> str:
    """A bar for each column, as long as its PSI, and lines at the limits."""
    shown = sorted((one for one in report["columns"] if one["psi"] is not None), key=lambda one: -one["psi"])
    with Plot("overview", 4.6, 0.9 + 0.2 * len(shown)) as plot:
        axes = plot.axes
        colors = [NEW if one["verdict"] in ("drift", "moved") else SOFT for one in shown]
        axes.barh([_short(one["name"]) for one in shown], [one["psi"] for one in shown], color=colors, height=0.6)
        for limit, style in ((report["limits"]["moved"], ":"), (report["limits"]["psi"], "--")):
            axes.axvline(limit, color=INK, linewidth=0.8, linestyle=style)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("PSI (dotted: moved, dashed: drift)")
        return figure("How far each column lies from the reference", plot.svg())


def _spread(one: Document) -> str:
    """Two bars for each bin: its share of the rows of the reference, and of the current ones."""
    bins = _fewer(one["bins"])
    totals = {side: sum(found[side] for found in one["bins"]) or 1 for side in ("reference", "current")}
    places = range(len(bins))
    with Plot(f"{one['role']} {one['name']}", 4.6, 0.9 + 0.24 * len(bins)) as plot:
        axes = plot.axes
        for shift, side, color in ((-0.2, "reference", OLD), (0.2, "current", NEW)):
            shares = [100 * found[side] / totals[side] for found in bins]
            axes.barh([place + shift for place in places], shares, color=color, height=0.38, label=side)
        axes.set_yticks(list(places), [_short(found["bin"]) for found in bins])
        axes.invert_yaxis()
        axes.set_xlabel("% of the rows")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return plot.svg()


def _fewer(bins: Sequence[Document]) -> Sequence[Document]:
    """The bins that a plot has room for: of many categories, those that change most."""
    if len(bins) <= _MOST_BINS:
        return bins
    totals = [sum(found[side] for found in bins) or 1 for side in ("reference", "current")]
    change = {found["bin"]: abs(found["reference"] / totals[0] - found["current"] / totals[1]) for found in bins}
    kept = sorted(change, key=lambda name: -change[name])[:_MOST_BINS]
    return [found for found in bins if found["bin"] in kept]


def _caption(one: Document) -> str:
    psi = "" if one["psi"] is None else f", PSI {one['psi']:.3f}"
    return f"{one['name']} ({one['role']}): {one['verdict']}{psi}"


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"


def _interval(share: Document) -> str:
    if not share["of"]:
        return "0 of 0"
    return f"{100 * share['rate']:.2f} % ({100 * share['low']:.2f} to {100 * share['high']:.2f}) of {share['of']}"


def _pair(sides: Document) -> str:
    return f"{sides['reference']} → {sides['current']}"


def _share(weight: float | None) -> str:
    return "" if weight is None else f"{100 * weight:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
