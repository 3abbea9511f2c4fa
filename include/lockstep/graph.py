"""The graph of declarations: checked when it is made, cut into release groups, and shown.

Rules:
- A graph that exists is sound: names are unique and known, there is no cycle, every threshold can be computed, every
  exclusive use is kept. What can't be is a `DeclarationError`; what should not be is a `DeprecatedDataWarning`.
- Arrows run dataset → model → threshold → API, and model → model; an explaining model has an arrow to its API.
- Nodes tied by an arrow are in one release group, except through a dataset declared `shared=False`. That APIs are to
  agree is no arrow.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from lockstep.conditions import Condition
from lockstep.declare import Api, Dataset, Kind, Model, Node, Threshold, check_name, kind_of
from lockstep.errors import DeclarationError, DeprecatedDataWarning, UsageError
from lockstep.group import Group, GroupApi, GroupModel
from lockstep.limits import check_due, with_limits
from lockstep.retraining import When
from lockstep.thresholds import check_threshold

N = TypeVar("N", Dataset, Model, Threshold, Api)


class Graph:
    """Everything reachable from `nodes`, checked.

    Args:
        nodes: APIs, as a rule; whatever they use comes along. Names in `builds_on=` and `model=` mean nodes that are
            reached.
        name: the name of the release group, where there is only one. By default a group is called after its first model
            that builds on no other.
        release_if: what a release may change at most; each condition counts for the group whose nodes it names.
        retrain_when: when a group is to be retrained, as `any_of(drift(psi=0.2), age(days=30))`; each group by itself.

    Raises:
        DeclarationError: see the rules of this module.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        name: str | None = None,
        release_if: Sequence[Condition] = (),
        retrain_when: When | None = None,
    ) -> None:
        found = _reach(nodes)
        if not found:
            raise DeclarationError("Graph([]): no node is given; give at least one API, threshold or model.")
        self._nodes = found
        self._parents = {node: tuple(_parents(found[node], found)) for node in found}
        self._order = _sorted(self._parents)
        self._check_thresholds()
        self._check_exclusive_use()
        self._warn_of_deprecated_data()
        self.groups = with_limits(self._nodes, self.model_of, self._cut_into_groups(name), release_if)
        if retrain_when is not None:
            check_due(self._nodes, retrain_when)
        self.retrain_when = retrain_when

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, each after those it depends on."""
        return tuple(self._nodes[name] for name in self._order)

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self._nodes:
            raise UsageError(f'"{name}" is not in the graph; it has {", ".join(self._order)}.')
        return self._nodes[name]

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name (`UsageError` if there is none)."""
        return self._of(Dataset, Kind.DATASET, name)

    def model(self, name: str) -> Model:
        """The model of that name (`UsageError` if there is none)."""
        return self._of(Model, Kind.MODEL, name)

    def threshold(self, name: str) -> Threshold:
        """The threshold of that name (`UsageError` if there is none)."""
        return self._of(Threshold, Kind.THRESHOLD, name)

    def api(self, name: str) -> Api:
        """The API of that name (`UsageError` if there is none)."""
        return self._of(Api, Kind.API, name)

    def _of(self, kind: type[N], word: Kind, name: str) -> N:
        node = self._nodes.get(name)
        if not isinstance(node, kind):
            names = [other for other in self._order if isinstance(self._nodes[other], kind)]
            raise UsageError(f'There is no {word.value} "{name}" in the graph; it has {", ".join(names) or "none"}.')
        return node

    def parents(self, name: str) -> tuple[str, ...]:
        """Names of the nodes that this one uses directly."""
        return self._parents[self.node(name).name]

    def upstream(self, model: str) -> tuple[Model, ...]:
        """The models that this one builds on directly."""
        return tuple(node for node in map(self.node, self.parents(model)) if isinstance(node, Model))

    def thresholds_of(self, model: str) -> tuple[Threshold, ...]:
        """The thresholds that cut this model's score."""
        return tuple(node for node in map(self.node, self._children(model)) if isinstance(node, Threshold))

    def model_of(self, threshold: str) -> Model:
        """The model whose score this threshold cuts."""
        return self.model(self.parents(self.threshold(threshold).name)[0])

    def hangs_on(self, name: str) -> tuple[Node, ...]:
        """Everything that uses the node, directly or not, in graph order."""
        self.node(name)
        reached = {name}
        for other in self._order:
            if reached.intersection(self._parents[other]):
                reached.add(other)
        return tuple(self._nodes[other] for other in self._order if other in reached and other != name)

    def group(self, name: str) -> Group:
        """The release group of that name (`UsageError` if there is none)."""
        if name not in self.groups:
            raise UsageError(f'There is no release group "{name}"; the graph has {", ".join(self.groups)}.')
        return self.groups[name]

    def group_of(self, name: str) -> Group:
        """The release group that a model, threshold or API belongs to (`UsageError` if it belongs to none)."""
        for group in self.groups.values():
            if name in group.nodes:
                return group
        raise UsageError(f'"{self.node(name).name}" belongs to no release group; only models, thresholds and APIs do.')

    def _children(self, name: str) -> tuple[str, ...]:
        return tuple(other for other in self._order if name in self._parents[other])

    def _check_thresholds(self) -> None:
        for node in self._nodes.values():
            if isinstance(node, Threshold):
                check_threshold(node, self.model_of(node.name))

    def _check_exclusive_use(self) -> None:
        for node in self._nodes.values():
            if not isinstance(node, Model) or node.only_for is None:
                continue
            allowed = ", ".join(node.only_for)
            for name in node.only_for:
                if name not in self._nodes:
                    raise DeclarationError(
                        f'Model "{node.name}": only_for names "{name}", which is not in the graph; it has'
                        f" {', '.join(self._order)}."
                    )
            for user in self._children(node.name):
                apis = {below.name for below in (self._nodes[user], *self.hangs_on(user)) if isinstance(below, Api)}
                if user in node.only_for or (apis and apis.issubset(node.only_for)):
                    continue
                others = sorted(apis.difference(node.only_for))
                through = "" if others in ([], [user]) else f" (for {', '.join(others)})"
                raise DeclarationError(
                    f'Model "{node.name}" is only for {allowed}, but {_word(self._nodes[user])} "{user}"{through} uses'
                    " it. Train a model of its own for that, or add it to only_for."
                )

    def _warn_of_deprecated_data(self) -> None:
        for node in self._nodes.values():
            if isinstance(node, Model) and node.data.deprecated is not None:
                until = f" (no promotion after {node.data.deprecated_after})" if node.data.deprecated_after else ""
                warnings.warn(
                    f'Dataset "{node.data.name}" is deprecated: {node.data.deprecated}{until}. Model "{node.name}"'
                    " uses it.",
                    DeprecatedDataWarning,
                    stacklevel=3,
                )

    def _cut_into_groups(self, name: str | None) -> dict[str, Group]:
        tied: list[set[str]] = []
        for member in self._order:
            node = self._nodes[member]
            if isinstance(node, Dataset) and not node.shared:
                continue
            bound = {other for other in self._parents[member] if not _is_untied(self._nodes[other])} | {member}
            joined = [part for part in tied if part & bound]
            tied = [part for part in tied if not part & bound] + [bound.union(*joined)]
        parts = [part for part in tied if any(isinstance(self._nodes[member], Model) for member in part)]
        parts.sort(key=lambda part: min(self._order.index(member) for member in part))
        if name is not None:
            check_name(Kind.MODEL, name)
            if len(parts) > 1:
                raise DeclarationError(
                    f'Graph(name="{name}"): the graph falls into {len(parts)} release groups, which can\'t share a'
                    " name; leave the name out, or make a Graph of each."
                )
        groups = (self._as_group(part, name) for part in parts)
        return {group.name: group for group in groups}

    def _as_group(self, part: set[str], name: str | None) -> Group:
        members = [self._nodes[member] for member in self._order if member in part]
        models = [node for node in members if isinstance(node, Model)]
        first = next(model for model in models if not self.upstream(model.name))
        return Group(
            name=name or first.name,
            models=tuple(
                GroupModel(
                    name=model.name,
                    dataset=model.data.name,
                    shared=model.data.shared,
                    deprecated_after=model.data.deprecated_after,
                    builds_on=tuple(above.name for above in self.upstream(model.name)),
                    thresholds=tuple(threshold.name for threshold in self.thresholds_of(model.name)),
                )
                for model in models
            ),
            apis=tuple(
                GroupApi(
                    name=node.name,
                    decides=tuple(threshold.name for threshold in node.decides),
                    explains=tuple(model.name for model in node.explains),
                )
                for node in members
                if isinstance(node, Api)
            ),
        )


def _word(node: Node) -> str:
    return "API" if isinstance(node, Api) else kind_of(node).value


def _a(node: Node) -> str:
    return "an API" if isinstance(node, Api) else f"a {_word(node)}"


def _is_untied(node: Node) -> bool:
    return isinstance(node, Dataset) and not node.shared


def _used(node: Node) -> Iterator[Node | str]:
    """What a node names in its declaration, as objects or names."""
    match node:
        case Model():
            yield node.data
            yield from node.builds_on
        case Threshold():
            yield node.model
        case Api():
            yield from node.decides
            yield from node.explains


def _reach(nodes: Iterable[Node]) -> dict[str, Node]:
    """Name → node, in the order of declaration, dependencies first.

    Raises:
        DeclarationError: two different nodes have one name.
    """
    found: dict[str, Node] = {}

    def visit(node: Node, path: tuple[int, ...]) -> None:
        if id(node) in path:  # a list given to builds_on= and changed later can close a circle of objects
            raise DeclarationError(
                f'Models build on each other in a circle through "{node.name}"; take one builds_on away.'
            )
        if found.get(node.name) is node:
            return
        for used in _used(node):
            if not isinstance(used, str):
                visit(used, (*path, id(node)))
        known = found.setdefault(node.name, node)
        if known is not node and known != node:
            both = f"{_a(known)} and {_a(node)}" if kind_of(known) != kind_of(node) else f"two different {_word(node)}s"
            raise DeclarationError(
                f'The name "{node.name}" stands for {both}; names are unique in a graph. Rename one.'
            )

    waiting = list(nodes)
    for node in waiting:  # it grows by the APIs that others are to agree with
        visit(node, ())
        beside = node.agrees_with if isinstance(node, Api) else ()
        waiting += [other for other in beside if not isinstance(other, str) and found.get(other.name) is not other]
    return found


def _parents(node: Node, found: dict[str, Node]) -> Iterator[str]:
    for used in _used(node):
        name = used if isinstance(used, str) else used.name
        if isinstance(used, str) and not isinstance(found.get(name), Model):
            models = [other.name for other in found.values() if isinstance(other, Model)]
            raise DeclarationError(
                f'{kind_of(node).value.capitalize()} "{node.name}": there is no model "{name}" in the graph; its models'
                f" are {', '.join(models) or 'none'}."
            )
        yield name


def _sorted(parents: dict[str, tuple[str, ...]]) -> list[str]:
    try:
        return list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        circle = " → ".join(f'"{name}"' for name in error.args[1])
        raise DeclarationError(f"Models build on each other in a circle: {circle}; take one builds_on away.") from None
