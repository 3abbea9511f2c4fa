"""Releases come to endpoints of Vertex AI on loopback, through Google's own clients."""

from threading import Thread

import grpc
import pytest

from lockstep.errors import CloudUnusable, DeploymentFailed, UsageError
from tests.deployment.conftest import MODELS, Team

WRITES = (
    "CreateEndpoint", "UploadModel", "DeployModel", "UpdateEndpoint", "MergeVersionAliases", "UndeployModel",
)  # fmt: skip


def test_the_first_release_is_served(team: Team) -> None:
    """Each model has an endpoint that serves the member of the release, and the aliases stand at it."""
    first = team.release("first")
    done = team.deploy()
    assert team.serving() == team.digests(first)
    assert done.release == first
    assert done.shifted == MODELS
    for model in MODELS:
        digest = team.digests(first)[model]
        assert team.aliases(model) == {"default": digest, "production": digest, "staging": digest}


def test_nothing_released_is_told(team: Team) -> None:
    """Without a release there is nothing to deploy."""
    with pytest.raises(UsageError, match="has no release yet"):
        team.deploy()


def test_a_second_run_changes_nothing(team: Team) -> None:
    """What is there already is left as it is: no call writes anything."""
    team.release("first")
    team.deploy()
    before = len(team.service.calls)
    assert team.deploy().shifted == ()
    assert not {call.method for call in team.service.calls[before:]} & set(WRITES)


def test_all_stand_there_before_any_gets_traffic(team: Team) -> None:
    """Traffic is shifted only after every member of the release is deployed."""
    first = team.release("first")
    team.deploy()
    second = team.release("second")
    before = len(team.service.calls)
    team.deploy()
    methods = [call.method for call in team.service.calls[before:] if call.method in WRITES]
    assert methods == [
        *["UploadModel"] * 2, *["DeployModel"] * 2, *["UpdateEndpoint"] * 2, *["MergeVersionAliases"] * 4,
    ]  # fmt: skip
    assert team.serving() == team.digests(second)
    for model in MODELS:
        assert team.standing(model) == {team.digests(first)[model], team.digests(second)[model]}


def test_a_rollback_needs_no_new_container(team: Team) -> None:
    """The release before stands there without traffic, so that going back is a shift and nothing else."""
    first = team.release("first")
    team.deploy()
    team.release("second")
    team.deploy()
    team.rollback()
    deployed = team.service.called("DeployModel")
    assert team.deploy().shifted == MODELS
    assert team.service.called("DeployModel") == deployed
    assert team.serving() == team.digests(first)
    assert {model: team.aliases(model)["production"] for model in MODELS} == team.digests(first)


@pytest.mark.parametrize("keep", [0, 1])
def test_what_is_not_kept_is_taken_away(team: Team, keep: int) -> None:
    """Only as many earlier releases stay deployed as were asked for."""
    team.keep = keep
    releases = []
    for recipe in ("first", "second", "third"):
        releases.append(team.release(recipe))
        team.deploy()
    for model in MODELS:
        assert team.standing(model) == {team.digests(one)[model] for one in releases[-1 - keep :]}


def test_another_image_is_another_deployment(team: Team) -> None:
    """The same release in another container is brought beside the old one, which then goes."""
    first = team.release("first")
    team.deploy()
    team.image += ".1"
    assert team.deploy().shifted == MODELS
    assert team.serving() == team.digests(first)
    for model in MODELS:
        view = team.place.look(model)
        assert [view.versions[number].image for number in view.deployed.values()] == [team.place.image]


def test_another_image_that_dies_changes_nothing(team: Team) -> None:
    """The release goes on in the image that it stands in, though an earlier release stands there, too."""
    team.release("first")
    team.deploy()
    second = team.release("second")
    team.deploy()
    image, team.image = team.image, "broken"
    team.containers("dies", [team.digests(second)["churn"]])
    with pytest.raises(DeploymentFailed, match="serve what they served before"):
        team.deploy()
    assert team.serving() == team.digests(second)
    team.image = image
    assert team.deploy().shifted == ()


def test_one_container_that_dies_stops_the_release(team: Team) -> None:
    """If one member can't be deployed, no traffic moves, and what was brought for the others is taken away."""
    first = team.release("first")
    team.deploy()
    second = team.release("second")
    team.containers("dies", [team.digests(second)["churn_reason"]])
    shifts = team.service.called("UpdateEndpoint")
    with pytest.raises(DeploymentFailed, match=r"(?s)no such version.*serve what they served before"):
        team.deploy()
    assert team.service.called("UpdateEndpoint") == shifts
    assert team.serving() == team.digests(first)
    for model in MODELS:
        assert team.standing(model) == {team.digests(first)[model]}
        assert team.aliases(model)["production"] == team.digests(first)[model]


def test_no_machine_left_stops_the_release(team: Team) -> None:
    """An operation that the cloud ends with an error is told in its words, and nothing has moved."""
    first = team.release("first")
    team.deploy()
    second = team.release("second")
    team.service.operations.fail("DeployModel", grpc.StatusCode.RESOURCE_EXHAUSTED, "no machine left")
    with pytest.raises(DeploymentFailed, match="no machine left"):
        team.deploy()
    assert team.serving() == team.digests(first)
    assert all(team.standing(model) == {team.digests(first)[model]} for model in MODELS)
    team.deploy()
    assert team.serving() == team.digests(second)


def test_a_first_release_that_fails_leaves_nothing(team: Team) -> None:
    """Where there was nothing before, nothing answers afterwards."""
    first = team.release("first")
    team.containers("dies", [team.digests(first)["churn"]])
    with pytest.raises(DeploymentFailed, match="serve nothing of it"):
        team.deploy()
    assert team.serving() == {"churn": None, "churn_reason": None}
    assert all(team.standing(model) == set() for model in MODELS)


def test_one_shift_that_is_refused_takes_all_back(team: Team) -> None:
    """If one endpoint can't be shifted, the others are led back to the release before."""
    first = team.release("first")
    team.deploy()
    team.release("second")
    team.service.faults.refuse("UpdateEndpoint", grpc.StatusCode.PERMISSION_DENIED, "not yours")
    with pytest.raises(DeploymentFailed, match="not yours"):
        team.deploy()
    assert team.serving() == team.digests(first)


def test_another_version_that_answers_takes_all_back(team: Team) -> None:
    """Each endpoint is asked who answers; if it is not the member of the release, all go back."""
    first = team.release("first")
    team.deploy()
    second = team.release("second")
    team.containers("lies", [team.digests(second)["churn"]])
    with pytest.raises(DeploymentFailed, match="digest another answers instead of churn@2"):
        team.deploy()
    assert team.serving() == team.digests(first)


@pytest.mark.parametrize("method", WRITES)
def test_a_lost_answer_does_nothing_twice(team: Team, method: str) -> None:
    """Whatever was done before its answer was lost is found, and not done again."""
    team.keep = 0
    team.release("first")
    team.deploy()
    second = team.release("second") if method != "CreateEndpoint" else None
    if method == "CreateEndpoint":
        team = Team(team.service, team.clients, team.programs, keep=0)
        second = team.release("first")
    team.service.faults.lose(method)
    team.deploy()
    assert team.serving() == team.digests(second)
    for model in MODELS:
        assert team.standing(model) == {team.digests(second)[model]}
        assert len(team.uploads(model)) == len(set(team.uploads(model)))


def test_what_can_not_be_put_in_order_is_told(team: Team) -> None:
    """If only the tidying up is refused, the error says that the release is served."""
    team.keep = 0
    team.release("first")
    team.deploy()
    second = team.release("second")
    team.service.faults.refuse("UndeployModel", grpc.StatusCode.PERMISSION_DENIED, "not yours")
    with pytest.raises(DeploymentFailed, match=r"is served, but .* not yours"):
        team.deploy()
    assert team.serving() == team.digests(second)


def test_a_cloud_that_is_down_is_tried_again_later(team: Team) -> None:
    """After some tries the error says that trying again may help; then it goes on from where it was."""
    first = team.release("first")
    team.service.faults.refuse("DeployModel", grpc.StatusCode.UNAVAILABLE, "come back later", times=100)
    with pytest.raises(CloudUnusable, match="come back later"):
        team.deploy()
    uploads = team.service.called("UploadModel")
    team.service.faults.clear()
    team.deploy()
    assert team.service.called("UploadModel") == uploads
    assert team.serving() == team.digests(first)


def test_what_is_in_hand_is_waited_for(team: Team) -> None:
    """A deployment that an earlier attempt began is not begun a second time."""
    first = team.release("first")
    with team.service.operations.holding("DeployModel"):
        others = [Thread(target=team.deploy) for _ in range(2)]
        for other in others:
            other.start()
    for other in others:
        other.join()
    assert team.serving() == team.digests(first)
    assert all(len(team.place.look(model).deployed) == 1 for model in MODELS)
