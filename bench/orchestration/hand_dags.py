"""The DAGs of the flow written by hand, as text: plain operators, a deferrable sensor, an asset between the two."""

DAG_FILE = """\
import asyncio
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, BaseOperator, BaseSensorOperator, TaskGroup
from by_hand_trigger import Opened

CHAIN = {"one": [], "two": ["one"], "three": ["two"], "four": [], "five": []}
DEFAULTS = {"owner": "hand", "retries": 2, "retry_delay": timedelta(seconds=5)}
START = datetime(2026, 1, 1, tzinfo=UTC)
staging = Asset(name="hand_staging", uri="x-hand://staging")


class Call(BaseOperator):
    template_fields = ("words",)

    def __init__(self, *, function, words=(), **kwargs):
        super().__init__(**kwargs)
        self.function, self.words = function, list(words)

    def execute(self, context):
        from bench.orchestration import by_hand

        return getattr(by_hand, self.function)(*self.words)


class Gate(BaseSensorOperator):
    def execute(self, context, event=None):
        from bench.orchestration import by_hand

        if not by_hand.is_open():
            self.defer(trigger=Opened(poll=0.25), method_name="execute")
        return True


with DAG("hand_retrain", schedule=None, start_date=START, default_args=DEFAULTS, is_paused_upon_creation=False):
    snapshot = Call(task_id="snapshot", function="snapshot")
    rows = "{{ ti.xcom_pull(task_ids='snapshot') }}"
    trained = {}
    for name, above in CHAIN.items():
        with TaskGroup(name):
            version = "{{ ti.xcom_pull(task_ids='" + name + ".train') }}"
            trained[name] = Call(task_id="train", function="train", words=[name, rows])
            tune = Call(task_id="tune", function="tune", words=[name, rows, version])
            promote = Call(task_id="promote", function="stage", words=[name, version], outlets=[staging])
            snapshot >> trained[name] >> tune >> promote
            for one in above:
                trained[one] >> trained[name]

with DAG(
    "hand_release",
    schedule=[staging],
    start_date=START,
    default_args=DEFAULTS,
    max_active_runs=1,
    catchup=False,
    is_paused_upon_creation=False,
):
    gate = Gate(task_id="gate")
    gate >> Call(task_id="diff", function="diff") >> Call(task_id="release", function="release")
"""
TRIGGER = """\
import asyncio

from airflow.triggers.base import BaseTrigger, TriggerEvent


class Opened(BaseTrigger):
    def __init__(self, poll):
        super().__init__()
        self.poll = poll

    def serialize(self):
        return "by_hand_trigger.Opened", {"poll": self.poll}

    async def run(self):
        from bench.orchestration import by_hand

        while not await asyncio.to_thread(by_hand.is_open):
            await asyncio.sleep(self.poll)
        yield TriggerEvent({})
"""
