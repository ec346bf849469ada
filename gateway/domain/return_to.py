"""Where a visitor goes after the queue: a place on the same site, or nowhere else."""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.domain.targets import NotCanonical, canonical_host, canonical_target

LONGEST_RETURN = 2048


@dataclass(frozen=True, slots=True)
class ReturnTo:
    """A safe destination.

    Attributes:
        authority: `host[:port]` of another host of the event; None for the present one.
        target: Path and query, canonical, starting with one `/`.
    """

    target: str
    authority: str | None = None


def parse_return_to(text: str, hosts: Collection[str]) -> ReturnTo | None:
    """Accept a path on this host, or an http(s) URL on one of the event's hosts.

    Returns:
        The destination, or None for whatever could lead off the site: the caller has a default.
    """
    if not text or len(text) > LONGEST_RETURN or not text.isascii():
        return None
    if text.startswith("/"):
        target = _canonical(text)
        return None if target is None else ReturnTo(target)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("http", "https"):
        return None
    authority, slash, path = rest.partition("/")
    try:
        host = canonical_host([authority.encode()])
    except NotCanonical:
        return None
    # A second reading of the same text must see the same host.
    if host not in hosts or urlsplit(text).netloc != authority:
        return None
    target = _canonical(slash + path or "/")
    return None if target is None else ReturnTo(target, authority.lower())


def _canonical(text: str) -> str | None:
    path, question, query = text.partition("?")
    try:
        target = canonical_target(path.encode(), query.encode())
    except NotCanonical:
        return None
    return target.path + question + target.query
