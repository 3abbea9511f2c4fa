"""`airflow lockstep …`: commands that Airflow finds in an installed wheel; `python -m lockstep_airflow …` needs none.

Every `airflow` command loads this module: what a command does is imported when it runs.
"""

from argparse import ArgumentParser, Namespace

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

_ABOUT = "Show where each model would be trained and each dataset processed, and who says so"
_GROUP = Arg(("group",), nargs="?", help="Only this release group")  # type: ignore[no-untyped-call]  # no annotations
_JSON = Arg(("--json",), action="store_true", help="Print one JSON document")  # type: ignore[no-untyped-call]


def get_commands() -> list[GroupCommand]:
    """The commands, as `get_provider_info` names them to Airflow."""
    commands = (ActionCommand(name="config", help=_ABOUT, func=_config, args=(_GROUP, _JSON)),)
    return [GroupCommand(name="lockstep", help="Keep machine-learning models in step", subcommands=commands)]


def main() -> None:
    """The same commands without the `airflow` command in front."""
    parser = ArgumentParser(prog="python -m lockstep_airflow")
    (group,) = get_commands()
    chosen = parser.add_subparsers(required=True, metavar="command")
    for command in group.subcommands:
        sub = chosen.add_parser(command.name, help=command.help, description=command.help)
        sub.set_defaults(func=command.func)
        for argument in command.args:
            argument.add_to_parser(sub)
    arguments = parser.parse_args()
    arguments.func(arguments)


def _config(arguments: Namespace) -> None:
    from lockstep_airflow.config import show

    show(arguments)
