"""The source archive: exactly the team's code, in bytes that are equal for equal code."""

import gzip
import importlib
import io
import os
import sys
import tarfile
import types
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from lockstep import Model
from lockstep.errors import TrainingError
from lockstep.registry import sha256_of
from lockstep.training.call import call_of, name_of
from lockstep.training.source import code_of, pack
from tests.training import shop
from tests.training.conftest import Shop, WriteModule


def model_of(estimator: Callable[[], Any], clean: Callable[[pl.DataFrame], pl.DataFrame] | None = None) -> Model:
    """Declare a model with this code."""
    return replace(shop.leaving, data=replace(shop.shoppers, clean=clean), estimator=estimator)


def source_archive(model: Model) -> bytes:
    """Pack the model's own code alone, as a recipe speaks of it."""
    return pack({name: path.read_bytes() for name, path in code_of([model]).items()})


def files_in(archive: bytes) -> dict[str, str]:
    """Name → content of the files of an archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = {member.name: opened.extractfile(member) for member in opened.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_the_archive_of_a_version_holds_its_modules_and_those_beside(desk: Shop) -> None:
    """What stands in the registry is the module of the declarations and what it imports from beside, nothing else."""
    fact = desk.train("leaving").version.fact
    archive = desk.registry.objects.get_unverified(f"sources/{fact.source}.tar.gz")
    assert sha256_of(archive) == fact.source
    folder = Path(__file__).parent
    code = {name: text for name, text in files_in(archive).items() if not name.startswith(".lockstep/")}
    assert code == {
        f"tests/training/{name}": (folder / name).read_text(encoding="utf-8") for name in ("shop.py", "shop_words.py")
    }


def test_equal_code_gives_equal_bytes(write_module: WriteModule) -> None:
    """Neither the time nor the owner of a file nor the attempt enters the bytes."""
    module = write_module("steady", "def build():\n    return None\n")
    first = source_archive(model_of(module.build))
    os.utime(str(module.__file__), (1, 1))
    Path(str(module.__file__)).chmod(0o600)
    assert source_archive(model_of(module.build)) == first
    assert gzip.decompress(first)[:10] == b"steady.py\0"


def test_the_place_of_the_files_does_not_enter_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same module in two folders gives the same archive."""
    archives = set()
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "wandering.py").write_text("def build():\n    return None\n", encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / folder)
            archives.add(source_archive(model_of(importlib.import_module("wandering").build)))
            del sys.modules["wandering"]
    assert len(archives) == 1


def test_imports_are_followed_wherever_they_stand(write_module: WriteModule) -> None:
    """Absolute and relative imports, of modules and of names, at the top and inside functions, are followed."""
    write_module("kit.__init__", "")
    write_module("kit.deep", "DEPTH = 3\n")
    write_module("kit.near", "from . import deep\n")
    write_module("kit.late", "LATE = 1\n")
    write_module("kit.unused", "UNUSED = 1\n")
    write_module("words", "import kit.near as near\n")
    clean = write_module("cleaning", "def clean(rows):\n    return rows\n")
    main = write_module(
        "kit.declared",
        "import json\nimport polars\nfrom lockstep import Model\nfrom words import near\n"
        "def build():\n    from .late import LATE\n    return LATE\n",
    )
    assert sorted(files_in(source_archive(model_of(main.build, clean.clean)))) == [
        "cleaning.py",
        "kit/__init__.py",
        "kit/declared.py",
        "kit/deep.py",
        "kit/late.py",
        "kit/near.py",
        "words.py",
    ]


def test_a_package_without_init_is_kept_too(write_module: WriteModule) -> None:
    """A module in a plain folder stands in the archive under its whole name."""
    module = write_module("plain.inner.declared", "def build():\n    return None\n")
    assert list(files_in(source_archive(model_of(module.build)))) == ["plain/inner/declared.py"]


def test_code_in_another_folder_is_kept_too(
    write_module: WriteModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is imported from a second folder of code is the team's as well, as long as it is not installed."""
    (tmp_path / "other" / "toolkit").mkdir(parents=True)
    (tmp_path / "other" / "toolkit" / "scales.py").write_text("ONE = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "other")
    module = write_module("near_shop", "from toolkit.scales import ONE\ndef build():\n    return ONE\n")
    assert list(files_in(source_archive(model_of(module.build)))) == ["near_shop.py", "toolkit/scales.py"]


def test_modules_that_import_each_other_are_kept_once(write_module: WriteModule) -> None:
    """A circle of imports ends."""
    write_module("left", "def build():\n    import right\n    return right\n")
    write_module("right", "import left\n")
    assert list(files_in(source_archive(model_of(sys.modules["left"].build)))) == ["left.py", "right.py"]


def test_a_class_of_a_library_leaves_the_library_out() -> None:
    """An estimator that is scikit-learn's own brings no code of scikit-learn; its version stands in the manifest."""
    assert files_in(source_archive(model_of(LogisticRegression))) == {}
    assert list(files_in(source_archive(model_of(partial(LogisticRegression, C=2), shop.clean_shoppers)))) == [
        "tests/training/shop.py",
        "tests/training/shop_words.py",
    ]


def test_of_installed_code_only_the_own_package_is_kept() -> None:
    """What an installed module imports lies beside it by chance, and stays out."""
    names = list(files_in(source_archive(model_of(pytest.importorskip))))
    assert "_pytest/outcomes.py" in names
    assert {name.partition("/")[0] for name in names} == {"_pytest"}


def test_code_in_main_is_refused() -> None:
    """A function that was typed into a session has no file that could be kept."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def build():\n    return None\n", namespace)  # noqa: S102  as an interactive session does
    with pytest.raises(TrainingError) as caught:
        source_archive(model_of(namespace["build"]))
    assert str(caught.value) == (
        'Model "leaving": __main__.build comes from no importable file, so its code could not be kept. Move it to a'
        " module, and import it."
    )


def test_a_module_that_is_not_where_its_name_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was loaded under another name could not be imported from the archive, so training stops."""
    path = tmp_path / "dag_file.py"
    path.write_text("def build():\n    return None\n", encoding="utf-8")
    module = types.ModuleType("renamed_by_a_loader")
    module.__file__ = str(path)
    exec(path.read_text(encoding="utf-8"), module.__dict__)  # noqa: S102  as a loader of files does
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(TrainingError, match=r"renamed_by_a_loader\.build comes from no importable file"):
        source_archive(model_of(module.build))


def test_a_partial_bears_the_name_of_its_function() -> None:
    """What is shown is the function; what enters the recipe are its arguments too."""
    build = partial(partial(LogisticRegression, C=2), max_iter=9)
    assert name_of(build) == "sklearn.linear_model._logistic.LogisticRegression"
    assert call_of(build) == "sklearn.linear_model._logistic.LogisticRegression(C=2, max_iter=9)"
    assert call_of(shop.classifier) == name_of(shop.classifier) == "tests.training.shop.classifier"
