"""Other systems that are told what the log says; none of them is asked by anybody in here.

Rules: see the modules; each library is imported when it is used, and comes by an extra of its own.
"""

from lockstep.bridges.mirror import Synced, sync
from lockstep.bridges.told import Made, made_since

__all__ = ["Made", "Synced", "made_since", "sync"]
