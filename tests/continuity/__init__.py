"""A host on which everything fails now and then, and the books of which line was counted how often."""

from tests.continuity.proxy import Proxy
from tests.continuity.rig import FORGETFUL, Rig

__all__ = ["FORGETFUL", "Proxy", "Rig"]
