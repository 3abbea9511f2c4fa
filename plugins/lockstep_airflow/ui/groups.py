"""The list of groups, and the summary of them."""

from lockstep_airflow.ui import shapes, shapes_of_data
from lockstep_airflow.ui.declarations import Declaration
from lockstep_airflow.ui.drift import summary_of
from lockstep_airflow.ui.group import hold_of, waiting
from lockstep_airflow.ui.said import at, said
from lockstep_airflow.ui.surroundings import Due
from lockstep_airflow.ui.warnings import warnings_of
from lockstep_airflow.ui.weighing import weighed
from lockstep_airflow.ui.world import Scene

_REASONS = 3
NO_GROUP = (
    "There is no release group yet, or none that you may read. Declare one, and build its DAGs with release_dags in a"
    " file of the DAGs folder; Airflow shows it here once it has parsed that file."
)


def groups(scene: Scene) -> shapes.Groups:
    """All groups, by name."""
    found = [_summary(scene, group) for group in scene.declared.values()]
    problems = {one["problem"] for one in found}
    is_everywhere = len(problems) == 1 and None not in problems
    return {"groups": found, "problem": problems.pop() if is_everywhere else None if found else NO_GROUP}


def _summary(scene: Scene, group: Declaration) -> shapes.GroupSummary:
    seen = scene.seen(group)
    book, question = seen.book, scene.around.questions.get(group.dag_id)
    found = weighed(group, seen)
    release = book.state.production(group.name) if book else None
    thresholds = group.group.model_of_threshold
    names = [("model", model.name) for model in group.group.models] + [("threshold", name) for name in thresholds]
    due = due_of(scene, group)
    return {
        "name": group.name,
        "registry": seen.shown,
        "problem": seen.problem,
        "gate": {
            "status": found.verdict.status.value,
            "reasons": list(found.verdict.reasons[:_REASONS]),
            "blocked": sum(not member.fits for member in found.verdict.members),
        }
        if found
        else None,
        "production": {"release": release.digest, "said": said(release.recorded)} if release else None,
        "hold": hold_of(book.state.hold(group.name)) if book else None,
        "waiting": waiting(scene, question) if question else None,
        "drift": summary_of(scene, group) if book else None,
        "due": {"at": at(due.at), "says": due.says} if due else None,
        "warnings": len(warnings_of(group, book, scene.today)),
        "counts": {
            "models": len(group.group.models),
            "thresholds": len(thresholds),
            "apis": len(group.group.apis),
            "versions": sum(len(book.versions(*name)) for name in names) if book else 0,
        },
    }


def due_of(scene: Scene, group: Declaration) -> Due | None:
    """The last event that says that a group is to be retrained, unless it was released since."""
    due, book = scene.around.due.get(group.name), scene.seen(group).book
    release = book.state.production(group.name) if book else None
    return due if due is not None and (release is None or release.recorded.at < due.at) else None


def summary(scene: Scene) -> shapes_of_data.Summary:
    """How the groups stand."""
    told: dict[str, list[str]] = {"out_of_step": [], "waiting": [], "on_hold": [], "due": []}
    for group in scene.declared.values():
        seen = scene.seen(group)
        found = weighed(group, seen)
        is_held = seen.book is not None and seen.book.state.hold(group.name) is not None
        for what, holds in (
            ("out_of_step", found is not None and found.verdict.status.value == "closed"),
            ("waiting", group.dag_id in scene.around.questions),
            ("on_hold", is_held),
            ("due", due_of(scene, group) is not None),
        ):
            told[what] += [group.name] if holds else []
    return {
        "groups": len(scene.declared),
        "out_of_step": told["out_of_step"],
        "waiting": told["waiting"],
        "on_hold": told["on_hold"],
        "due": told["due"],
        "problems": scene.problems(),
    }
