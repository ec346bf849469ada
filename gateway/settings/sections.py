"""What can be set: a section of the file each, with bounds and defaults, and what follows from them."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field

from gateway.domain.positions import parse_event_id
from gateway.domain.routes import EventRoute, PathEntry, RouteTable, parse_host

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
FilePath: TypeAlias = Annotated[str, Meta(min_length=1)]
Network: TypeAlias = IPv4Network | IPv6Network

ENFORCE, OBSERVE = "enforce", "observe"

OWN_PATHS = frozenset({"/.well-known/jwks.json", "/openapi.json", "/healthz", "/readyz", "/auth"})
"""What the gateway answers itself on every host, beside `/queue/…`."""


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the gateway listens and what it bears.

    Attributes:
        trusted_proxies: Networks whose `X-Forwarded-*` is believed; empty by default.
        forward_auth_peers: Networks that may ask `/auth`; empty by default.
        scheme: How visitors reach us where no trusted proxy says; `auto` asks the connection.
        pass_through: Paths of our own (`/auth`, `/healthz`, …) that belong to the backend instead.
        receive_timeout_s: A request's head, and each further step of its body, must arrive by then.
        connections_per_client: Most connections of one client address; never of a trusted proxy.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    admin_host: str = "127.0.0.1"
    admin_port: Port = 8081
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    trusted_proxies: tuple[str, ...] = ()
    forward_auth_peers: tuple[str, ...] = ()
    scheme: str = "auto"
    pass_through: tuple[str, ...] = ()
    http: str = "httptools"
    receive_timeout_s: Seconds = 10.0
    keep_alive_s: Seconds = 30.0
    drain_s: Seconds = 20.0
    header_bytes: Annotated[int, Meta(ge=1024, le=262_144)] = 32_768
    header_count: Annotated[int, Meta(ge=8, le=1000)] = 100
    connections_per_client: Annotated[int, Meta(ge=1)] = 1000
    connections: Annotated[int, Meta(ge=1)] = 15_000
    body_bytes: Annotated[int, Meta(ge=256, le=1_048_576)] = 16_384


class KeySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The key ring folder, or for an edge that only checks, a file with the public keys.

    Attributes:
        jwks: Path of a JWK set (RFC 7517); with it no private key is needed or read.
        voucher_jwks: Path of the JWK set of the site's keys that sign vouchers.
        sub_secret: Path of a file whose content keys the HMAC of identities that the site names.
    """

    dir: FilePath = "keys"
    jwks: FilePath | None = None
    # No longer than the claim `iss` may be.
    issuer: Annotated[str, Meta(min_length=1, max_length=256)] = "admission-gateway"
    voucher_jwks: FilePath | None = None
    sub_secret: FilePath | None = None


class LedgerSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The shared state: a Redis or Valkey by its URL, or an embedded one by its data folder.

    Attributes:
        url: `redis://`, `rediss://` (TLS) or `unix://` for one server; `redis+sentinel://` with the
            Sentinels' addresses and `/SERVICE`; `redis+cluster://` with some nodes' addresses; empty
            for the embedded server. See `gateway/ledger/urls.py`.
        data_dir: Folder of the embedded server's append-only file.
        floor_dir: Folder where each process keeps what it knows for certain, so that a ledger that
            lost its data can be brought back after a restart of both; empty for nowhere.
        timeout_s: How long one call may take before the ledger counts as away.
    """

    url: str = ""
    data_dir: FilePath = "gateway-data/ledger"
    floor_dir: str = "gateway-data/floors"
    timeout_s: Seconds = 2.0
    poll_s: Annotated[float, Meta(ge=0.05, le=10)] = 1.0

    def __repr__(self) -> str:
        # The URL may hold a password, in its authority or its query.
        scheme, colon, _ = self.url.partition(":")
        return f"LedgerSettings(url={scheme + colon + '…' if colon else '…'!r})"


class ProxySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The booking backend behind our own edge; without `backend` the edge only answers `/auth`.

    Attributes:
        backend: `http://host:port` or `https://…` of the booking site.
        keep_host: Whether the backend sees the visitor's Host or its own.
        open_hosts: Hosts that pass untouched; `*` for every host that no event names.
        health_path: Path of the backend that answers below 500 while it is well, asked once a second
            by each process, for the schedule to back off; empty to judge by visitors' requests.
    """

    backend: str = ""
    keep_host: bool = True
    open_hosts: tuple[str, ...] = ()
    health_path: str = ""
    connect_timeout_s: Seconds = 5.0
    response_timeout_s: Seconds = 60.0
    idle_timeout_s: Seconds = 300.0
    connections: Annotated[int, Meta(ge=1)] = 512


class JoinSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands before a new place. Who holds one already is never asked.

    The limits count in each process. The defaults bear a carrier's NAT, where one address is a
    thousand people.

    Attributes:
        burst: Places that one client address may take at once; 0 for no limit.
        per_minute: Places that it may take in the long run.
        challenge: `package.module:function`, an async function that is given the event, the client's
            address and the visitor's answer (each may be None but the event) and says whether the
            visitor may join; empty for none.
    """

    burst: Annotated[int, Meta(ge=0)] = 1000
    per_minute: Annotated[float, Meta(gt=0)] = 600.0
    challenge: str = ""


class PageSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the waiting page looks.

    Attributes:
        brand: Folder with the site's own templates, style, images and texts; empty for ours alone.
            See `gateway/page/brand.py`.
    """

    brand: str = ""


class PushSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may stay connected to be told of every change; the others poll.

    Attributes:
        connections: Most streams of one process; 0 for two thirds of `[server] connections`, so that
            joins, checks and polls find room.
        connections_per_client: Most of one client address; 0 for half of
            `[server] connections_per_client`, for the same reason.
    """

    connections: Annotated[int, Meta(ge=0)] = 0
    connections_per_client: Annotated[int, Meta(ge=0)] = 0


class AdminSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The operators' interface on the admin port.

    Attributes:
        operators: Path of the file with the operators; `gateway operator add` writes it.
        hosts: Names in `Host` by which it may be reached, beside loopback and `admin_host`.
    """

    operators: FilePath = "operators.json"
    hosts: tuple[str, ...] = ()


class TracingSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """OpenTelemetry traces; they need the packages of the extra `otel`.

    Attributes:
        sample_ratio: The part of the requests that is traced; 0 for no traces at all.
        endpoint: `http://host:port` of a collector that takes OTLP over HTTP; empty for what the
            variables `OTEL_EXPORTER_OTLP_*` say, or else `http://localhost:4318`.
    """

    sample_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.0
    endpoint: str = ""


class EventSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which hosts and paths belong to an event; what changes on the night is in the ledger.

    Attributes:
        mode: `enforce`, or `observe` for the time before: everybody is let through, what would have been
            decided is counted and logged.
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    home_host: str | None = None
    mode: str = ENFORCE


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    server: ServerSettings = field(default_factory=ServerSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)
    joins: JoinSettings = field(default_factory=JoinSettings)
    push: PushSettings = field(default_factory=PushSettings)
    page: PageSettings = field(default_factory=PageSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    events: dict[str, EventSettings] = field(default_factory=dict[str, EventSettings])
    log_level: str = "info"

    def routes(self) -> RouteTable:
        return RouteTable(
            routes=tuple(route_of(name, event) for name, event in self.events.items()),
            open_hosts=frozenset(parse_host(host) for host in self.proxy.open_hosts),
        )

    def most_streams(self) -> int:
        """Return how many streams one process bears."""
        return self.push.connections or max(1, self.server.connections * 2 // 3)

    def most_streams_per_client(self) -> int:
        """Return how many streams one client address may have in one process."""
        return self.push.connections_per_client or max(1, self.server.connections_per_client // 2)

    def admin_hosts(self) -> frozenset[str]:
        """Return the names by which the operators' interface may be reached, beside loopback's."""
        named = (parse_host(host) for host in self.admin.hosts)
        return frozenset({self.server.admin_host.lower(), *named})

    def trusted_networks(self) -> tuple[Network, ...]:
        return tuple(ip_network(text) for text in self.server.trusted_proxies)

    def forward_auth_networks(self) -> tuple[Network, ...]:
        return tuple(ip_network(text) for text in self.server.forward_auth_peers)


SECTIONS: dict[str, type[Struct]] = {
    "server": ServerSettings,
    "keys": KeySettings,
    "ledger": LedgerSettings,
    "proxy": ProxySettings,
    "joins": JoinSettings,
    "push": PushSettings,
    "page": PageSettings,
    "tracing": TracingSettings,
    "admin": AdminSettings,
}


def route_of(name: str, event: EventSettings) -> EventRoute:
    """Return what the edge needs of an event.

    Raises:
        ValueError: A host or a path is not as it must be; the checks find it first.
    """
    hosts = tuple(parse_host(host) for host in event.hosts)
    return EventRoute(
        event=parse_event_id(name),
        hosts=hosts,
        prefixes=tuple(event.paths),
        open_paths=tuple(PathEntry.parse(text) for text in event.open),
        finish_paths=tuple(PathEntry.parse(text) for text in event.finish),
        origins=frozenset(event.origins),
        home_host=_home_host(event, hosts),
        observed=event.mode == OBSERVE,
    )


def _home_host(event: EventSettings, hosts: tuple[str, ...]) -> str | None:
    """An event over several hosts has one home; the first named, where the settings do not say."""
    if event.home_host is not None:
        return parse_host(event.home_host)
    return hosts[0] if len(hosts) > 1 and "*" not in hosts else None
