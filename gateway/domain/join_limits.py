"""How many places one client address may take: a token bucket an address, bounded in number.

Pure: the time comes in as an argument. A carrier's NAT is one address for thousands of honest people,
so the default is generous; it is there for the one machine that takes ten thousand places.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_address

# An address that has not joined for so long has a full bucket again and need not be remembered.
MOST_ADDRESSES = 100_000


@dataclass(frozen=True, slots=True)
class JoinLimit:
    """Attributes:
    burst: Places that an address may take at once.
    per_minute: Places that it may take in the long run.
    """

    burst: int
    per_minute: float


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class JoinLimits:
    """Counts the joins of each address. The least recently seen are forgotten past a bound."""

    def __init__(self, limit: JoinLimit, most_addresses: int = MOST_ADDRESSES) -> None:
        self._limit = limit
        self._most = most_addresses
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str, now_s: float) -> int:
        """Take one place for `address`.

        Returns:
            0 when it may join, else in how many whole seconds it may try again; nothing was taken.
        """
        source = source_of(address)
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = _Bucket(float(self._limit.burst), now_s)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(source)
            gained = max(now_s - bucket.at_s, 0.0) * self._limit.per_minute / 60
            bucket.left = min(bucket.left + gained, float(self._limit.burst))
            bucket.at_s = now_s
        if bucket.left >= 1:
            bucket.left -= 1
            return 0
        return max(1, int((1 - bucket.left) * 60 / self._limit.per_minute) + 1)


def source_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 network of 64 bits.

    A household or a server is given a whole /64; counting its addresses would count nothing.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}::/64"
