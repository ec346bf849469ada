"""Who a connection comes from, and when what it says about others is believed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeAlias

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


class Source(NamedTuple):
    """Where a request comes from.

    Attributes:
        address: The visitor's address; None on a Unix socket.
        unconfigured_proxy: The peer's address, when it speaks for others and no proxy is configured:
            then nobody can say how many visitors are behind it.
    """

    address: str | None
    unconfigured_proxy: str | None = None


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

    def source_of(self, address: str | None, headers: RawHeaders) -> Source:
        """Return whose request it is, as far as the operator's word on proxies goes."""
        told = [value for name, value in headers if name == b"x-forwarded-for"]
        if told and not self.trusted:
            return Source(address, unconfigured_proxy=address)
        return Source(client_address(address, told, self.trusted))

    def scheme_of(self, connection_scheme: str, address: str | None, headers: RawHeaders) -> str:
        """Return `http` or `https`: how the visitor reached the outermost server of ours."""
        if self.scheme != "auto":
            return self.scheme
        if self.is_trusted(address):
            told = [value for name, value in headers if name == b"x-forwarded-proto"]
            if len(told) == 1 and told[0].lower() in (b"http", b"https"):
                return told[0].lower().decode()
        return "https" if connection_scheme in ("https", "wss") else "http"


def client_address(
    peer: str | None, forwarded_for: Iterable[bytes], trusted: Networks
) -> str | None:
    """Return the visitor's address: the first from the right that no trusted proxy holds.

    Args:
        peer: The address at the other end of the connection.
        forwarded_for: The values of `X-Forwarded-For`, in order.

    Returns:
        The last address that a trusted proxy vouches for; the peer's own where nothing does.
    """
    if peer is None or not within(peer, trusted):
        return peer
    address = peer
    for entry in reversed([part for value in forwarded_for for part in value.split(b",")]):
        told = _address(entry)
        if told is None:
            # Whoever wrote this, nothing to the left of it is vouched for.
            return address
        address = told
        if not within(address, trusted):
            return address
    return address


def _address(entry: bytes) -> str | None:
    """Read one entry of X-Forwarded-For: an address, with or without brackets and port."""
    text = entry.decode("latin-1").strip(' \t"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
