"""A drift report in words, for a terminal; made of the report's JSON alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Document = Mapping[str, Any]
_ORDER: Final = ("drift", "moved", "quiet", "too few rows", "not compared")
_LOUD: Final = ("drift", "moved")


def as_text(report: Document) -> str:
    """The verdict, a sentence for all that moved, and how many did not."""
    return "\n".join(_lines(report))


def _lines(report: Document) -> Iterator[str]:
    reference, current = report["reference"], report["current"]
    yield f"drift {report['dataset']}: {report['verdict']}. {report['says']}"
    yield f"  reference: {side(reference)}"
    yield f"  current: {side(current)}"
    everything = figures(report)
    for figure in everything:
        if figure["verdict"] in _LOUD:
            yield f"  {figure['verdict'].upper():5} {figure['says']}{_weight(figure)}"
    for figure in everything:
        if figure["verdict"] not in _LOUD and (figure["verdict"] != "quiet" or "name" not in figure):
            yield f"  {'-':5} {figure['says']}"
    quiet = [figure["name"] for figure in everything if figure["verdict"] == "quiet" and "name" in figure]
    if quiet:
        yield f"  {'-':5} as they were: {', '.join(quiet)}"
    if report["missing"]:
        yield f"  {'-':5} only on one side: {', '.join(report['missing'])}"
    for note in report["notes"]:
        yield f"  {'-':5} {note}"


def figures(report: Document) -> list[Document]:
    """All figures, the loudest first; among these, columns by their weight and distance."""
    everything = [*report["columns"], *report["scores"], *report["decisions"], report["classifier"]]
    return sorted(everything, key=lambda one: (_ORDER.index(one["verdict"]), -(one.get("weight") or 0.0)))


def side(about: Document) -> str:
    """What a side is."""
    left = sum(about["left_out"].values())
    out = f", {left} left out ({'; '.join(about['left_out'])})" if left else ""
    return f"{about['name']}, {about['rows']} rows{out}"


def _weight(figure: Document) -> str:
    weight = figure.get("weight")
    return "" if weight is None else f" It is {100 * weight:.0f} % of what the models look at."
