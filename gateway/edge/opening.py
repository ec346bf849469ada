"""What the middleware is given: a gate, and what keeps it fresh."""

from typing import Protocol

from starlette.types import ASGIApp

from gateway.domain.peers import Peers
from gateway.edge.gate import Gate


class OpenGate(Protocol):
    """A gate with what keeps it fresh, and our own interface. `gateway.wiring` makes them.

    Attributes:
        interface: Answers `/queue/…` and the paths in `own_paths`.
    """

    gate: Gate
    peers: Peers
    own_paths: frozenset[bytes]

    @property
    def interface(self) -> ASGIApp: ...

    async def start(self) -> None:
        """Begin to watch the ledger. Repeating it does nothing."""
        ...

    async def aclose(self) -> None: ...
