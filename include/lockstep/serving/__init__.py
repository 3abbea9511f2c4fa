"""Serving: decisions from the current release, in process (`Decider`) and over HTTP (`create_app`).

Who decides in process needs no web framework: it is imported with `create_app`.
"""

from typing import TYPE_CHECKING, Any

from lockstep.serving.decider import Decider, NotReleased

if TYPE_CHECKING:
    from lockstep.serving.http import create_app

__all__ = ["Decider", "NotReleased", "create_app"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  Python asks for what is not here
    if name == "create_app":
        from lockstep.serving.http import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
