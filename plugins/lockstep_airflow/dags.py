"""`release_dags`: the DAGs of each release group of a graph.

Rules:
- Building DAGs reads declarations only: no network, no registry, no import of Beam, polars or scikit-learn (each parse
  and each task would pay for it).
- A task that runs builds only its own DAG, even if its file declares a thousand groups.
- No DAG starts another, except that a promotion's asset event wakes the release DAG of its group.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow.sdk import DAG, BaseOperator, Param, TaskGroup, get_parsing_context

from lockstep import draw
from lockstep.declare import Model
from lockstep.deployment import VertexEndpoints
from lockstep.errors import DeclarationError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.places import Engine, Where, check_engine, check_where
from lockstep_airflow.asking import ByHand
from lockstep_airflow.assets import asset_of, parents_of, staging_of
from lockstep_airflow.declaring import declared
from lockstep_airflow.deploy import DeployOperator
from lockstep_airflow.diff import DiffOperator
from lockstep_airflow.due import DueOperator, started_by
from lockstep_airflow.for_ui import said_of
from lockstep_airflow.forms import (
    place_fields,
    reason_field,
    registry_field,
    training_fields,
)
from lockstep_airflow.gate import GateSensor
from lockstep_airflow.mlflow import mlflow_dag
from lockstep_airflow.notices import Notice, check_notices
from lockstep_airflow.operators import PromoteOperator, ReleaseOperator, RollbackOperator, TuneOperator
from lockstep_airflow.pausing import group_dag, hold_dag, resume_dag
from lockstep_airflow.snapshot import SnapshotOperator
from lockstep_airflow.telling import let_tell
from lockstep_airflow.train import TrainOperator
from lockstep_airflow.watch import look_tasks

_PULL: Final = "{{{{ (ti.xcom_pull(task_ids='{task}') or {{}}).get('{key}', '') }}}}"


def release_dags(  # noqa: PLR0913  each is a choice that most files leave out
    graph: Graph | Callable[[], Graph],
    *,
    group: str | None = None,
    registry: str | None = None,
    schedule: Any = None,  # noqa: ANN401  whatever Airflow takes as a schedule
    where: Where | None = None,
    engine: Engine | None = None,
    deploy: VertexEndpoints | None = None,
    approval: ByHand | None = None,
    watch: Any = None,  # noqa: ANN401  as schedule
    notify: Sequence[Notice] = (),
    mlflow: str | None = None,
) -> dict[str, DAG]:
    """Six DAGs a group: `<group>_retrain`, `_promote`, `_release`, `_rollback`, `_hold`, `_resume`; asked, two more.

    Args:
        graph: the declarations; or a function that returns them, together with `group`.
        group: the name of the only group of the graph. In a file that makes a thousand groups in a loop, a task then
            declares none but its own.
        registry: address of the registry; by default each task asks Airflow's variable `lockstep_registry`, then
            LOCKSTEP_REGISTRY, when it runs.
        schedule: when the group is retrained; by default only by hand.
        where: what trains a model that does not say it itself, as `vertex(region="…")`; by default Airflow's variable
            `lockstep_where`, then the environment, say it when a task runs; else `local()`.
        engine: likewise, what processes a dataset; else `direct()`.
        deploy: where a release is deployed to, as `vertex_endpoints(…)`; by default nowhere: services read the log.
        approval: who approves a release after having seen what it changes, as `by_hand(…)`; by default nobody has to.
        watch: when the sources are looked at, as `every("@hourly")` or a cron text; by default never.
        notify: who is told what, as `on("released", to=SlackNotifier(…))`; by default nobody.
        mlflow: address of an MLflow that `<group>_mlflow` keeps in step; "": as Airflow's variable `lockstep_mlflow` or
            LOCKSTEP_MLFLOW_TRACKING_URI says when it runs; by default there is no such DAG.

    Returns:
        DAG id → DAG, for `globals().update(…)` of a DAG file.

    Raises:
        DeclarationError: a function without `group`, a graph of another or more than one group, no place or engine, or
            a graph that says when to retrain, and nobody who looks.
    """
    check_where(where, "release_dags")
    check_engine(engine, "release_dags")
    notices = check_notices(notify)
    only = get_parsing_context().dag_id
    task_of = None if only is None else only.rpartition("_")[0]
    if group is not None and task_of not in (None, group):
        return {}
    graph = declared(graph, group)
    if task_of is not None and task_of not in graph.groups:
        return {}
    given, is_watched = _Given(registry=registry, where=where, engine=engine), watch is not None
    builders: dict[str, Callable[[Group, str], DAG]] = {
        "retrain": lambda group, dag_id: _retrain(graph, group, dag_id, schedule, given),
        "promote": lambda group, dag_id: _promote(group, dag_id, registry),
        "release": lambda group, dag_id: _release(graph, group, dag_id, registry, deploy, approval, watch=is_watched),
        "rollback": lambda group, dag_id: _rollback(graph, group, dag_id, registry, deploy),
        "hold": lambda group, dag_id: hold_dag(group, dag_id, registry),
        "resume": lambda group, dag_id: resume_dag(group, dag_id, registry),
    }
    if watch is None and graph.retrain_when is not None:
        raise DeclarationError(
            f"release_dags: the graph of {', '.join(graph.groups)} says when to retrain (retrain_when=…), but nobody"
            ' looks. Say how often: watch=every("@hourly").'
        )
    if watch is not None:
        builders["watch"] = lambda group, dag_id: _watch(graph, group, dag_id, watch, given)
    if mlflow is not None:
        builders["mlflow"] = lambda group, dag_id: mlflow_dag(graph, group, dag_id, registry=registry, mlflow=mlflow)
    wanted = {f"{name}_{what}": (group, what) for name, group in graph.groups.items() for what in builders}
    return {
        dag_id: let_tell(builders[what](group, dag_id), notices)
        for dag_id, (group, what) in wanted.items()
        if only is None or only == dag_id
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What `release_dags` was given for each task of a retraining."""

    registry: str | None
    where: Where | None
    engine: Engine | None


def _retrain(
    graph: Graph,
    group: Group,
    dag_id: str,
    schedule: Any,  # noqa: ANN401  as above
    given: _Given,
) -> DAG:
    names = [model.name for model in group.models]
    params = {**training_fields(names), **place_fields(), **registry_field()}
    drawn = draw.as_text(graph) if len(graph.groups) == 1 else "\n".join(names)
    doc = f"Adds candidates; nothing downstream moves unless *promote* is on.\n\n```\n{drawn}\n```"
    what = f"Retrain the models of {group.name}"
    start: dict[str, Any] = {"schedule": schedule}
    if schedule is not None:
        start["is_paused_upon_creation"] = None  # a schedule starts when somebody lets it, as everywhere in Airflow
    if graph.retrain_when is not None:  # events that come while one run goes on make one run together
        start |= {"schedule": started_by(schedule, group.name), "max_active_runs": 1}
    with group_dag(group, dag_id, what, doc, params=params, **start) as dag:
        snapshots: dict[str, BaseOperator] = {}
        trained: dict[str, BaseOperator] = {}
        for member in group.models:
            model = graph.model(member.name)
            if model.data.name not in snapshots:
                snapshots[model.data.name] = SnapshotOperator(
                    task_id=f"snapshot_{model.data.name}",
                    graph=graph,
                    dataset=model.data.name,
                    models="{{ params.models | tojson }}",
                    registry=given.registry,
                    engine="{{ params.engine or '' }}",
                    engine_of_dags=given.engine,
                    works_for=[other.name for other in group.models if other.dataset == model.data.name],
                    outlets=[asset_of(model.data)],
                )
            trained[model.name] = _train(graph, group, model, snapshots[model.data.name], trained, given)
    return dag


def _train(
    graph: Graph,
    group: Group,
    model: Model,
    snapshot: BaseOperator,
    trained: dict[str, BaseOperator],
    given: _Given,
) -> BaseOperator:
    """Train, tune, promote: one model's part of the retraining DAG, in a task group named after it."""
    registry = given.registry
    above = [upstream.name for upstream in graph.upstream(model.name)]
    made = json.dumps({name: _PULL.format(task=f"{name}.train", key="digest") for name in above})
    with TaskGroup(model.name):
        train = TrainOperator(
            task_id="train",
            graph=graph,
            model=model.name,
            models="{{ params.models | tojson }}",
            where="{{ params.where or '' }}",
            where_of_dags=given.where,
            registry=registry,
            snapshot=_PULL.format(task=snapshot.task_id, key="version"),
            upstream=made,
            parameters="{{ params.parameters | tojson }}",
            force="{{ params.force }}",
            trigger_rule="none_failed",  # a model that this run does not train is taken from staging
            inlets=parents_of(graph, model.name),
            outlets=[asset_of(model)],
        )
        snapshot >> train
        for name in above:
            trained[name] >> train
        promote = PromoteOperator(
            task_id="promote",
            group=group,
            staging=staging_of(group.name),
            version=_PULL.format(task=f"{model.name}.train", key="version"),
            wanted="{{ params.promote }}",
            registry=registry,
        )
        train >> promote
        for threshold in graph.thresholds_of(model.name):
            tune = TuneOperator(
                task_id=f"tune_{threshold.name}",
                graph=graph,
                threshold=threshold.name,
                model_digest=_PULL.format(task=f"{model.name}.train", key="digest"),
                registry=registry,
                inlets=[asset_of(model)],
                outlets=[asset_of(threshold)],
            )
            train >> tune >> promote
    return train


def _watch(
    graph: Graph,
    group: Group,
    dag_id: str,
    schedule: Any,  # noqa: ANN401  as above
    given: _Given,
) -> DAG:
    params = {"engine": place_fields()["engine"], **registry_field()}
    doc = "Looks at each source, and takes a snapshot only where there is something new."
    if graph.retrain_when is not None:
        doc += (
            f" Says so where the group is to be retrained, which starts `{group.name}_retrain`: `{graph.retrain_when}`."
        )
    with group_dag(
        group,
        dag_id,
        f"Watch the data of {group.name}",
        doc,
        schedule=schedule,
        params=params,
        max_active_runs=1,
        is_paused_upon_creation=None,
    ) as dag:
        looks = look_tasks(graph, group, given.registry, given.engine)
        if graph.retrain_when is not None:
            anew = "none_failed"  # time goes by without new data, too
            due = DueOperator(task_id="due", graph=graph, group=group.name, registry=given.registry, trigger_rule=anew)
            [*looks.values()] >> due
    return dag


def _promote(group: Group, dag_id: str, registry: str | None) -> DAG:
    names = [*(model.name for model in group.models), *group.model_of_threshold]
    member = rf"({'|'.join(names)})(@[1-9][0-9]*)?"
    params = {
        "version": Param(
            type="string",
            pattern=rf"^\s*{member}([\s,]+{member})*\s*$",
            title="Version",
            description=(
                f"As {names[0]}@3; without a number, the newest. Several, with blanks between, move together."
                f" Members: {', '.join(names)}."
            ),
            examples=names,
        ),
        **registry_field(),
    }
    doc = "A model version moves together with the thresholds that were tuned for it."
    with group_dag(
        group, dag_id, f"Promote a version of {group.name} to staging", doc, params=params, max_active_runs=1
    ) as dag:
        PromoteOperator(
            task_id="promote",
            group=group,
            staging=staging_of(group.name),
            version="{{ params.version }}",
            registry=registry,
        )
    return dag


def _release(
    graph: Graph,
    group: Group,
    dag_id: str,
    registry: str | None,
    deploy: VertexEndpoints | None,
    approval: ByHand | None,
    *,
    watch: bool,
) -> DAG:
    doc = (
        "A promotion wakes it up. The gate waits until all members stand in staging and fit together; then it is"
        f" counted which decisions change,{' a person approves it,' if approval else ''} and all are released at once."
    )
    schedule = [staging_of(group.name)]
    with group_dag(
        group,
        dag_id,
        f"Release {group.name} when its gate opens",
        doc,
        schedule=schedule,
        params=registry_field(),
        max_active_runs=1,
    ) as dag:
        declared = said_of(graph, group, registry=registry, approval=approval is not None, watch=watch)
        gate = GateSensor(task_id="gate", group=group, registry=registry, doc_json=declared)
        diff = DiffOperator(task_id="diff", graph=graph, group=group, registry=registry)
        release = ReleaseOperator(
            task_id="release",
            group=group,
            needs="approval" if approval else "gate",
            registry=registry,
            inlets=_assets(graph, (name for api in group.apis for name in (*api.decides, *api.explains))),
            outlets=_assets(graph, (api.name for api in group.apis)),
        )
        if approval:
            gate >> diff >> _approved(graph, group, registry, approval) >> release
        else:
            gate >> diff >> release
        _deployed(release, group, registry, deploy)
    return dag


def _approved(graph: Graph, group: Group, registry: str | None, asks: ByHand) -> BaseOperator:
    from lockstep_airflow import approval  # Airflow's part of it costs time, and most files need none

    asked = approval.ApproveOperator(
        task_id="approve",
        graph=graph,
        group=group,
        asks=asks,
        registry=registry,
        retries=approval.RETRIES,
    )
    asked >> approval.AskAgainOperator(task_id=approval.AGAIN, staging=staging_of(group.name))
    return asked


def _deployed(after: BaseOperator, group: Group, registry: str | None, target: VertexEndpoints | None) -> None:
    """Add the step that brings what is in production to its endpoints, if there are any."""
    if target is not None:
        after >> DeployOperator(task_id="deploy", group=group, target=target, registry=registry)


def _assets(graph: Graph, names: Iterable[str]) -> list[Any]:
    return [asset_of(graph.node(name)) for name in dict.fromkeys(names)]


def _rollback(graph: Graph, group: Group, dag_id: str, registry: str | None, deploy: VertexEndpoints | None) -> DAG:
    params = {
        "to": Param(
            None,
            type=["null", "string"],  # else Airflow's form demands it
            pattern="^[0-9a-f ]*$",
            title="Release",
            description="The first characters of the release to go back to; blank: the one before.",
        ),
        **reason_field(),
        **registry_field(),
    }
    doc = f"All members of the group go back at once. Then it is on hold, until {group.name}_resume lifts that."
    with group_dag(
        group, dag_id, f"Roll {group.name} back to an earlier release", doc, params=params, max_active_runs=1
    ) as dag:
        outlets = _assets(graph, (api.name for api in group.apis))
        to = "{{ params.to or '' }}"
        rollback = RollbackOperator(task_id="rollback", group=group, to=to, registry=registry, outlets=outlets)
        _deployed(rollback, group, registry, deploy)
    return dag
