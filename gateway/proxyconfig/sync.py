"""Keeps a proxy's knowledge fresh, in an order in which a crash at any point takes away and never gives.

What was revoked is told before the mark of age moves, and the mark only ever promises a few seconds. So a
sync that hangs, dies or cannot read leaves a proxy that asks the gateway about everything.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.errors import GatewayError
from gateway.proxyconfig.knowledge import Knowledge


class ProxyAway(GatewayError):
    """The proxy cannot be told: it does not answer, or refused a change."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one round of the sync did.

    Attributes:
        reload: Whether the proxy must be reloaded to verify by a key that is new; it asks until then.
        whole: Whether everything was told anew, as to a proxy that was started since.
    """

    reload: bool
    whole: bool
    generation: int
    ended: int
    keys: int


class Sync(Protocol):
    """Tells one proxy what is known."""

    def tell(self, known: Knowledge, *, read_at_s: float) -> Step:
        """Tell what one good read found.

        Args:
            read_at_s: Unix seconds by this machine's clock, from before the read.

        Raises:
            OSError: The files cannot be written.
            ProxyAway: The proxy cannot be told; the files have it for when it starts.
        """
        ...
