"""What a graph demands beyond that all fit together: which APIs must agree, what may change, and when to retrain.

Rules:
- APIs can agree only within a release group, since only its members are released together.
- Each condition names nodes of one group, which counts it; a split rate counts an agreement that is declared.
- A rule for retraining may name thresholds of the graph; columns it names are looked for when they are compared, since
  `clean` may make some.
- Two APIs are compared on a column that each of the datasets that they decide on declares, and by who says yes: each
  has a threshold that can.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lockstep.conditions import Condition, FlipRate, SplitRate
from lockstep.declare import Api, Dataset, Model, Node, Threshold
from lockstep.errors import DeclarationError
from lockstep.group import Group, GroupApi
from lockstep.retraining import DecisionRateMoves, as_rule, simple_ones
from lockstep.thresholds import answers_yes

ModelOf = Callable[[str], Model]


def with_limits(
    nodes: Mapping[str, Node], model_of: ModelOf, groups: Mapping[str, Group], release_if: Sequence[Condition]
) -> dict[str, Group]:
    """The groups with the agreements of their APIs and the conditions that count for them.

    Args:
        nodes: all nodes by name.
        model_of: the model whose score a threshold cuts.
        groups: as the graph falls apart.
        release_if: the conditions of the graph.

    Raises:
        DeclarationError: see the rules of this module.
    """
    homes = {name: group.name for group in groups.values() for name in group.nodes}
    apis = {name: node for name, node in nodes.items() if isinstance(node, Api)}
    found = {
        name: replace(group, apis=tuple(_agreed(api, apis, homes, model_of) for api in group.apis))
        for name, group in groups.items()
    }
    for condition in release_if:
        _check_kind(condition)
        home = _home(condition, nodes, homes)
        _check_agreement(condition, apis)
        found[home] = replace(found[home], release_if=(*found[home].release_if, condition))
    return found


def check_due(nodes: Mapping[str, Node], when: object) -> None:
    """Refuse a rule for retraining that is none, or that names what is no threshold.

    Raises:
        DeclarationError: it is, or does.
    """
    rule = as_rule(when)
    known = [node.name for node in nodes.values() if isinstance(node, Threshold)]
    for condition in simple_ones(rule):
        for name in condition.thresholds if isinstance(condition, DecisionRateMoves) else ():
            if name not in known:
                raise DeclarationError(
                    f'retrain_when: {condition} names "{name}", which is no threshold of the graph; it has'
                    f" {', '.join(known) or 'none'}."
                )


def _agreed(api: GroupApi, apis: Mapping[str, Api], homes: Mapping[str, str], model_of: ModelOf) -> GroupApi:
    declared = apis[api.name]
    if not declared.agrees_with:
        return api
    datasets: dict[str, Dataset] = {}
    for name in (api.name, *declared.agreeing):
        if name not in apis:
            raise DeclarationError(
                f'API "{api.name}": agrees_with names "{name}", which is no API of the graph; it has {", ".join(apis)}.'
            )
        if homes[name] != homes[api.name]:
            raise DeclarationError(
                f'API "{api.name}": agrees_with names "{name}" of release group "{homes[name]}", but it is itself in'
                f' "{homes[api.name]}". Only what is released together can be kept in agreement.'
            )
        datasets |= {data.name: data for data in (model_of(cut.name).data for cut in apis[name].decides)}
        if not any(answers_yes(cut, model_of(cut.name)) for cut in apis[name].decides):
            raise DeclarationError(
                f'API "{api.name}": agrees_with compares who says yes, but "{name}" answers with classes only. Give it'
                " a threshold on one class (positive=…), or take it out of agrees_with."
            )
    return replace(api, agrees_with=declared.agreeing, on=_column(declared, datasets))


def _column(api: Api, datasets: Mapping[str, Dataset]) -> str:
    if api.on is None:
        if len(datasets) > 1:
            raise DeclarationError(
                f'API "{api.name}": it and those that it agrees with decide on the datasets {", ".join(datasets)};'
                ' say on which of their columns to compare, with on="…".'
            )
        return next(iter(datasets.values())).key
    for data in datasets.values():
        if api.on not in data.schema:
            raise DeclarationError(
                f'API "{api.name}": on="{api.on}" is not a column of dataset "{data.name}"; its columns are'
                f" {', '.join(data.schema)}."
            )
    return api.on


def _check_kind(condition: object) -> None:
    if not isinstance(condition, FlipRate | SplitRate):
        raise DeclarationError(
            f"Graph: release_if= holds a {type(condition).__name__}; it takes flip_rate(…) and split_rate(…)."
        )


def _home(condition: Condition, nodes: Mapping[str, Node], homes: Mapping[str, str]) -> str:
    wanted, word = (Threshold, "threshold") if isinstance(condition, FlipRate) else (Api, "API")
    for name in condition.names:
        if not isinstance(nodes.get(name), wanted):
            known = [node.name for node in nodes.values() if isinstance(node, wanted)]
            raise DeclarationError(
                f'release_if: {condition} names "{name}", which is no {word} of the graph; it has'
                f" {', '.join(known) or 'none'}."
            )
    return homes[condition.names[0]]


def _check_agreement(condition: Condition, apis: Mapping[str, Api]) -> None:
    if isinstance(condition, SplitRate) and condition.other not in apis[condition.api].agreeing:
        raise DeclarationError(
            f'release_if: {condition} counts contradictions, but API "{condition.api}" does not say that it agrees with'
            f' "{condition.other}". Declare it: Api("{condition.api}", …, agrees_with=[{condition.other}]).'
        )
