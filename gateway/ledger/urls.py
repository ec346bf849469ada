"""The ledger's URL: one server, Sentinels and the service they watch, or a Cluster.

`redis://`, `rediss://` and `unix://` are read as redis-py reads them. It has no URL for the other two:

    redis+sentinel://[user:password@]host[:port],host[:port],…/SERVICE[/DB][?option=value&…]
    redis+cluster://[user:password@]host[:port],host[:port],…[?option=value&…]

and `rediss+…` for the same over TLS. No message of this module quotes a part of the URL that may be secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

SENTINEL_PORT: Final = 26379
SERVER_PORT: Final = 6379

ADVICE = "encode what is special in its user, its password or its options (%40 for @, %2F for /)"

# What redis-py takes as a connection's option and what makes sense to set; times are settings of ours.
_COMMON = frozenset({"client_name", "health_check_interval", "protocol", "socket_keepalive"})
_TLS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_min_version",
    }
)
_SENTINEL = frozenset({"sentinel_username", "sentinel_password"})


class Topology(Enum):
    """How the servers behind a URL belong together."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_SCHEMES: Final[Mapping[str, tuple[Topology, bool]]] = {
    "redis": (Topology.SINGLE, False),
    "rediss": (Topology.SINGLE, True),
    "unix": (Topology.SINGLE, False),
    "redis+sentinel": (Topology.SENTINEL, False),
    "rediss+sentinel": (Topology.SENTINEL, True),
    "redis+cluster": (Topology.CLUSTER, False),
    "rediss+cluster": (Topology.CLUSTER, True),
}


@dataclass(frozen=True, slots=True)
class LedgerUrl:
    """A URL that was checked.

    Attributes:
        tls: Whether the connections are encrypted; to the Sentinels too.
        hosts: Of the Sentinels, or of some nodes of the Cluster; empty for a single server.
        service: What the Sentinels call the primary and its replicas.
        options: Further options of a connection, as written; empty for a single server.
    """

    topology: Topology
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    service: str = ""
    database: int = 0
    options: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


def parse_ledger_url(url: str) -> LedgerUrl:
    """Read a ledger's URL.

    Raises:
        ValueError: It is none; the message says what is wrong and quotes no secret.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        _split_single(url)
        raise ValueError("must start with " + ", ".join(f"{name}://" for name in _SCHEMES))
    topology, tls = _SCHEMES[scheme]
    if topology is Topology.SINGLE:
        _split_single(url)
        return LedgerUrl(topology, tls)
    authority, path, query = _split_many(rest)
    credentials, _, hosts = authority.rpartition("@")
    username, _, password = credentials.partition(":")
    service, database = _read_path(topology, path)
    return LedgerUrl(
        topology,
        tls,
        _read_hosts(hosts, SENTINEL_PORT if topology is Topology.SENTINEL else SERVER_PORT),
        unquote(username) or None,
        unquote(password) or None,
        service,
        database,
        _read_options(query, topology, tls),
    )


def _split_single(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        # urllib's own message would quote the password.
        raise ValueError(f"is not a URL; {ADVICE}") from None


def _split_many(rest: str) -> tuple[str, str, str]:
    """Return authority, path and query. `urlsplit` knows one host and one port only."""
    if "#" in rest:
        raise ValueError(f"holds a '#'; {ADVICE}")
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    if "@" in path or "@" in query:
        # Most likely a password with a "/" or a "?" of its own: nobody can say where it ends.
        raise ValueError(f"holds an '@' behind the hosts; {ADVICE}")
    return authority, path, query


def _read_hosts(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    hosts: list[tuple[str, int]] = []
    for number, item in enumerate(text.split(","), start=1):
        # Not quoted: where the "@" was forgotten, a host is a user and its port a password.
        where = f"host number {number} of its list"
        if item.startswith("["):
            host, bracket, port = item[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise ValueError(f"{where} is no address like [::1]:{default_port}")
            port = port[1:] if port else str(default_port)
        else:
            host, colon, port = item.partition(":")
            port = port if colon else str(default_port)
        if not host or any(character.isspace() for character in host):
            raise ValueError(f"{where} is empty or has a space; name them host:port,host:port")
        if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
            raise ValueError(f"the port of {where} is no number from 1 to 65535")
        hosts.append((unquote(host), int(port)))
    return tuple(hosts)


def _read_path(topology: Topology, path: str) -> tuple[str, int]:
    if topology is Topology.CLUSTER:
        if path not in {"", "0"}:
            raise ValueError("a Cluster has one database, so nothing may follow its hosts")
        return "", 0
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("must name the Sentinels' service: redis+sentinel://host:port/SERVICE")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("the database behind the service must be a number")
    return unquote(service), int(database or "0")


def _read_options(query: str, topology: Topology, tls: bool) -> dict[str, str]:
    allowed = set(_COMMON)
    if tls:
        allowed |= _TLS
    if topology is Topology.SENTINEL:
        allowed |= _SENTINEL
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("its options must be name=value&name=value") from None
    options: dict[str, str] = {}
    for name, value in pairs:
        if name in _TLS and not tls:
            raise ValueError(f"the option {name} needs TLS: rediss+{topology.value}://")
        if name not in allowed:
            # Not quoted: it may be the end of a password with a "?".
            raise ValueError("has an unknown option; those are " + ", ".join(sorted(allowed)))
        if name in options:
            raise ValueError(f"gives the option {name} twice")
        options[name] = value
    return options
