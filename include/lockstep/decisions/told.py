"""The decision diff in words: for a terminal, and in Markdown for whoever is to approve it.

Rules:
- Both are made of the diff's JSON alone, so that a diff that was kept reads as it did when it was made.
- Figures are never rounded to nothing: a change that is there shows.
- What comes out of data (keys, names of files) can't change the form of what is around it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Document = Mapping[str, Any]
_SHOWN: Final = 12  # characters of a digest
_DIGITS: Final = 4
_WAYS: Final = 6
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
_FIRST: Final = "It would be the first release of this group: there are no old decisions to compare with."


def as_text(diff: Document) -> str:
    """A line for each threshold, model and pair of APIs, and one for each of the first flipped rows."""
    lines = [f"diff {diff['group']}: {headline(diff)}", *(f"  {line}" for line in changed(diff))]
    for population in diff["populations"]:
        lines.append(f"{rows_of(population)}:")
        for threshold in population["thresholds"]:
            way = f": {direction(threshold)}" if direction(threshold) else ""
            lines.append(f"  {threshold['threshold']}: {flipped(threshold)}{way}; {yes(threshold)}")
            lines += [f"    {example(row)}" for row in threshold["examples"]]
        lines += [f"  {line}" for model in population["models"] for line in model_lines(model)]
    lines += [f"{split_name(split)}: {split_rates(split)}" for split in diff["splits"]]
    return "\n".join(lines)


def as_markdown(diff: Document) -> str:
    """Tables of thresholds, models and pairs of APIs."""
    parts = [f"## What releasing {_plain(diff['group'])} changes", f"{_plain(headline(diff))}."]
    parts += ["\n".join(f"- {_plain(line)}" for line in changed(diff))] if changed(diff) else []
    for population in diff["populations"]:
        parts.append(f"### {_plain(rows_of(population))}")
        rows = [
            (threshold["threshold"], flipped(threshold), direction(threshold), yes(threshold))
            for threshold in population["thresholds"]
        ]
        parts.append(_table(("threshold", "decisions that flip", "direction", "yes for"), rows))
        figures = [
            (model["model"], versions(model), name, *metric(values))
            for model in population["models"]
            for name, values in model["metrics"].items()
            if values["new"] is not None
        ]
        parts.append(_table(("model", "version", "metric", "old", "new", "change"), figures))
    splits = [(split_name(split), split_rates(split)) for split in diff["splits"]]
    parts.append(_table(("APIs that must agree", "contradictions"), splits))
    return "\n\n".join(part for part in parts if part) + "\n"


# ---------------------------------------------------------------------------------------------- what each of them says


def headline(diff: Document) -> str:
    """Which set takes the place of which."""
    new, old = diff["new"]["release"][:_SHOWN], diff["old"]["release"]
    if old is None:
        return f"staging is {new}. {_FIRST[:-1]}"
    if old == diff["new"]["release"]:
        return f"staging is release {new}, which is in production: nothing changes"
    return f"release {old[:_SHOWN]} is in production, {new} is in staging"


def changed(diff: Document) -> list[str]:
    """A line for each member whose version changes."""
    old, new = diff["old"]["members"], diff["new"]["members"]
    if not old:
        return []
    names = dict.fromkeys([*new, *old])
    return [
        f"{old.get(name, 'nothing')} → {new.get(name, 'nothing')}" for name in names if old.get(name) != new.get(name)
    ]


def rows_of(population: Document) -> str:
    """Which rows were decided on, and how many."""
    source, rows = population["source"], population["rows"]
    left = sum(population["left_out"].values())
    out = f", {left} left out ({'; '.join(population['left_out'])})" if left else ""
    if population["rows_of"] == "test":
        return f"test split of {source['snapshot']}, {rows} rows"
    if population["rows_of"] == "shadow":
        when = f" from {source['first']} to {source['last']}" if source["first"] else ""
        return f"what the shadow decided beside production on {population['dataset']}{when}, {rows} rows{out}"
    where = f"in {source['file']}" if "file" in source else f"in the decision log, {source['log']}"
    return f"requests of {population['dataset']} {where}, {rows} rows{out}"


def flipped(threshold: Document) -> str:
    """How many decisions change, with the interval of the rate."""
    found = threshold["flips"]
    if found is None:
        return "a new threshold, nothing to compare with" if threshold["old"] is None else "it is not released any more"
    if not found["of"]:
        return "no rows to decide on"
    return f"{share(found)} flip"


def direction(threshold: Document) -> str:
    """How many go which way; where there are more than yes and no, the ways that most go."""
    changes = threshold.get("changes")
    if changes is not None:
        ways = sorted(changes, key=lambda change: -change["count"])
        left = sum(change["count"] for change in ways[_WAYS:])
        said = [f"{change['count']} {change['from']} to {change['to']}" for change in ways[:_WAYS]]
        return ", ".join(said + ([f"{left} otherwise"] if left else []))
    to_no, to_yes = threshold["yes_to_no"], threshold["no_to_yes"]
    return f"{to_no['count']} yes to no, {to_yes['count']} no to yes" if to_no and to_no["of"] else ""


def yes(threshold: Document) -> str:
    """To how many it says yes, before and after, and where it cuts."""
    sides = [side for side in (threshold["old"], threshold["new"]) if side is not None]
    if any("rule" in side for side in sides):
        return _decisions(sides)
    rates = " → ".join(rate(side["yes"]["rate"]) for side in sides)
    cuts = " → ".join(f"{side['cut']:.{_DIGITS}f}" for side in sides)
    return f"yes for {rates}, cut at {cuts}"


def _decisions(sides: Sequence[Document]) -> str:
    """How many get each decision, but for no, before and after, and the rules."""
    decided = [side.get("decisions", {"yes": side["yes"]}) for side in sides]
    words = dict.fromkeys(word for found in decided for word in found if word != "no")
    rates = [
        f"{word} for {' → '.join(rate(found[word]['rate']) if word in found else 'nobody' for found in decided)}"
        for word in words
    ]
    rules = dict.fromkeys(side.get("rule") or f"yes from {side['cut']:.{_DIGITS}f} up" for side in sides)
    return f"{', '.join(rates)}; {' → '.join(rules)}"


def example(row: Document) -> str:
    """A flipped row."""
    way = f" ({row['from']} to {row['to']})" if "from" in row else ""
    return f"{row['key']}: {row['old']:.{_DIGITS}f} → {row['new']:.{_DIGITS}f}{way}"


def versions(member: Document) -> str:
    """The version before and after."""
    return member["new"] if member["old"] in (None, member["new"]) else f"{member['old']} → {member['new']}"


def model_lines(model: Document) -> Iterator[str]:
    """How a model's scores move, and its metrics."""
    for score in model["scores"]:
        if score["moved"]["mean"] is not None:
            moved = f"{_number(score['moved']['mean'])} on average, {_number(score['moved']['most'])} at most"
            yield f"{versions(model)}: its score of {score['of']} moves by {moved}"
    told = [
        f"{name} {' → '.join(part for part in (old, new) if part)}{f' ({delta})' if delta else ''}"
        for name, values in model["metrics"].items()
        if values["new"] is not None
        for old, new, delta in [metric(values)]
    ]
    if told:
        yield f"{versions(model)}: {', '.join(told)}, on {model['labelled']} rows"


def metric(values: Document) -> tuple[str, str, str]:
    """A metric before, after, and its change; blank where there is none."""
    old, new, delta = values["old"], values["new"], values["delta"]
    shown = "" if delta is None else f"{'+' if delta >= 0 else '-'}{_number(abs(delta))}"
    return ("" if old is None else f"{old:.{_DIGITS}f}"), f"{new:.{_DIGITS}f}", shown


def split_name(split: Document) -> str:
    """Which APIs contradict each other, on which rows."""
    return f"{split['api']} says yes, {split['other']} says no, by {split['on']}, {split['rows_of']} rows"


def split_rates(split: Document) -> str:
    """The split rate before and after."""
    return " → ".join(share(side) for side in (split["old"], split["new"]) if side is not None)


def share(found: Document) -> str:
    """A share with its interval."""
    if not found["of"]:
        return "0 of 0"
    return f"{found['count']} of {found['of']} ({rate(found['rate'])}; {rate(found['low'])} to {rate(found['high'])})"


def rate(value: float | None) -> str:
    """A share as people write it."""
    return "nobody" if value is None else f"{100 * value:.2f} %"


def _number(value: float) -> str:
    """Four digits behind the point, or as many as it takes to show that it is not 0."""
    fixed = f"{value:.{_DIGITS}f}"
    return f"{value:.1e}" if value and not float(fixed) else fixed


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = [head, ("---",) * len(head), *(tuple(map(_plain, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """The text with nothing in it that Markdown would take for its own."""
    return _SPECIAL.sub(r"\\\1", text.replace("\n", " "))
