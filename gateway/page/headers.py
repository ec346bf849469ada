"""What the pages' answers say about themselves: security, caching, cookies."""

from gateway.answers import Answer, RawHeader
from gateway.calls import Call, port_of
from gateway.page.preferences import accepts_gzip

HTML: RawHeader = (b"content-type", b"text/html; charset=utf-8")

_HARDENING: tuple[RawHeader, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    # A page that waits needs none of these. Notifications are no such policy.
    (
        b"permissions-policy",
        b"camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
    ),
)

# Of an answer that has not changed, only what a cache must update is repeated (RFC 9110, section 15.4.5).
_OF_UNCHANGED = frozenset({b"etag", b"cache-control", b"vary"})


def security_headers(call: Call, *, scripts: bool) -> tuple[RawHeader, ...]:
    """Return the fields that keep a page to what it needs (CSP level 3)."""
    policy = [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        # Browsers check also where a form's answer redirects to: another host of the event, say. The page
        # with a script posts no form, and is the same for everyone: nothing of the request is in it.
        " ".join(["form-action 'self'", *([] if scripts else _other_origins(call))]),
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    if scripts:
        policy[1:1] = ["script-src 'self'", "connect-src 'self'", "media-src 'self'"]
    return (b"content-security-policy", "; ".join(policy).encode()), *_HARDENING


def _other_origins(call: Call) -> list[str]:
    port = port_of(call.authority)
    return [f"{call.scheme}://{host}{port}" for host in call.hosts if host not in ("*", call.host)]


def unchanged(answer: Answer) -> Answer:
    return Answer(304, tuple(held for held in answer.headers if held[0] in _OF_UNCHANGED))


def wants_gzip(call: Call) -> bool:
    return accepts_gzip(call.listed(b"accept-encoding"))
