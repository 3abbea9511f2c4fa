"""Serving: decisions from the current release, in process (`Decider`) and over HTTP (`create_app`)."""

from lockstep.serving.decider import Decider, NotReleased
from lockstep.serving.http import create_app

__all__ = ["Decider", "NotReleased", "create_app"]
