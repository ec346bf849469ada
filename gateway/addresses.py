"""Where things are: the paths of the waiting page, the home of an event, and the way back to the site."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from gateway.domain.positions import EventId
from gateway.domain.return_to import ReturnTo
from gateway.domain.routes import EventRoute
from gateway.domain.targets import canonical_host

ROOM = "room"
PLAIN_ROOM = "room/plain"


def room_path(
    event: EventId,
    return_to: ReturnTo | None,
    scheme: str = "http",
    *,
    page: str = ROOM,
    more: Mapping[str, str] | None = None,
) -> str:
    """Return the path of the waiting page, or another `page`, from where the visitor goes on.

    Args:
        more: Further fields of the query.
    """
    fields = [] if return_to is None else [("return_to", absolute(return_to, scheme))]
    query = urlencode([*fields, *(more or {}).items()], safe="/", quote_via=quote)
    return f"/queue/{event}/{page}" + (f"?{query}" if query else "")


def absolute(wanted: ReturnTo, scheme: str) -> str:
    """Return a destination as an address that leads there from this host."""
    if wanted.authority is None:
        return wanted.target
    return f"{scheme}://{wanted.authority}{wanted.target}"


def home_authority(route: EventRoute | None, authority: str) -> str | None:
    """Return where an event's `/queue/…` lives, or None when it is right here.

    The home host is reached at the port at which the visitor reached this one.
    """
    if route is None or route.home_host is None:
        return None
    host = canonical_host([authority.encode()])
    if host == route.home_host:
        return None
    return route.home_host + port_of(authority)


def port_of(authority: str) -> str:
    """Return the port with its colon, or nothing where none is named."""
    return authority[len(canonical_host([authority.encode()])) :].lstrip(".")
