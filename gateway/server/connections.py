"""How many connections there are, whose they are, and one timer that looks after all of them."""

import asyncio
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol, cast

from gateway.server.limits import Network, ServerLimits

_SWEEP_S: Final = 1.0


class Watched(Protocol):
    def check(self, now: float) -> None:
        """Close the connection if it has been waited for too long; `now` is the loop's time."""


class Watch:
    """One timer for all connections: a timer for each request would cost more than the request's head."""

    def __init__(self, limits: ServerLimits) -> None:
        self._interval_s = min(_SWEEP_S, limits.receive_timeout_s / 4, limits.keep_alive_s / 4)
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Watched, loop: asyncio.AbstractEventLoop) -> None:
        self._watched.add(connection)
        if self._timer is None:
            self._timer = loop.call_later(self._interval_s, self._sweep, loop)

    def discard(self, connection: Watched) -> None:
        self._watched.discard(connection)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._interval_s, self._sweep, loop)
        now = loop.time()
        for connection in list(self._watched):
            connection.check(now)


class Place:
    """One connection's place among those that are counted; given back once."""

    __slots__ = ("_census", "_client")

    def __init__(self, census: "Census", client: str | None) -> None:
        self._census: Census | None = census
        self._client = client

    def give_back(self) -> None:
        if self._census is not None:
            self._census.leave(self._client)
            self._census = None


class Census:
    """Counts the connections of this process, in all and by client."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self.total = 0
        self.by_client: dict[str, int] = {}

    def admit(self, peer: object) -> Place | None:
        """Count one more connection from `peer` (as `getpeername` gives it); None if that is too many.

        Peers of a Unix socket have no address and count in all only, trusted ones likewise, but are
        never too many.
        """
        address = _address(peer)
        client, trusted = None, False
        if address is not None:
            client, trusted = _client(address[0], self._limits.trusted)
        if trusted:
            client = None
        elif self._is_full(client):
            return None
        self.total += 1
        if client is not None:
            self.by_client[client] = self.by_client.get(client, 0) + 1
        return Place(self, client)

    def leave(self, client: str | None) -> None:
        self.total -= 1
        if client is None:
            return
        left = self.by_client[client] - 1
        if left:
            self.by_client[client] = left
        else:
            del self.by_client[client]

    def _is_full(self, client: str | None) -> bool:
        if self.total >= self._limits.connections:
            return True
        return (
            client is not None
            and self.by_client.get(client, 0) >= self._limits.connections_per_client
        )


def retry_after_s(peer: object) -> int:
    """Spread by the client's port: else all who were refused together would come back together."""
    address = _address(peer)
    return 5 + (address[1] % 11 if address else 0)


class SendClock:
    """Notices a client that takes nothing of what waits for it."""

    __slots__ = ("_asked", "_since", "_timeout_s", "_unsent")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._unsent = -1
        self._since = 0.0
        self._asked = 0.0

    def is_stuck(self, transport: asyncio.Transport, now: float) -> bool:
        """Ask at every sweep while the transport holds unsent bytes, and only then."""
        unsent = transport.get_write_buffer_size()
        if unsent != self._unsent or now - self._asked > 3 * _SWEEP_S:
            self._unsent, self._since = unsent, now
        self._asked = now
        return now - self._since > self._timeout_s


def _address(peer: object) -> tuple[str, int] | None:
    return cast("tuple[str, int]", peer[:2]) if isinstance(peer, tuple) and peer else None


@lru_cache(maxsize=4096)
def _client(host: str, trusted: tuple[Network, ...]) -> tuple[str, bool]:
    try:
        address = ip_address(host)
    except ValueError:
        return host, False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return _name(address), any(address in network for network in trusted)


def _name(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    # One customer gets a /64 at least (RFC 6177): its single addresses are free to make up.
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
