"""The settings: one TOML file plus environment variables, checked whole at start.

A secret is named by the path of a file, or lives in the ledger's URL, which is never printed.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast, get_args
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta, Struct, field

from gateway.domain.positions import is_event_id, parse_event_id
from gateway.domain.routes import (
    EventRoute,
    PathEntry,
    RouteTable,
    canonical_path,
    find_clashes,
    parse_host,
)
from gateway.errors import SettingsInvalid
from gateway.ledger.urls import parse_ledger_url

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
FilePath: TypeAlias = Annotated[str, Meta(min_length=1)]
Network: TypeAlias = IPv4Network | IPv6Network

ENV_PREFIX = "GATEWAY_"
CONFIG_ENV = "GATEWAY_CONFIG"
DEFAULT_FILE = "gateway.toml"

ENFORCE, OBSERVE = "enforce", "observe"

_HEALTH_PATH = re.compile(r"/[!-\"$-~]*")

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
            routes=tuple(_route(name, event) for name, event in self.events.items()),
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


def load_settings(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read, check and freeze the settings.

    Args:
        path: The TOML file. None for `GATEWAY_CONFIG`, else `gateway.toml` where there is one.
            Relative paths inside count from the file's folder.
        environ: Variables such as `GATEWAY_SERVER__PORT=9000`, which win over the file.

    Raises:
        SettingsInvalid: With every mistake named at once.
    """
    environ = os.environ if environ is None else environ
    path = _find_file(path, environ)
    data, mistakes = _read_file(path)
    _overlay(data, environ, mistakes)
    settings = _convert(data, mistakes)
    mistakes += _check(settings)
    if mistakes:
        raise SettingsInvalid(mistakes)
    return _anchor(settings, path.parent if path is not None else Path())


def _find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if environ.get(CONFIG_ENV):
        return Path(environ[CONFIG_ENV])
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def _read_file(path: Path | None) -> tuple[dict[str, Any], list[str]]:
    if path is None:
        return {}, []
    try:
        return tomllib.loads(path.read_text("utf-8")), []
    except OSError as exc:
        raise SettingsInvalid([f"{path}: cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise SettingsInvalid([f"{path}: is not UTF-8"]) from exc
    except ValueError as exc:  # TOMLDecodeError, or a number of thousands of digits
        raise SettingsInvalid([f"{path}: is not TOML: {exc}"]) from exc


def _overlay(data: dict[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> None:
    for name, text in environ.items():
        if not name.startswith(ENV_PREFIX) or name == CONFIG_ENV:
            continue
        section, double, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if not double:
            if section == "log_level":
                data["log_level"] = text
            # Other programs' variables (a shell's, a container's) may share the prefix.
            continue
        if section not in SECTIONS:
            mistakes.append(f"{name}: there is no section {section!r}")
            continue
        struct = SECTIONS[section]
        if key not in struct.__struct_fields__:
            mistakes.append(f"{name}: there is no setting {key!r} in [{section}]")
            continue
        table = data.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = _env_value(struct.__annotations__[key], text)


def _env_value(kind: Any, text: str) -> Any:
    if "tuple" in str(kind):
        return [part.strip() for part in text.split(",") if part.strip()]
    # `VARIABLE=` with nothing behind it is how a container's environment says "not set".
    return None if not text and type(None) in get_args(kind) else _EnvText(text)


class _EnvText(str):
    """Text from the environment: numbers and booleans in it are read as such."""

    __slots__ = ()


def _convert(data: dict[str, Any], mistakes: list[str]) -> Settings:
    # Field by field, so that every mistake is named and not the first alone; what is mistaken is
    # left out, so that the rest can be checked.
    built: dict[str, Any] = {}
    for name, value in data.items():
        if name in SECTIONS:
            struct = SECTIONS[name]
            built[name] = struct(**_good_fields(f"[{name}]", struct, value, mistakes))
        elif name == "events":
            built[name] = _convert_events(value, mistakes)
        elif name == "log_level":
            built[name] = value
        else:
            mistakes.append(f"[{name}]: there is no such section")
    return Settings(**built)


def _good_fields(
    where: str, struct: type[Struct], value: Any, mistakes: list[str]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        mistakes.append(f"{where}: must be a table")
        return {}
    good: dict[str, Any] = {}
    for key, item in cast("dict[str, Any]", value).items():
        if key not in struct.__struct_fields__:
            mistakes.append(f"{where} {key}: there is no such setting")
            continue
        try:
            good[key] = msgspec.convert(
                item, struct.__annotations__[key], strict=not isinstance(item, _EnvText)
            )
        except msgspec.ValidationError as exc:
            mistakes.append(f"{where} {key}: {exc}".replace(" - at `$", " at `"))
    return good


def _convert_events(value: Any, mistakes: list[str]) -> dict[str, EventSettings]:
    if not isinstance(value, dict):
        mistakes.append("[events]: must be a table of events")
        return {}
    events: dict[str, EventSettings] = {}
    for name, item in cast("dict[str, Any]", value).items():
        if not is_event_id(name):
            mistakes.append(f"[events.{name}]: a name is 1 to 63 characters of a-z, 0-9 and '-'")
            continue
        good = _good_fields(f"[events.{name}]", EventSettings, item, mistakes)
        # An event without hosts is found by its check.
        good.setdefault("hosts", ())
        events[name] = EventSettings(**good)
    return events


def _check(settings: Settings) -> list[str]:
    mistakes = [
        *_check_networks("trusted_proxies", settings.server.trusted_proxies),
        *_check_networks("forward_auth_peers", settings.server.forward_auth_peers),
        *_check_urls(settings),
        *_check_push(settings),
    ]
    for path in settings.server.pass_through:
        if path not in OWN_PATHS:
            mistakes.append(
                f"[server] pass_through: {path!r} is no path of ours; those are "
                + ", ".join(sorted(OWN_PATHS))
            )
    if settings.keys.voucher_jwks and not settings.keys.sub_secret:
        mistakes.append(
            "[keys] sub_secret: vouchers need it; name a file with at least 16 random bytes, "
            "the same on every gateway"
        )
    for name, allowed, value in (
        ("[server] scheme", ("auto", "http", "https"), settings.server.scheme),
        ("[server] http", ("httptools", "h11"), settings.server.http),
        ("log_level", ("debug", "info", "warning", "error"), settings.log_level),
    ):
        if value not in allowed:
            mistakes.append(f"{name}: {value!r} is not one of {', '.join(allowed)}")
    server = settings.server
    if server.port and server.port == server.admin_port:
        mistakes.append("[server] admin_port: must not be the port that visitors use")
    routes: list[EventRoute] = []
    for name, event in settings.events.items():
        problems = _check_event(name, event)
        mistakes += problems
        if not problems:
            routes.append(_route(name, event))
    mistakes += [f"[events]: {clash}" for clash in find_clashes(routes)]
    for host in settings.proxy.open_hosts:
        try:
            parse_host(host)
        except ValueError as exc:
            mistakes.append(f"[proxy] open_hosts: {exc}")
    return mistakes + _check_admin(settings.admin)


def _check_admin(admin: AdminSettings) -> list[str]:
    mistakes: list[str] = []
    for host in admin.hosts:
        if host == "*":
            mistakes.append("[admin] hosts: name each host; '*' would let in every rebound name")
            continue
        try:
            parse_host(host)
        except ValueError as exc:
            mistakes.append(f"[admin] hosts: {exc}")
    return mistakes


def _check_push(settings: Settings) -> list[str]:
    """Streams must leave room for joins, checks and polls."""
    return [
        f"[push] {name}: must be less than [server] {name}, which is {bound}"
        for name, streams, bound in (
            ("connections", settings.push.connections, settings.server.connections),
            (
                "connections_per_client",
                settings.push.connections_per_client,
                settings.server.connections_per_client,
            ),
        )
        if streams >= bound
    ]


def _check_networks(name: str, values: tuple[str, ...]) -> list[str]:
    mistakes: list[str] = []
    for text in values:
        try:
            ip_network(text)
        except ValueError:
            mistakes.append(f"[server] {name}: {text!r} is not an address or a network")
    return mistakes


def _check_urls(settings: Settings) -> list[str]:
    mistakes: list[str] = []
    url = settings.ledger.url
    if url:
        try:
            parse_ledger_url(url)
        except ValueError as exc:
            mistakes.append(f"[ledger] url: {exc}")
    backend = settings.proxy.backend
    if backend:
        parts = _split_url(backend)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            mistakes.append("[proxy] backend: must be http://host:port or https://host:port")
        elif parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
            mistakes.append("[proxy] backend: names a host and a port only, no path")
    mistakes += _check_tracing(settings.tracing)
    if settings.proxy.health_path and _HEALTH_PATH.fullmatch(settings.proxy.health_path) is None:
        mistakes.append("[proxy] health_path: must be a path of the backend, like /healthz")
    return mistakes


def _check_tracing(tracing: TracingSettings) -> list[str]:
    if not tracing.endpoint:
        return []
    if not tracing.sample_ratio:
        return ["[tracing] endpoint: without a sample_ratio, 0.01 say, nothing is traced"]
    parts = _split_url(tracing.endpoint)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return ["[tracing] endpoint: must be http://host:port or https://host:port"]
    if parts.username or parts.query or parts.fragment:
        return [
            "[tracing] endpoint: names a host, a port and at most a path; what authorizes us goes "
            "into OTEL_EXPORTER_OTLP_HEADERS"
        ]
    return []


def _split_url(text: str) -> SplitResult | None:
    # urllib's own message would quote the password.
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _check_event(name: str, event: EventSettings) -> list[str]:
    where = f"[events.{name}]"
    mistakes: list[str] = []
    if not event.hosts:
        mistakes.append(f"{where} hosts: name at least one host, or '*' for every host")
    for key, values, parse in (
        ("hosts", event.hosts, parse_host),
        ("paths", event.paths, canonical_path),
        ("open", event.open, PathEntry.parse),
        ("finish", event.finish, PathEntry.parse),
    ):
        for text in values:
            try:
                parse(text)
            except ValueError as exc:
                mistakes.append(f"{where} {key}: {exc}")
    for origin in event.origins:
        if not _is_origin(origin):
            mistakes.append(
                f"{where} origins: {origin!r} is not an origin like https://example.org"
            )
    if event.mode not in (ENFORCE, OBSERVE):
        mistakes.append(f"{where} mode: {event.mode!r} is not one of {ENFORCE}, {OBSERVE}")
    if event.home_host == "*":
        mistakes.append(f"{where} home_host: must be one host")
    elif event.home_host is not None and event.home_host not in event.hosts:
        mistakes.append(f"{where} home_host: {event.home_host!r} is not one of the event's hosts")
    return mistakes


def _is_origin(text: str) -> bool:
    """Whether `text` is an origin as browsers write it (RFC 6454, section 6.2)."""
    parts = _split_url(text)
    return (
        parts is not None
        and parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and parts.username is None
        and text == f"{parts.scheme}://{parts.netloc.lower()}"
    )


def _route(name: str, event: EventSettings) -> EventRoute:
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


def _anchor(settings: Settings, folder: Path) -> Settings:
    """Make the paths of the file count from its own folder."""

    def anchored(text: str | None) -> str | None:
        return None if text is None else str(folder / text)

    keys = settings.keys
    return msgspec.structs.replace(
        settings,
        keys=msgspec.structs.replace(
            keys,
            dir=anchored(keys.dir),
            jwks=anchored(keys.jwks),
            voucher_jwks=anchored(keys.voucher_jwks),
            sub_secret=anchored(keys.sub_secret),
        ),
        ledger=msgspec.structs.replace(
            settings.ledger,
            data_dir=anchored(settings.ledger.data_dir),
            floor_dir=settings.ledger.floor_dir and anchored(settings.ledger.floor_dir),
        ),
        admin=msgspec.structs.replace(
            settings.admin, operators=str(folder / settings.admin.operators)
        ),
        page=PageSettings(brand=settings.page.brand and str(folder / settings.page.brand)),
    )
