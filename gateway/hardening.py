"""What keeps a page of ours to what it needs, and other sites away from it (CSP level 3)."""

from collections.abc import Iterable

from gateway.answers import RawHeader

_HARDENING: tuple[RawHeader, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    # A page of ours needs none of these. Notifications are no such policy.
    (
        b"permissions-policy",
        b"camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
    ),
)


def hardened(*, form_action: str, more: Iterable[str] = ()) -> tuple[RawHeader, ...]:
    """Return the fields of a page that may load its own styles and images, and be framed by nobody.

    Args:
        form_action: Where its forms may lead.
        more: Further directives, such as `script-src 'self'`.
    """
    policy = [
        "default-src 'none'",
        *more,
        "style-src 'self'",
        "img-src 'self'",
        f"form-action {form_action}",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    return (b"content-security-policy", "; ".join(policy).encode()), *_HARDENING
