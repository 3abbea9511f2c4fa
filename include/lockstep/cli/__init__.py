"""The command line: `lockstep …`."""

from lockstep.cli.app import main

__all__ = ["main"]
