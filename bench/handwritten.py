"""Two sets of generated files that say the same: with Lockstep, and with plain Airflow, written out by hand.

Rules:
- Both give the same DAGs: ids, tags, schedules, params, tasks, template fields, dependencies, inlets and outlets. A
  run of the benchmark compares the serialized DAGs field by field, but for the drawing and words of the documentation
  and for the class a task is made of.
- Ours declares the groups in a loop, by one function. The plain file is text as a person writes it: names in place, no
  Lockstep import.
- Each group has two models on one dataset, with a threshold and an API each, as `include/groups/biopsy.py` has.
"""

from pathlib import Path
from textwrap import dedent, indent

from bench.plain_operators import OPERATORS
from lockstep.places import engine_pattern, where_pattern

_HEAD = '''\
"""Release groups, generated for a benchmark."""

from lockstep import Api, Dataset, Graph, Model, Threshold, at_least, csv, precision_at_least, recall_at_least

MEASURES = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "symmetry"]
COLUMNS = [f"{kind} {measure}" for kind in ("mean", "worst") for measure in MEASURES]


def linear():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def declare(number):
    columns = {**dict.fromkeys(COLUMNS, float), "malignant": bool}
    rows = Dataset(f"rows_{number}", source=csv(f"rows_{number}/*.csv"), key="sample", columns=columns)
    expected = {"roc_auc": at_least(0.95)}
    first = Model(f"first_{number}", data=rows, target="malignant", estimator=linear, expects=expected)
    second = Model(f"second_{number}", data=rows, target="malignant", estimator=linear)
    refer = Threshold(f"refer_{number}", model=first, choose=recall_at_least(0.95))
    review = Threshold(f"review_{number}", model=second, choose=precision_at_least(0.90))
    apis = [Api(f"referrals_{number}", decides=[refer]), Api(f"reviews_{number}", decides=[review])]
    return Graph(apis, name=f"group_{number}")
'''

_DAG_FILE = '''\
"""The DAGs of all groups."""

from functools import partial

from bench_groups import declare
from lockstep_airflow import release_dags

for place in range(GROUPS):
    number = f"{place:04d}"
    globals().update(release_dags(partial(declare, number), group=f"group_{number}"))
'''

_PLAIN_HEAD = '''\
"""The DAGs of all groups, written out."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, Param, TaskGroup
from bench_operators import Diff, Gate, Hold, Promote, Release, Resume, Rollback, Snapshot, Train, Tune

START = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULTS = {"owner": "lockstep", "retries": 2, "retry_delay": timedelta(seconds=5)}
'''

# What may be said for one run; the patterns are given, since nobody writes such a thing twice.
_PLAIN_FIELDS = """
REGISTRY = {
    "type": ["null", "string"],
    "pattern": r"^\\s*((file://)?/[^?#]*|(gs|s3|az|abfss?|https)://([\\w.-]+@)?[\\w.$-]+(/[^?#@:\\s]*)?)?\\s*$",
    "title": "Registry",
    "description": "For this run alone, as gs://bucket/prefix. Blank: as given to release_dags, by Airflow's variable"
    " lockstep_registry or by the environment.",
}
WHERE = {
    "type": ["null", "string"],
    "pattern": WHERE_PATTERN,
    "examples": ["local", "vertex", "vertex(region=us-central1, machine=n2-standard-8)"],
    "title": "Where to train",
    "description": "For this run alone: local, or vertex(setting=value, …). Blank: as declared, else as given to"
    " release_dags, by Airflow's variable lockstep_where or by the environment.",
}
ENGINE = {
    "type": ["null", "string"],
    "pattern": ENGINE_PATTERN,
    "examples": ["direct", "flink(master=host:8081)", "dataflow(region=us-central1, temp=gs://bucket/temp)"],
    "title": "Engine for data",
    "description": "For this run alone: direct, or portable, flink or dataflow with (setting=value, …). Blank: as"
    " declared, else as given to release_dags, by Airflow's variable lockstep_engine or by the environment.",
}
"""

_PLAIN_GROUP = '''
rows_N = Asset(name="rows_N", uri="x-lockstep://dataset/rows_N", group="lockstep")
first_N = Asset(name="first_N", uri="x-lockstep://model/first_N", group="lockstep")
second_N = Asset(name="second_N", uri="x-lockstep://model/second_N", group="lockstep")
refer_N = Asset(name="refer_N", uri="x-lockstep://threshold/refer_N", group="lockstep")
review_N = Asset(name="review_N", uri="x-lockstep://threshold/review_N", group="lockstep")
referrals_N = Asset(name="referrals_N_api", uri="x-lockstep://api/referrals_N", group="lockstep")
reviews_N = Asset(name="reviews_N_api", uri="x-lockstep://api/reviews_N", group="lockstep")
staging_N = Asset(name="group_N_staging", uri="x-lockstep://staging/group_N", group="lockstep")

with DAG(
    dag_id="group_N_retrain",
    description="Retrain the models of group_N",
    doc_md="""Retrain the models of group_N

Adds candidates; nothing downstream moves unless *promote* is on.
""",
    tags=["lockstep", "group_N"],
    default_args=DEFAULTS,
    start_date=START,
    catchup=False,
    schedule=None,
    is_paused_upon_creation=False,
    params={
        "models": Param(
            ["first_N", "second_N"],
            type="array",
            minItems=1,
            items={"type": "string", "enum": ["first_N", "second_N"]},
            examples=["first_N", "second_N"],
            title="Models",
            description="Which models to train, each with its thresholds.",
        ),
        "parameters": Param(
            {},
            type="object",
            title="Parameters",
            description='For the estimators, by model: {"first_N": {"name": value}}.',
            additionalProperties=False,
            properties={"first_N": {"type": "object"}, "second_N": {"type": "object"}},
        ),
        "force": Param(False, type="boolean", title="Force", description="Train even if this recipe has been trained."),
        "promote": Param(False, type="boolean", title="Promote", description="Move what was trained to staging."),
        "where": Param(None, **WHERE),
        "engine": Param(None, **ENGINE),
        "registry": Param(None, **REGISTRY),
    },
):
    snapshot = Snapshot(
        task_id="snapshot_rows_N",
        dataset="rows_N",
        works_for=["first_N", "second_N"],
        models="{{ params.models | tojson }}",
        engine="{{ params.engine or '' }}",
        outlets=[rows_N],
    )
'''

_PLAIN_MODEL = """\
with TaskGroup("MODEL"):
    train = Train(
        task_id="train",
        model="MODEL",
        models="{{ params.models | tojson }}",
        snapshot="{{ (ti.xcom_pull(task_ids='snapshot_rows_N') or {}).get('version', '') }}",
        upstream="{}",
        parameters="{{ params.parameters | tojson }}",
        force="{{ params.force }}",
        where="{{ params.where or '' }}",
        trigger_rule="none_failed",
        inlets=[rows_N],
        outlets=[MODEL],
    )
    promote = Promote(
        task_id="promote",
        members=["first_N", "second_N", "refer_N", "review_N"],
        version="{{ (ti.xcom_pull(task_ids='MODEL.train') or {}).get('version', '') }}",
        wanted="{{ params.promote }}",
        outlets=[staging_N],
    )
    tune = Tune(
        task_id="tune_THRESHOLD",
        threshold="THRESHOLD",
        model_digest="{{ (ti.xcom_pull(task_ids='MODEL.train') or {}).get('digest', '') }}",
        inlets=[MODEL],
        outlets=[THRESHOLD],
    )
    snapshot >> train >> promote
    train >> tune >> promote
"""

_PLAIN_REST = '''
with DAG(
    dag_id="group_N_promote",
    description="Promote a version of group_N to staging",
    doc_md="""Promote a version of group_N to staging

A model version moves together with the thresholds that were tuned for it.""",
    tags=["lockstep", "group_N"],
    default_args=DEFAULTS,
    start_date=START,
    catchup=False,
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    params={
        "version": Param(
            type="string",
            pattern=r"^\\s*(first_N|second_N|refer_N|review_N)(@[1-9][0-9]*)?"
            r"([\\s,]+(first_N|second_N|refer_N|review_N)(@[1-9][0-9]*)?)*\\s*$",
            title="Version",
            description="As first_N@3; without a number, the newest. Several, with blanks between, move together."
            " Members: first_N, second_N, refer_N, review_N.",
            examples=["first_N", "second_N", "refer_N", "review_N"],
        ),
        "registry": Param(None, **REGISTRY),
    },
):
    Promote(
        task_id="promote",
        members=["first_N", "second_N", "refer_N", "review_N"],
        version="{{ params.version }}",
        outlets=[staging_N],
    )

with DAG(
    dag_id="group_N_release",
    description="Release group_N when its gate opens",
    doc_md="""Release group_N when its gate opens

A promotion wakes it up. The gate waits until all members stand in staging and fit together; then it is
counted which decisions change, and all are released at once.""",
    tags=["lockstep", "group_N"],
    default_args=DEFAULTS,
    start_date=START,
    catchup=False,
    schedule=[staging_N],
    is_paused_upon_creation=False,
    max_active_runs=1,
    params={"registry": Param(None, **REGISTRY)},
):
    gate = Gate(task_id="gate", members=["first_N", "second_N", "refer_N", "review_N"])
    diff = Diff(task_id="diff", members=["first_N", "second_N", "refer_N", "review_N"])
    release = Release(
        task_id="release",
        members=["first_N", "second_N", "refer_N", "review_N"],
        inlets=[refer_N, review_N],
        outlets=[referrals_N, reviews_N],
    )
    gate >> diff >> release

with DAG(
    dag_id="group_N_rollback",
    description="Roll group_N back to an earlier release",
    doc_md="""Roll group_N back to an earlier release

All members of the group go back at once. Then it is on hold, until group_N_resume lifts that.""",
    tags=["lockstep", "group_N"],
    default_args=DEFAULTS,
    start_date=START,
    catchup=False,
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    params={
        "to": Param(
            None,
            type=["null", "string"],
            pattern="^[0-9a-f ]*$",
            title="Release",
            description="The first characters of the release to go back to; blank: the one before.",
        ),
        "why": Param(
            None, type=["null", "string"], title="Why", description="Kept in the registry's log, with your name."
        ),
        "registry": Param(None, **REGISTRY),
    },
):
    Rollback(task_id="rollback", to="{{ params.to or '' }}", outlets=[referrals_N, reviews_N])

with DAG(
    dag_id="group_N_hold",
    description="Let nothing of group_N be released",
    doc_md="""Let nothing of group_N be released

Promotions and rollbacks go on as ever; group_N_resume lifts the hold.""",
    tags=["lockstep", "group_N"],
    default_args=DEFAULTS,
    start_date=START,
    catchup=False,
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    params={
        "why": Param(type="string", pattern=r"\\S", title="Why", description="Kept in the registry's log."),
        "registry": Param(None, **REGISTRY),
    },
):
    Hold(task_id="hold")

with DAG(
    dag_id="group_N_resume",
    description="Lift the hold on group_N",
    doc_md="""Lift the hold on group_N

After a rollback a group is on hold: its gate stays closed until somebody has found out what went wrong.""",
    tags=["lockstep", "group_N"],
    default_args=DEFAULTS,
    start_date=START,
    catchup=False,
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    params={
        "why": Param(type="string", pattern=r"\\S", title="Why", description="Kept in the registry's log."),
        "registry": Param(None, **REGISTRY),
    },
):
    Resume(task_id="resume")
'''


def number_of(place: int) -> str:
    """How group `place` is called within names."""
    return f"{place:04d}"


def write_ours(folder: Path, groups: int) -> Path:
    """Declarations of that many groups and the DAG file on them; returns the DAG file."""
    folder.mkdir(parents=True)
    (folder / "bench_groups.py").write_text(_HEAD)
    return _written(folder / "bench_dags.py", _DAG_FILE.replace("GROUPS", str(groups)))


def write_plain(folder: Path, groups: int) -> Path:
    """The same DAGs without Lockstep; returns the DAG file."""
    folder.mkdir(parents=True)
    (folder / "bench_operators.py").write_text(OPERATORS)
    fields = _PLAIN_FIELDS.replace("WHERE_PATTERN", repr(where_pattern()))
    fields = fields.replace("ENGINE_PATTERN", repr(engine_pattern()))
    text = _PLAIN_HEAD + fields + "".join(_plain_group(number_of(place)) for place in range(groups))
    return _written(folder / "bench_dags.py", text)


def _plain_group(number: str) -> str:
    models = "".join(
        indent(_PLAIN_MODEL.replace("MODEL", model).replace("THRESHOLD", threshold), "    ")
        for model, threshold in (("first_N", "refer_N"), ("second_N", "review_N"))
    )
    return dedent(_PLAIN_GROUP + models + _PLAIN_REST).replace("_N", f"_{number}")


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
