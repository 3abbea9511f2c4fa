"""The source archive: exactly the team's code that a model is made of, and what git says of it.

Rules:
- It holds the modules that define the estimator and `clean`, of the model and of those it builds on, and every module
  that those import from beside them, or from another folder of code that is not installed.
- Lockstep itself, the libraries whose versions stand in the manifest, and other installed packages are not in it.
- The file of each function is in it, or there is no archive: no change of code goes unnoticed.
- Beside the code it holds `.lockstep/git.json`, which names the commit, and `.lockstep/uncommitted.diff` where files
  differ from it. Of those that git does not know only the code itself is in it.
- Times, owners and the place of the files on this machine don't enter the bytes: equal content gives equal bytes.
- A recipe speaks of the model's own code alone, so that a commit which leaves the code as it is does not train again.
"""

import ast
import gzip
import io
import site
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from lockstep.declare import Dataset, Model
from lockstep.errors import ObjectDamaged, TrainingError
from lockstep.registry import canonical_json, sha256_of
from lockstep.training.call import name_of, unwrapped
from lockstep.training.checkout import MOST_PATCH, Checkout, checkouts_of

LIBRARIES: Final = frozenset({"lockstep", "numpy", "polars", "scipy", "skops", "sklearn"})
MOST_UNPACKED: Final = 256 << 20  # bytes
RECORDS: Final = ".lockstep"
GIT: Final = f"{RECORDS}/git.json"
PATCH: Final = f"{RECORDS}/uncommitted.diff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The code of a model.

    Attributes:
        archive: a `.tar.gz` of the code and the records.
        code: SHA-256 of the model's own code, packed alone.
        commit: of the repository that holds the estimator's module; empty where there is none.
        dirty: whether a file of a repository differs from its commit, or code is not in it.
    """

    archive: bytes
    code: str
    commit: str
    dirty: bool


def source_of(model: Model, upstream: Iterable[Model] = ()) -> Source:
    """The code of a model and of those that it builds on, with what git says of it.

    Raises:
        TrainingError: a function has no file, so that nobody could say later which code it was.
    """
    own = code_of([model])
    code = own | code_of(upstream)
    team = {name: path for name, path in code.items() if not installed_folders().intersection(path.parents)}
    checkouts = checkouts_of(team)
    records = dict(_records(checkouts))
    content = {name: path.read_bytes() for name, path in code.items()}
    return Source(
        archive=pack(content | records),
        code=sha256_of(pack({name: content[name] for name in own})),
        commit=checkouts[0].commit if checkouts else "",
        dirty=any(checkout.dirty for checkout in checkouts),
    )


def code_of(models: Iterable[Model]) -> dict[str, Path]:
    """The files of the models' code: name relative to the folder that Python imports from → where it is."""
    found: dict[str, Path] = {}
    for model in models:
        for function in (model.estimator, model.data.clean):
            if function is not None:
                _add_code(f'Model "{model.name}"', function, found)
    return found


def code_of_clean(dataset: Dataset) -> dict[str, Path]:
    """The files of a dataset's `clean` and of the schemas of its checks, as those of `code_of`."""
    found: dict[str, Path] = {}
    for function in (dataset.clean, *(check.schema for check in dataset.checks)):
        if function is not None:
            _add_code(f'Dataset "{dataset.name}"', function, found)
    return found


def hash_of_clean(dataset: Dataset) -> str | None:
    """SHA-256 of the code of `code_of_clean`; None where it can't be told from files alone what it does.

    That is a function that was made within another one, whose values are not in the code.
    """
    functions = [one for one in (dataset.clean, *(check.schema for check in dataset.checks)) if one is not None]
    names = [getattr(one, "__qualname__", "") for one in functions]
    if not all(name and "<" not in name for name in names):
        return None
    try:
        files = code_of_clean(dataset)
    except TrainingError:
        return None
    return sha256_of(pack({path: file.read_bytes() for path, file in files.items()}))


def _add_code(whose: str, function: Callable[..., Any], found: dict[str, Path]) -> None:
    module = _module_of(whose, function)
    if _top(module.__name__) in LIBRARIES:
        return
    root, name = _root_of(module)
    _follow(root, name, found, within=_top(name) if root in installed_folders() else None)
    if Path(str(module.__file__)).resolve() not in found.values():
        raise _not_importable(whose, function)


def _records(checkouts: tuple[Checkout, ...]) -> Iterator[tuple[str, bytes]]:
    """What git says, as files beside the code; a second repository has a patch of its own."""
    said = []
    for number, checkout in enumerate(checkouts, start=1):
        name = PATCH if number == 1 else PATCH.replace(".diff", f"-{number}.diff")
        if checkout.patch:
            yield name, checkout.patch
        said.append(
            {
                "commit": checkout.commit,
                "dirty": checkout.dirty,
                "files": checkout.files,
                "changed": list(checkout.changed),
                "untracked": list(checkout.untracked),
                "withheld": list(checkout.withheld),
                "patch": name if checkout.patch else None,
                "note": f"the patch has more than {MOST_PATCH} bytes" if checkout.patch is None else "",
            }
        )
    if said:
        yield GIT, canonical_json({"repositories": said})


def _module_of(whose: str, function: Callable[..., Any]) -> ModuleType:
    module = sys.modules.get(getattr(unwrapped(function), "__module__", ""))
    if module is None or not getattr(module, "__file__", None) or module.__name__ == "__main__":
        raise _not_importable(whose, function)
    return module


def _not_importable(whose: str, function: Callable[..., Any]) -> TrainingError:
    return TrainingError(
        f"{whose}: {name_of(function)} comes from no importable file, so its code could not be kept. Move"
        " it to a module, and import it."
    )


def _root_of(module: ModuleType) -> tuple[Path, str]:
    """The folder that the module is imported from, and its name there."""
    path = Path(str(module.__file__)).resolve()
    parts = module.__name__.split(".")
    depth = len(parts) + (path.stem == "__init__") - 1
    return path.parents[depth], module.__name__


def _top(name: str) -> str:
    return name.partition(".")[0]


def installed_folders() -> set[Path]:
    """The folders that hold installed packages; there, what a module imports is beside it by chance."""
    places = [sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib")]
    return {Path(place).resolve() for place in (*places, *site.getsitepackages(), site.getusersitepackages())}


def _follow(root: Path, name: str, found: dict[str, Path], *, within: str | None) -> None:
    """Add a module, the packages that it lies in, and what it imports of code (or of the package `within`)."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = _file_of(root, parts[:depth])
        if path is None and root.joinpath(*parts[:depth]).is_dir():
            continue  # a package without __init__.py
        if path is None:
            return
        key = path.relative_to(root).as_posix()
        if key in found:
            continue
        found[key] = path
        for imported in _imports(path, ".".join(parts[:depth]), is_package=path.stem == "__init__"):
            if within in (None, _top(imported)) and (place := _place_of(_top(imported), root)):
                _follow(place, imported, found, within=within)


def _place_of(top: str, root: Path) -> Path | None:
    """The folder of code that holds a top-level name: the importing one, or another that Python imports from."""
    if top in LIBRARIES or top in sys.stdlib_module_names:
        return None
    others = (Path(entry).resolve() for entry in sys.path)
    installed = installed_folders()
    places = [root, *(place for place in others if not installed & {place, *place.parents})]
    return next((place for place in places if _file_of(place, [top]) or place.joinpath(top).is_dir()), None)


def _file_of(root: Path, parts: list[str]) -> Path | None:
    base = root.joinpath(*parts)
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _imports(path: Path, name: str, *, is_package: bool) -> Iterator[str]:
    """Every dotted name that a file imports, also inside functions; a name may turn out to be no module."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if is_package else name.split(".")[:-1]
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files by name as a `.tar.gz`, in bytes that hang on nothing else."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files of a source archive into a new folder, and nothing outside of it.

    Raises:
        ObjectDamaged: it holds something else than files below the folder, or too much.
    """
    folder.mkdir()
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
            for member in opened:
                size += member.size
                if not member.isreg() or size > MOST_UNPACKED:
                    raise ObjectDamaged(
                        f'Source archive: "{member.name}" is no file, or all files have more than {MOST_UNPACKED} bytes'
                        " together; it is not unpacked. Find out who wrote it."
                    )
                opened.extract(member, folder, set_attrs=False, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ObjectDamaged(f"Source archive: it can't be unpacked: {error}. Find out who wrote it.") from error
