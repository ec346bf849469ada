"""Chance for all that must not happen in step: jitter, spreads, one of many alike.

From the system and not from Python's shared generator: whoever seeds that one (a test, a simulation, an
application around the middleware) neither puts gateways in step nor is disturbed by them.
"""

from random import SystemRandom
from typing import Final

CHANCE: Final = SystemRandom()
