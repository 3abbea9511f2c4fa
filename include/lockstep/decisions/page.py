"""The decision diff as one HTML file, with plots.

Rules:
- It keeps the rules of `lockstep.decisions.paper`: it stands alone, and reads well on light and on dark.
- It is made of the diff's JSON alone, and the same diff is the same file.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from lockstep.decisions import told
from lockstep.decisions.paper import INK, NEW, OLD, SOFT, Plot, document, figure, table

Document = Mapping[str, Any]
_SIDES: Final = ("old", "new")
_ENDS: Final = ("from", "to")


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
        body += ["<h2>Contradictions</h2>", table(("APIs that must agree", "contradictions, old → new"), rows)]
    return document(title, body)


def _population(population: Document) -> list[str]:
    thresholds, models = population["thresholds"], population["models"]
    rows = [
        (threshold["threshold"], told.flipped(threshold), told.direction(threshold), told.yes(threshold))
        for threshold in thresholds
    ]
    parts = [f"<h2>{escape(told.rows_of(population)).capitalize()}</h2>"]
    parts.append(table(("threshold", "decisions that flip", "direction", "yes, and cut, old → new"), rows))
    figures = []
    if any(threshold["flips"] and threshold["flips"]["of"] for threshold in thresholds):
        figures.append(figure("Share of decisions that flip, with 95 % intervals", _flip_plot(thresholds)))
    for model in models:
        for score in model["scores"]:
            cuts = [threshold for threshold in thresholds if _cuts(threshold, model)]
            caption = f"Scores of {told.versions(model)}" + ("" if score["of"] == "value" else f" for {score['of']}")
            figures.append(figure(caption, _score_plot(caption, score, cuts)))
    parts.append(f'<div class="plots">{"".join(figures)}</div>')
    metrics = [
        (told.versions(model), name, *told.metric(values))
        for model in models
        for name, values in model["metrics"].items()
        if values["new"] is not None
    ]
    if metrics:
        parts += ["<h3>Metrics on the same rows</h3>", table(("model", "metric", "old", "new", "change"), metrics)]
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
            shown = table(head[: len(examples[0])], examples)
            parts.append(f"<details><summary>{escape(summary)}</summary>{shown}</details>")
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


# --------------------------------------------------------------------------------------------------------------- plots


def _flip_plot(thresholds: Sequence[Document]) -> str:
    """A bar for each threshold: rows from yes to no, from no to yes, and otherwise, with the interval of all."""
    shown = [threshold for threshold in thresholds if threshold["flips"] and threshold["flips"]["of"]]
    names = [threshold["threshold"] for threshold in shown]
    with Plot("flips", 4.6, 0.9 + 0.42 * len(shown)) as plot:
        axes = plot.axes
        to_no = [100 * threshold["yes_to_no"]["rate"] for threshold in shown]
        to_yes = [100 * threshold["no_to_yes"]["rate"] for threshold in shown]
        axes.barh(names, to_no, color=OLD, label="yes to no", height=0.55)
        axes.barh(names, to_yes, left=to_no, color=NEW, label="no to yes", height=0.55)
        rates = [threshold["flips"] for threshold in shown]
        both = [no + yes for no, yes in zip(to_no, to_yes, strict=True)]
        others = [100 * found["rate"] - known for found, known in zip(rates, both, strict=True)]
        has_others = any("changes" in threshold for threshold in shown)
        if has_others:
            axes.barh(names, others, left=both, color=SOFT, label="otherwise", height=0.55)
        below = [100 * (found["rate"] - found["low"]) for found in rates]
        above = [100 * (found["high"] - found["rate"]) for found in rates]
        totals = [100 * found["rate"] for found in rates]
        axes.errorbar(totals, names, xerr=[below, above], fmt="none", ecolor=INK, capsize=3, linewidth=1)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("% of the rows")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / len(shown)), ncols=3 if has_others else 2)
        return plot.svg()


def _score_plot(name: str, score: Document, thresholds: Sequence[Document]) -> str:
    """Both distributions as steps, each as shares of its rows, and where the thresholds cut."""
    with Plot(name, 4.6, 2.3) as plot:
        axes = plot.axes
        for side, color, style in (("old", OLD, "--"), ("new", NEW, "-")):
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
