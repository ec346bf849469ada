"""Which hosts and paths belong to which event: protect by default, open by exact list."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.domain.positions import EventId
from gateway.domain.targets import NotCanonical, Target, canonical_host, canonical_target, path_key

ANY_METHOD = "*"
_METHODS = re.compile(r"\*|[A-Z][A-Z-]*(?:,[A-Z][A-Z-]*)*")


@dataclass(frozen=True, slots=True)
class PathEntry:
    """Methods plus an exact path, or a folder ending in `/`; never a suffix, query or pattern.

    `/` alone is the front page, exactly: as a folder it would be the whole site.
    """

    methods: frozenset[str]
    path_key: str

    @classmethod
    def parse(cls, text: str) -> "PathEntry":
        """Read `"/healthz"`, `"/assets/"` or `"POST,PUT /webhooks/payment"`.

        Raises:
            ValueError: It is not methods, one space, and a canonical path.
        """
        methods, space, path = text.rpartition(" ")
        if not space:
            methods = ANY_METHOD
        if _METHODS.fullmatch(methods) is None:
            raise ValueError(f"{text!r}: methods are written in capitals, as in 'GET,HEAD /path'")
        return cls(frozenset(methods.split(",")), canonical_path(path))

    def covers(self, method: str, target: Target) -> bool:
        if ANY_METHOD not in self.methods and method not in self.methods:
            return False
        if self.is_folder:
            return target.key.startswith(self.path_key)
        return target.key == self.path_key

    @property
    def is_folder(self) -> bool:
        return self.path_key.endswith("/") and self.path_key != "/"


def canonical_path(path: str) -> str:
    """Return the key of a path written in the settings.

    Raises:
        ValueError: The path is not canonical.
    """
    try:
        return canonical_target(path.encode()).key
    except NotCanonical as exc:
        raise ValueError(f"{path!r}: {exc.why}") from exc


@dataclass(frozen=True, slots=True)
class EventRoute:
    """What the settings say of one event.

    Attributes:
        hosts: Host names that the event covers.
        prefixes: Whole-segment path prefixes; empty for every path of its hosts.
        open_paths: What needs no pass.
        finish_paths: What still admits a pass for a grace period after its end.
        origins: Origins that may join from another site and read refusals (CORS).
        home_host: Where the event's `/queue/…` lives when it covers several hosts.
        observed: Whether everybody is let through and what would have been decided is counted only.
    """

    event: EventId
    hosts: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    open_paths: tuple[PathEntry, ...] = ()
    finish_paths: tuple[PathEntry, ...] = ()
    origins: frozenset[str] = frozenset()
    home_host: str | None = None
    observed: bool = False

    def is_open(self, method: str, target: Target) -> bool:
        return any(entry.covers(method, target) for entry in self.open_paths)

    def is_finish(self, method: str, target: Target) -> bool:
        return any(entry.covers(method, target) for entry in self.finish_paths)


@dataclass(frozen=True, slots=True)
class Protected:
    """The request needs a pass of one of these events; the first is where a stranger is sent."""

    events: tuple[EventRoute, ...]


@dataclass(frozen=True, slots=True)
class OpenPath:
    """The settings list this path as open."""

    event: EventRoute


@dataclass(frozen=True, slots=True)
class Undesignated:
    """The operator lists this host as one that does not queue."""


@dataclass(frozen=True, slots=True)
class UnknownHost:
    """Nobody named this host: a made-up `Host` must not be a way around the gate."""


Designation: TypeAlias = Protected | OpenPath | Undesignated | UnknownHost


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Every event's hosts and paths, compiled once from the settings.

    Attributes:
        open_hosts: Hosts that pass untouched; `*` for every host that no event names.
    """

    routes: tuple[EventRoute, ...]
    open_hosts: frozenset[str] = frozenset()
    _by_host: Mapping[str, tuple[tuple[str, EventRoute], ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_host: dict[str, list[tuple[str, EventRoute]]] = {}
        for route in self.routes:
            for host in route.hosts:
                for prefix in route.prefixes or ("/",):
                    by_host.setdefault(host, []).append((path_key(prefix), route))
        ordered = {
            host: tuple(sorted(entries, key=lambda entry: -len(entry[0])))
            for host, entries in by_host.items()
        }
        object.__setattr__(self, "_by_host", ordered)

    def find(self, event: EventId) -> EventRoute | None:
        return next((route for route in self.routes if route.event == event), None)

    def observing(self, host: str) -> EventRoute | None:
        """Return an event that observes this host; None where any event protects something there."""
        entries = self._by_host.get(host) or self._by_host.get("*") or ()
        if not entries or not all(route.observed for _, route in entries):
            return None
        return entries[0][1]

    def names_host(self, host: str) -> bool:
        return host in self._by_host or "*" in self._by_host

    def designate(self, host: str, method: str, target: Target) -> Designation:
        entries = self._by_host.get(host) or self._by_host.get("*")
        if entries is None:
            if host in self.open_hosts or "*" in self.open_hosts:
                return Undesignated()
            return UnknownHost()
        # The longest prefix wins; entries are ordered by length.
        for prefix, route in entries:
            if _has_prefix(target.key, prefix):
                if route.is_open(method, target):
                    return OpenPath(route)
                return Protected((route,))
        # On a named host, what no prefix covers is protected by every event there.
        for _, route in entries:
            if route.is_open(method, target):
                return OpenPath(route)
        return Protected(tuple(dict.fromkeys(route for _, route in entries)))


def _has_prefix(key: str, prefix: str) -> bool:
    """Compare whole segments: `/book` covers `/book` and `/book/1`, never `/bookshop`."""
    stem = prefix.rstrip("/")
    return key == stem or key.startswith(stem + "/")


def find_clashes(routes: Iterable[EventRoute]) -> list[str]:
    """Name every host and prefix that two events claim, and every open folder that holds a prefix.

    The settings must have none: inside an open folder, a protected path would be open under any
    spelling of it that the backend understands and we do not.
    """
    routes = tuple(routes)
    owners: dict[tuple[str, str], EventId] = {}
    clashes: list[str] = []
    for route in routes:
        for host in route.hosts:
            for prefix in route.prefixes or ("/",):
                key = (host, path_key(prefix).rstrip("/"))
                owner = owners.setdefault(key, route.event)
                if owner != route.event:
                    clashes.append(
                        f"events {owner!r} and {route.event!r} both claim {prefix!r} on {host!r}"
                    )
    for route in routes:
        for entry in route.open_paths:
            for other in routes:
                if entry.is_folder and not set(route.hosts).isdisjoint(other.hosts):
                    clashes += [
                        f"event {route.event!r} opens {entry.path_key!r}, "
                        f"which holds {prefix!r} of event {other.event!r}"
                        for prefix in other.prefixes or ("/",)
                        if f"{path_key(prefix).rstrip('/')}/".startswith(entry.path_key)
                    ]
    return clashes


def parse_host(text: str) -> str:
    """Return a host of the settings as requests are compared with it; `*` stands for every host.

    Raises:
        ValueError: It is not a host name.
    """
    if text == "*":
        return text
    try:
        return canonical_host([text.encode()])
    except NotCanonical as exc:
        raise ValueError(f"{text!r}: {exc.why}") from exc
