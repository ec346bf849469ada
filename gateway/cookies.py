"""The cookies that we set: what holds a token, and what shows that cookies work."""

from gateway.answers import RawHeader
from gateway.domain.carriers import cookie_names
from gateway.domain.positions import EventId
from gateway.domain.routes import EventRoute
from gateway.queue import Passed


def token_cookie(
    event: EventId, *, is_pass: bool, secure: bool, token: str, life_s: int
) -> RawHeader:
    """Return the Set-Cookie of a token; `Max-Age` is the token's own end (RFC 6265, section 5.2.2)."""
    name = cookie_names(event, secure=secure)[1 if is_pass else 0]
    attributes = f"; Path=/; Max-Age={max(life_s, 0)}; HttpOnly; SameSite=Lax"
    if secure:
        attributes += "; Secure"
    return b"set-cookie", name + b"=" + token.encode("ascii") + attributes.encode("ascii")


def pass_cookie(
    passed: Passed, route: EventRoute | None, *, secure: bool, life_s: int | None = None
) -> RawHeader:
    """Return the Set-Cookie of a pass.

    It lives as long as its session; where the event has `finish` paths for as long as they take the pass,
    since a browser shows no cookie whose end has come.

    Args:
        life_s: Of the session from now on; None for a pass that was signed just now.
    """
    claims = passed.claims
    if life_s is None:
        life_s = claims.expires_at - claims.issued_at
    grace_s = passed.finish_grace_s if route is not None and route.finish_paths else 0
    return token_cookie(
        claims.event,
        is_pass=True,
        secure=secure,
        token=passed.token,
        life_s=life_s + grace_s,
    )


def cleared_cookies(event: EventId, *, secure: bool) -> list[RawHeader]:
    return [
        token_cookie(event, is_pass=is_pass, secure=secure, token="", life_s=0)
        for is_pass in (False, True)
    ]


def check_cookie(event: EventId) -> str:
    """Return the name of the cookie by which the page without a script sees that cookies work."""
    return f"queue-check-{event}"
