"""Write the reference of the command line from the commands themselves: `python docs/site/commands.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from lockstep.cli.app import app

Clicked = Any  # Typer brings a Click of its own, without names to import
PAGE = Path(__file__).resolve().parents[1] / "reference" / "cli.md"
HEAD = """\
# Command line

Written by `docs/site/commands.py` from the commands themselves.
Exit status: 0 done, 1 refused with a reason, 2 wrong use.
"""


def page() -> str:
    """The page, as it has to be."""
    whole = typer.main.get_command(app)
    return "\n".join([HEAD, *_told(whole, "lockstep", None)]).rstrip() + "\n"


def _told(command: Clicked, path: str, parent: typer.Context | None) -> Iterator[str]:
    context = typer.Context(command, parent=parent, info_name=path.rpartition(" ")[2])
    yield f"## {path}\n"
    yield f"{(command.help or '').strip()}\n"
    words = [_word(each) for each in command.params if each.param_type_name != "option"]
    if words:
        yield f"Takes {', '.join(words)}.\n"
    options = [each for each in command.params if each.param_type_name == "option"]
    if options:
        yield "| option | |\n| --- | --- |"
        yield "\n".join(f"| {_named(each)} | {_said(each)} |" for each in options) + "\n"
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _told(found, f"{path} {name}", context)


def _word(argument: Clicked) -> str:
    notes = [str(getattr(argument, "help", None) or "").rstrip(".")]
    notes += ["several"] * (argument.nargs != 1) + ["optional"] * (not argument.required)
    said = ", ".join(filter(None, notes))
    return f"`{(argument.name or '').upper()}`" + (f" ({said})" if said else "")


def _named(option: Clicked) -> str:
    value = "" if option.is_flag else f" {option.name}".upper()
    return ", ".join(f"`{name}{value}`" for name in option.opts)


def _said(option: Clicked) -> str:
    parts = [option.help or ""]
    if option.required:
        parts.append("Required.")
    elif not option.is_flag and not callable(option.default) and option.default not in (None, "", [], ()):
        parts.append(f"Default: `{option.default}`.")
    return " ".join(filter(None, parts)).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
