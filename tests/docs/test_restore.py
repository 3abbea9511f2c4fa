"""The restore drill of the operations page."""

import shutil
from pathlib import Path

from lockstep.registry import Registry
from lockstep.release import release, rollback
from lockstep.upkeep import verify
from tests.training import shop
from tests.training.conftest import ADA, open_shop, shop_template

__all__ = ["shop_template"]
GROUP = shop.graph.group("shop")


def test_a_copy_brings_everything_back(shop_template: Path, tmp_path: Path) -> None:
    """What was lost and damaged behind a copy is named by verify; copied back, all is whole, and releases go on."""
    place, backup = tmp_path / "registry", tmp_path / "backup"
    shutil.copytree(shop_template / "registry", place)
    at = open_shop(place)
    first = at.release("first")
    at.stage("second")
    shutil.copytree(place, backup)

    shutil.rmtree(place / "models")
    newest = max((place / "log").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:-9])
    assert list(verify(Registry.open(str(place))))

    shutil.copytree(backup, place, dirs_exist_ok=True)
    registry = Registry.open(str(place))
    assert list(verify(registry)) == []
    second = release(registry, GROUP, ADA)
    assert second.digest != first.digest
    assert rollback(registry, GROUP, ADA).digest == first.digest
