"""A person approves exactly the set that was shown, or rejects it with a reason.

Rules:
- What is asked stands in Airflow's own list of required actions, with the decision diff as its text. The answer is
  recorded in the registry, by the name of the user who gave it; the release asks the registry, never Airflow.
- An answer counts for the set that was shown, in the place of the release that was shown. As soon as somebody promotes,
  releases, rolls back or puts on hold, by whatever way, the question is taken back, and another run asks anew: Airflow
  keeps the text of a task's first question in all its tries.
- While the gate is closed nobody is asked. What is approved or rejected already, by the command line too, is not asked.
- A rejection skips the task and the release behind it. It is an answer, and no breakage that somebody should be paged
  for.
- Killed and tried again, it finds the word that the first try has recorded; an answer that was not recorded yet is
  asked for again.
- What wakes a waiting task says which question it is about. SQLite gives the number of a trigger that is gone to the
  next one, and Airflow then hands the last words of the old one to the task of the new.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, NoReturn
from uuid import UUID, uuid4

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, BaseOperator, Context, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowSkipException
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult
from airflow.sdk.execution_time.hitl import HITLUser, get_hitl_detail_content_detail
from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async

from lockstep.errors import ReleaseRefused, SetChanged
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import Judgement, Origin, Registry, State
from lockstep.release import (
    Status,
    approval_of,
    approve,
    consult,
    describe_word,
    digest_of_release,
    needs_word,
    reject,
    rejection_of,
    weigh,
)
from lockstep_airflow.asking import ByHand
from lockstep_airflow.diff import in_words
from lockstep_airflow.gate import GateTrigger, LogTrigger
from lockstep_airflow.tasks import WHY, open_registry, origin_of, registry_of_run, registry_uri, reported

RELEASE: Final = "release"  # the task behind a yes
AGAIN: Final = "ask_again"  # the task behind a set that has changed
RETRIES: Final = 5  # a fast answer can cost a try (Airflow takes the task for lost), and to ask again costs nothing
_HOW: Final = (
    "*Approve* lets exactly this set be released; *Reject* keeps exactly this set from being released. A rejection"
    " needs a reason: without one it is asked again. If somebody promotes meanwhile, another run asks."
)


class AnswerTrigger(LogTrigger):
    """Fires when the set that was shown needs no answer any more, or nobody gave one in time.

    An answer resumes the task by itself. One that came before the task began to wait is found at the start.
    `question` comes back with the event: it is for the task, which takes no event on another question.
    """

    def __init__(
        self,
        *,
        digest: str,
        seen: int,
        asked: str,
        until: str | None,
        question: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.digest, self.seen, self.asked, self.until, self.question = digest, seen, asked, until, question

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        names = ("registry", "group", "digest", "seen", "asked", "until", "question", "poll")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def filter_shared_stream(self, stream: AsyncIterator[State]) -> AsyncIterator[TriggerEvent]:
        """One event: the answer that was there already, that something has changed, or that the time is up."""
        try:
            given = await sync_to_async(_answer)(self.asked)
        except AirflowRuntimeError as problem:
            if (problem.error.detail or {}).get("status_code") != HTTPStatus.NOT_FOUND:
                raise
            # The try that asked is gone. To fail here would fail whichever task waits by this trigger's number now.
            given = {"changed": None}
        if given is not None:
            yield self._event(given)
            return
        group, until = Group.from_json(self.group), datetime.fromisoformat(self.until) if self.until else None
        async for state in stream:
            if not needs_word(group, state, self.digest, self.seen):
                yield self._event({"changed": state.head})
                return
            if until is not None and datetime.now(UTC) >= until:
                yield self._event({"timeout": self.until})
                return

    def _event(self, said: dict[str, Any]) -> TriggerEvent:
        return TriggerEvent({"question": self.question, **said})  # type: ignore[no-untyped-call]  # as above


def _answer(asked: str) -> dict[str, Any] | None:
    """What Airflow has as the answer to what a task instance asked, in the form in which it resumes a task."""
    found = get_hitl_detail_content_detail(ti_id=UUID(asked))
    if not found.response_received or not found.chosen_options:
        return None
    user = found.responded_by_user
    return {
        "chosen_options": list(found.chosen_options),
        "params_input": found.params_input or {},
        "responded_by_user": {"id": user.id, "name": user.name} if user else None,
    }


class ApproveOperator(ApprovalOperator):
    """Asks a person for the word on what the release would bring to production."""

    template_fields: Sequence[str] = ()
    ui_color = "#fce7f3"

    def __init__(self, *, graph: Graph, group: Group, asks: ByHand, registry: str | None = None, **kwargs: Any) -> None:
        says = "Kept in the registry's log. A rejection needs it."
        # in place of those of the DAG, which Airflow has put there
        kwargs["params"] = {WHY: Param(None, type=["null", "string"], title="Why", description=says)}
        super().__init__(
            subject=f"Release {group.name}?",
            notifiers=list(asks.notifiers),
            assigned_users=[HITLUser(id=user, name=user) for user in asks.assigned_users],
            response_timeout=asks.timeout,
            **kwargs,
        )
        self.graph, self.group, self.registry = graph, group, registry

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, unless the word is there or the gate is closed; then wait, without a worker."""
        with reported():
            uri = registry_uri(self.registry, registry_of_run(context))
            registry = open_registry(uri)
            state = registry.state()
            verdict, manifest = weigh(self.group, state)
            digest = digest_of_release(manifest) if manifest is not None else ""
            if rejection := rejection_of(self.group, state, digest):
                raise _rejected(self.group, rejection)
            if verdict.status is Status.CLOSED:
                self.log.info("%s", verdict.as_text())
                trigger = GateTrigger(registry=uri, group=self.group.as_json(), said=verdict.as_text())
                self.defer(trigger=trigger, method_name="look_again")
            if verdict.status is Status.NOTHING_NEW:
                raise AirflowSkipException("; ".join(verdict.reasons))
            if approval := approval_of(self.group, state, digest):
                return self._approved(context, approval)
            try:
                body = self._body(registry, state, digest)
            except SetChanged as changed:
                return self._ask_again(context, str(changed))
        return self._ask(context, uri, body, digest, state)

    def look_again(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The gate has opened, or there is nothing new any more."""
        self.log.info("The gate was seen %s at entry %s.", event["status"], event["head"])
        return self.execute(context)

    def _body(self, registry: Registry, state: State, digest: str) -> str:
        """What is shown: the diff of exactly this set, where the conditions of the group hold."""
        production = state.production(self.group.name)
        said = in_words(registry, self.graph, self.group, production.digest if production else None, digest)
        verdict = consult(self.group, state, registry.objects)
        if not verdict.is_open:
            raise ReleaseRefused(verdict.as_text())
        members = ", ".join(member.version for member in verdict.members if member.version)
        return f"{said}\n\n{self._change(state, digest)}: {members}.\n\n{_HOW}"

    def _change(self, state: State, digest: str) -> str:
        """What the question is about, in its text: by this it is known again."""
        production = state.production(self.group.name)
        place = f"release `{production.digest}` of entry {production.recorded.number}" if production else "nothing"
        return f"Set `{digest}` in the place of {place}"

    def _ask(self, context: Context, uri: str, body: str, digest: str, state: State) -> dict[str, Any]:  # noqa: RET503  deferring raises
        """Put the question, and wait; where Airflow still shows that of an earlier try, on another set, ask anew."""
        asked = context["ti"].id
        shown = self._put(asked, body)
        if self._change(state, digest) not in shown:
            return self._ask_again(context, "An earlier try of this task has shown another set.")
        until = datetime.now(UTC) + self.response_timeout if self.response_timeout else None
        self.log.info("Waiting for an answer to this:\n%s", body)
        for notifier in self.notifiers:
            notifier(context)
        self._wait(uri, asked=str(asked), digest=digest, seen=state.head, until=until.isoformat() if until else None)

    def _wait(self, uri: str, *, asked: str, **shown: Any) -> NoReturn:
        """Wait, without a worker, for an answer to what was shown."""
        shown["question"] = uuid4().hex
        trigger = AnswerTrigger(registry=uri, group=self.group.as_json(), asked=asked, **shown)
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=shown)

    def _put(self, asked: UUID, body: str) -> str:
        """Put the question; gives the text that Airflow shows, which is that of the first one of this task."""
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        question = CreateHITLDetailPayload.model_validate(
            {
                "ti_id": asked,
                "options": self.options,
                "subject": self.subject,
                "body": body,
                "multiple": False,
                "params": self.serialized_params,
                "assigned_users": self.assigned_users or [],
            }
        )
        shown = SUPERVISOR_COMMS.send(msg=question)
        return str(shown.body) if isinstance(shown, HITLDetailRequestResult) else ""

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        *,
        digest: str = "",
        seen: int = 0,
        until: str | None = None,
        question: str = "",
    ) -> Any:  # noqa: ANN401  as Airflow's
        """Record the answer, if it is on what would be released now; else let it be asked again."""
        if question and event.get("question", question) != question:  # Airflow's own word of an answer names none
            self.log.info("What came is about another question; this one waits on.")
            uri = registry_uri(self.registry, registry_of_run(context))
            self._wait(uri, asked=str(context["ti"].id), digest=digest, seen=seen, until=until)
        if "timeout" in event:
            raise AirflowFailException(
                f'Nobody approved or rejected set {digest[:12]} of group "{self.group.name}" until {event["timeout"]}.'
                " Nothing was recorded. Clear this task to ask again."
            )
        if "changed" in event:
            return self._changed(context, digest, seen)
        origin, is_approved = self._origin(context, event)
        if not is_approved and not origin.why:
            self.log.info("A rejection needs a reason; it is asked again.")
            return self.execute(context)
        with reported():
            registry = open_registry(self.registry, registry_of_run(context))
            say = approve if is_approved else reject
            try:
                said = say(registry, self.group, origin, digest=digest, seen=seen)
            except SetChanged as changed:
                return self._ask_again(context, str(changed))
        if not is_approved:
            raise _rejected(self.group, said)
        return self._approved(context, said)

    def _changed(self, context: Context, digest: str, seen: int) -> dict[str, Any]:
        """A word was said elsewhere, or another set is to be shown."""
        with reported():
            state = open_registry(self.registry, registry_of_run(context)).state()
        _, manifest = weigh(self.group, state)
        if manifest is not None and digest_of_release(manifest) == digest:
            if needs_word(self.group, state, digest, seen):  # it was another set for a moment
                return self.execute(context)
            if approval := approval_of(self.group, state, digest):
                return self._approved(context, approval)
            if rejection := rejection_of(self.group, state, digest):
                raise _rejected(self.group, rejection)
        return self._ask_again(context, f"Set {digest[:12]} was shown, but is not what would be released now.")

    def _origin(self, context: Context, event: dict[str, Any]) -> tuple[Origin, bool]:
        """Who answered and why, and whether it is a yes."""
        self.validate_chosen_options(event["chosen_options"])
        given, user = event["params_input"] or {}, event["responded_by_user"]
        why = str(given.get(WHY) or "").strip()
        origin = Origin(by=user["name"] or user["id"], why=why, job=origin_of(context).job)
        return origin, event["chosen_options"] == [self.APPROVE]

    def _approved(self, context: Context, said: Judgement) -> dict[str, Any]:
        self.log.info("Set %s is %s.", said.digest, describe_word(said))
        self._pass_over(context, AGAIN)
        origin = said.recorded.origin
        return {
            "group": said.group,
            "set": said.digest,
            "word": said.word.value,
            "by": origin.by,
            "why": origin.why,
            "entry": said.recorded.number,
        }

    def _ask_again(self, context: Context, why: str) -> dict[str, Any]:
        """End without a word; the event of the task behind wakes another run, which asks about what is there then."""
        self.log.info("%s Another run asks again.", why)
        self._pass_over(context, RELEASE)
        return {"group": self.group.name, "word": None}

    def _pass_over(self, context: Context, task_id: str) -> None:
        tasks = [task for task in context["task"].get_direct_relatives(upstream=False) if task.task_id == task_id]
        self.skip(ti=context["ti"], tasks=tasks)


class AskAgainOperator(BaseOperator):
    """Wakes another run of the release DAG, by the event of the group's staging asset."""

    ui_color = "#fce7f3"

    def __init__(self, *, staging: Asset, **kwargs: Any) -> None:
        super().__init__(outlets=[staging], **kwargs)

    def execute(self, context: Context) -> None:  # noqa: ARG002  Airflow's signature
        """Airflow sends the event when this has ended."""
        self.log.info("The set has changed while somebody was asked: the next run asks again.")


def _rejected(group: Group, said: Judgement) -> AirflowSkipException:
    return AirflowSkipException(
        f"Nothing is released: exactly this set was {describe_word(said)}. Promote another version, or `lockstep"
        f" approve {group.name}`."
    )
