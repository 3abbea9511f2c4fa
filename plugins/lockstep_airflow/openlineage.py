"""What our tasks tell OpenLineage: what they read and made, with facets of snapshots, models, thresholds and releases.

Rules:
- Nothing is done unless Airflow's OpenLineage provider is installed and has somewhere to send to.
- All is read in the task's own process, as soon as the work is done: the provider asks in a forked one, where a client
  of a store may hang. What can't be read is a line in the task's log, and no more.
- A node is one dataset over all its versions, named by where it stands, as OpenLineage names files: `file` and a path,
  `gs://bucket` and a path. Which version it was says the facet `version`.
- The facets of our own are described by `openlineage_facets.json` beside this file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from lockstep.registry import (
    ModelTrained,
    Origin,
    Registry,
    SnapshotTaken,
    State,
    ThresholdTuned,
    Version,
    read_manifest,
)

SCHEMA: Final = "urn:airflow-provider-lockstep:openlineage:1"  # the `$id` of openlineage_facets.json
PROVIDER: Final = "airflow.providers.openlineage"
_MOST_FILES: Final = 50  # of a source, each a dataset; of more, their folders are
_KINDS: Final = {SnapshotTaken: "datasets", ModelTrained: "models", ThresholdTuned: "thresholds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A dataset of OpenLineage: its name, and facets by name, those of ours and those of the specification."""

    namespace: str
    name: str
    facets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What a task read and made, and what is said of its run."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    run: Mapping[str, Mapping[str, Any]]


def is_on() -> bool:
    """Whether anybody listens."""
    try:
        if find_spec(PROVIDER) is None:
            return False
    except ModuleNotFoundError:
        return False
    from airflow.providers.openlineage import conf

    return not conf.is_disabled()


def flow_of(task: Any, registry: Registry, origin: Origin, found: Mapping[str, Any]) -> Flow:  # noqa: ANN401  an operator of ours
    """What a task that is done read and made."""
    state = registry.state()
    run = {
        "lockstep_run": {
            "registry": registry.uri,
            "by": origin.by,
            "why": origin.why,
            "commit": origin.job.commit if origin.job else "",
            "entry": found.get("entry"),
        }
    }
    inputs: list[Node] = []
    outputs: list[Node] = []
    if "members" in found:
        inputs = [_member(registry, state, key, digest) for key, digest in found["members"].items()]
        outputs = [_release(registry, state, found, origin)]
    elif "staging" in found:
        inputs = [_version(registry, _by_ref(task.group, state, ref)) for ref in found["staging"]]
    elif hasattr(task, "threshold") and "version" in found:
        tuned = state.threshold(found["version"])
        model = state.model_by_digest(tuned.fact.model, tuned.fact.model_digest)
        snapshot = state.snapshot_by_digest(model.fact.dataset, model.fact.snapshot)
        inputs = [_version(registry, model), _version(registry, snapshot)]
        outputs = [_version(registry, tuned)]
    elif hasattr(task, "model") and "version" in found:
        trained = state.model(found["version"])
        snapshot = state.snapshot_by_digest(trained.fact.dataset, trained.fact.snapshot)
        above: list[Version[Any]] = [
            state.model_by_digest(name, digest) for name, digest in trained.fact.upstream.items()
        ]
        inputs = [_version(registry, one) for one in (*above, snapshot)]
        outputs = [_version(registry, trained)]
    elif hasattr(task, "dataset") and "version" in found:
        taken = state.snapshot(found["version"])
        inputs = _files(read_manifest(registry.objects, taken.fact.manifest)["source"]["files"])
        outputs = [_version(registry, taken)]
    return Flow(inputs=tuple(inputs), outputs=tuple(outputs), run=run)


def _by_ref(group: Any, state: State, ref: str) -> Version[Any]:  # noqa: ANN401  a release group
    name = ref.partition("@")[0]
    return state.threshold(ref) if name in group.model_of_threshold else state.model(ref)


def _member(registry: Registry, state: State, key: str, digest: str) -> Node:
    kind, _, name = key.partition(":")
    return _version(registry, (state.model_by_digest if kind == "model" else state.threshold_by_digest)(name, digest))


def _version(registry: Registry, version: Version[Any]) -> Node:
    """A version, with what its entry and its manifest say of it."""
    fact, manifest = version.fact, read_manifest(registry.objects, version.fact.manifest)
    namespace, root = place_of(registry.uri)
    facets: dict[str, Mapping[str, Any]] = {
        "version": {"datasetVersion": version.ref},
        "lockstep_version": {
            "kind": fact.kind,
            "ref": version.ref,
            "digest": version.digest,
            "entry": version.recorded.number,
            "folder": fact.manifest.path.rpartition("/")[0],
        },
    }
    if isinstance(fact, SnapshotTaken):
        facets["schema"] = {"fields": _columns(manifest)}
        facets["outputStatistics"] = {"rowCount": fact.rows}
        facets["lockstep_snapshot"] = {"quarantined": fact.quarantined, "rowsBySplit": manifest["rows_by_split"]}
    elif isinstance(fact, ModelTrained):
        facets["lockstep_model"] = {
            "task": manifest["task"],
            "target": manifest["target"],
            "metrics": fact.metrics,
            "parameters": fact.parameters,
            "missed": list(fact.missed),
            "features": manifest["features"],
            "libraries": manifest["libraries"],
            "recipe": fact.recipe,
        }
    else:
        facets["lockstep_threshold"] = {
            "model": manifest["model_version"],
            "policy": manifest["policy"],
            "value": fact.value,
            "rule": fact.rule,
            "test": manifest["test"],
        }
    return Node(namespace=namespace, name=_below(root, f"{_KINDS[type(fact)]}/{version.name}"), facets=facets)


def _columns(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "type": str(kind)} for name, kind in sorted(dict(manifest["columns"]).items())]


def _release(registry: Registry, state: State, found: Mapping[str, Any], origin: Origin) -> Node:
    namespace, root = place_of(registry.uri)
    refs = []
    for key, digest in found["members"].items():
        kind, _, name = key.partition(":")
        by_digest = state.model_by_digest if kind == "model" else state.threshold_by_digest
        refs.append(by_digest(name, digest).ref)
    facets = {
        "version": {"datasetVersion": found["release"]},
        "lockstep_release": {
            "group": found["group"],
            "digest": found["release"],
            "entry": found["entry"],
            "members": refs,
            "left": found.get("left"),
            "why": origin.why,
        },
    }
    return Node(namespace=namespace, name=_below(root, f"releases/{found['group']}"), facets=facets)


def _files(files: Iterable[Mapping[str, Any]]) -> list[Node]:
    listed = list(files)
    if len(listed) > _MOST_FILES:
        folders = dict.fromkeys(_split(file["path"], parent=True) for file in listed)
        return [Node(namespace=namespace, name=name) for namespace, name in folders]
    nodes = []
    for file in listed:
        namespace, name = _split(file["path"])
        seen = file.get("sha256") or file.get("etag") or ""
        nodes.append(Node(namespace=namespace, name=name, facets={"version": {"datasetVersion": seen}} if seen else {}))
    return nodes


def _split(path: str, *, parent: bool = False) -> tuple[str, str]:
    namespace, name = place_of(path)
    return namespace, str(PurePosixPath(name).parent) if parent else name


def place_of(uri: str) -> tuple[str, str]:
    """An address as OpenLineage divides it: namespace and name; a connection in it is left out."""
    split = urlsplit(uri)
    if split.scheme in ("", "file"):
        return "file", split.path or "/"
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}", split.path.strip("/") or "/"


def _below(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path}"


def as_provider_reads(flow: Flow) -> Any:  # noqa: ANN401  the provider's type, which need not be installed
    """The flow as the provider's `OperatorLineage`."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    return OperatorLineage(
        inputs=[InputDataset(node.namespace, node.name, facets=_facets(node, "dataset")) for node in flow.inputs],
        outputs=[
            OutputDataset(
                node.namespace,
                node.name,
                facets=_facets(node, "dataset"),
                outputFacets=_facets(node, "output"),
            )
            for node in flow.outputs
        ],
        run_facets={name: _own(name, values, "run") for name, values in flow.run.items()},
        job_facets={},
    )


def _facets(node: Node, what: str) -> dict[str, Any]:
    """The facets of a dataset, or those that it has only where it was written (`output`)."""
    from openlineage.client import facet_v2

    known = {
        "version": lambda said: facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(**said),
        "schema": lambda said: facet_v2.schema_dataset.SchemaDatasetFacet(
            fields=[facet_v2.schema_dataset.SchemaDatasetFacetFields(**one) for one in said["fields"]]
        ),
        "outputStatistics": lambda said: facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            **said
        ),
    }
    names = [name for name in node.facets if (name == "outputStatistics") == (what == "output")]
    return {
        name: known[name](node.facets[name]) if name in known else _own(name, node.facets[name], "dataset")
        for name in names
    }


def _own(name: str, values: Mapping[str, Any], what: str) -> Any:  # noqa: ANN401  as above
    """A facet of ours: `lockstep_model` is described as `LockstepModelDatasetFacet`."""
    from openlineage.client import facet_v2

    base = facet_v2.DatasetFacet if what == "dataset" else facet_v2.RunFacet
    title = f"{''.join(part.capitalize() for part in name.split('_'))}{what.capitalize()}Facet"
    schema = f"{SCHEMA}#/$defs/{title}"
    own = type(title, (base,), {"_get_schema": staticmethod(lambda: schema)})
    return own().with_additional_properties(**{key: value for key, value in values.items() if value is not None})


def kept(task: Any, done: Any) -> Flow | None:  # noqa: ANN401  an operator of ours and what it did; both import this module
    """The flow of a task that is done, if anybody listens and it can be read."""
    try:
        return flow_of(task, done.registry, done.origin, done.found) if is_on() else None
    except Exception as error:  # noqa: BLE001  lineage is told beside the work, which is done
        task.log.warning("OpenLineage is not told: %s: %s", type(error).__name__, error)
        return None
