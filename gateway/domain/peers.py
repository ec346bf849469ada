"""Who a connection comes from, and when what it says about others is believed."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from gateway.domain.carriers import RawHeaders

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


@lru_cache(maxsize=4096)
def within(address: str, networks: Networks) -> bool:
    """Whether an address lies in one of the networks; a text that is no address does not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


@dataclass(frozen=True, slots=True)
class Peers:
    """The operator's word on peers.

    Attributes:
        trusted: Proxies whose `X-Forwarded-*` is believed.
        scheme: `http` or `https` where the operator fixes it; `auto` asks proxy and connection.
    """

    trusted: Networks = ()
    scheme: str = "auto"

    def is_trusted(self, address: str | None) -> bool:
        return address is not None and bool(self.trusted) and within(address, self.trusted)

    def scheme_of(self, connection_scheme: str, address: str | None, headers: RawHeaders) -> str:
        """Return `http` or `https`: how the visitor reached the outermost server of ours."""
        if self.scheme != "auto":
            return self.scheme
        if self.is_trusted(address):
            told = [value for name, value in headers if name == b"x-forwarded-proto"]
            if len(told) == 1 and told[0].lower() in (b"http", b"https"):
                return told[0].lower().decode()
        return "https" if connection_scheme in ("https", "wss") else "http"
