"""What the API server answers is what the pages read: shapes, real answers and `types.ts` say the same."""

from typing import Any, is_typeddict

import pytest

from lockstep_airflow.ui import shapes, shapes_of_data
from tests.ui.conftest import Site
from tests.ui.contract import Named, Object, interfaces, misfits, spelled_out

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
SHAPES: dict[str, Any] = {
    name: found for module in (shapes, shapes_of_data) for name, found in vars(module).items() if is_typeddict(found)
}
KEPT = {"DecisionDiff", "Share", "Population", "Split"}  # the core writes and reads these
ANSWERS = [
    ("/groups", "Groups"),
    ("/groups/churn", "GroupPage"),
    ("/groups/shop", "GroupPage"),
    ("/groups/nowhere", "GroupPage"),
    ("/groups/wide", "GroupPage"),
    ("/groups/shop/versions", "Versions"),
    ("/groups/shop/versions?node=mail&stage=production&limit=1", "Versions"),
    ("/groups/shop/versions/returning@1", "VersionPage"),
    ("/groups/shop/versions/mail@2", "VersionPage"),
    ("/groups/shop/versions/shoppers@1", "VersionPage"),
    ("/groups/shop/history", "History"),
    ("/groups/shop/data", "DataPage"),
    ("/groups/shop/snapshots/shoppers@2", "SnapshotPage"),
    ("/groups/shop/drift", "DriftPage"),
    ("/warnings", "Warnings"),
    ("/search?q=sho", "Found"),
    ("/made?dag_id=shop_retrain&run_id=manual__2026-03-01&task_id=returning.train", "Made"),
    ("/find/returning@2", "Place"),
    ("/summary", "Summary"),
]


def test_the_file_is_read_whole() -> None:
    """Interfaces with their fields come out of the file as they stand there, also what one takes over from another."""
    assert len(interfaces()) > 35
    assert ("figures", interfaces()["NodeVersion"].fields) != ("figures", None)
    assert dict(interfaces()["VersionRow"].fields)["digest"] == Named("string")
    assert misfits({"group": 1}, Named("Place")) == [".group: 1 is no string"]
    assert misfits({"group": "a", "more": 1}, Named("Place")) == [": [] missing, ['more'] too many"]


@pytest.mark.parametrize("name", sorted(name for name, kind in interfaces().items() if isinstance(kind, Object)))
def test_each_interface_has_its_shape(name: str) -> None:
    """Each interface has a shape of that name with the same fields of the same types."""
    if name in KEPT:
        assert name not in SHAPES
    else:
        assert spelled_out(SHAPES[name]) == interfaces()[name]


@pytest.mark.parametrize(("path", "name"), ANSWERS)
def test_answers_are_what_is_declared(site: Site, path: str, name: str) -> None:
    """A real answer of each route has exactly the fields of its interface, with values of their types."""
    assert misfits(site.api(path), Named(name)) == []


def test_a_diff_that_is_kept_is_what_is_declared(site: Site) -> None:
    """The decision diff of a release, as the core has kept it, holds what the pages read."""
    (event,) = [one for one in site.api("/groups/shop/history")["events"] if one["kind"] == "released"]
    assert event["has_diff"]
    diff = site.api(f"/groups/shop/diffs/{event['digest']}")
    assert misfits(diff, Named("DecisionDiff"), may_have_more=True) == []
    assert diff["populations"]
