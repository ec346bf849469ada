"""What a section's bounds do not say: settings that contradict each other, or name what cannot be."""

import re
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from gateway.domain.routes import EventRoute, PathEntry, canonical_path, find_clashes, parse_host
from gateway.ledger.urls import parse_ledger_url
from gateway.settings.sections import (
    ENFORCE,
    OBSERVE,
    OWN_PATHS,
    AdminSettings,
    EventSettings,
    Settings,
    TracingSettings,
    route_of,
)

_HEALTH_PATH = re.compile(r"/[!-\"$-~]*")


def find_mistakes(settings: Settings) -> list[str]:
    """Return every mistake, each with the setting that it is in."""
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
            routes.append(route_of(name, event))
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
