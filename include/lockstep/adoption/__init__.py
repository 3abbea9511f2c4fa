"""Models and thresholds that were made elsewhere become versions, so that a team starts with what it has.

Rules: see the modules; a pickle is never loaded unless whoever asks for it has said what may be in it.
"""

from lockstep.adoption.adopt import Adopted, adopt
from lockstep.adoption.files import Found, recognise
from lockstep.adoption.loaded import Asked, check_trusted
from lockstep.adoption.pickles import SCIKIT_LEARN, untrusted

__all__ = ["SCIKIT_LEARN", "Adopted", "Asked", "Found", "adopt", "check_trusted", "recognise", "untrusted"]
