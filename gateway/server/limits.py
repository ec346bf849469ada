"""What one server process bears before it says no."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

BODY_FLOOR_BYTES_PER_S: Final = 240
"""The slowest upload that still counts as one: as Kestrel's MinRequestBodyDataRate."""

# After the last answer we go on reading for a while: closing with unread bytes makes TCP send a
# reset, which can overtake the answer (RFC 9112, section 9.6).
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 1_048_576

# Most of an unread body that is swallowed to keep the connection; net/http (Go) has the same bound.
SWALLOW_BYTES: Final = 262_144

# Most that is kept of requests which a client sends before its last one is answered.
AHEAD_BYTES: Final = 524_288

# At a shutdown an idle connection may still bring the request that is on its way to us.
IDLE_GRACE_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The limits of one listening server, in one process.

    Attributes:
        receive_timeout_s: A request's head must have arrived whole by then, counted from its first
            byte (and on a silent new connection from its start); while the application waits for a
            body, every stretch of this length must bring BODY_FLOOR_BYTES_PER_S or the body's end.
        keep_alive_s: How long a connection may idle between two requests.
        header_bytes: Most bytes of a head: the request line, the fields and the empty line.
        header_count: Most fields of a head; at least 3.
        target_bytes: Most bytes of the request target.
        connections_per_client: Most connections of one address (IPv6: of one /64).
        connections: Most connections in all.
        trusted: Networks of proxies that speak for many clients: never refused for their number.
        drain_s: How long requests in flight may take to end at a shutdown.
        send_timeout_s: How long a client may take nothing of an answer that waits for it.
    """

    receive_timeout_s: float
    keep_alive_s: float
    header_bytes: int
    header_count: int
    target_bytes: int = 8192
    connections_per_client: int
    connections: int
    trusted: tuple[Network, ...] = ()
    drain_s: float
    send_timeout_s: float = 60.0

    @property
    def body_floor_bytes(self) -> int:
        """Least bytes of a body in one stretch of `receive_timeout_s`."""
        return max(1, int(BODY_FLOOR_BYTES_PER_S * self.receive_timeout_s))
