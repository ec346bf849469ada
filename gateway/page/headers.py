"""What the pages' answers say about themselves."""

from gateway.addresses import port_of
from gateway.answers import RawHeader
from gateway.calls import Call
from gateway.hardening import hardened

HTML: RawHeader = (b"content-type", b"text/html; charset=utf-8")

_WITH_SCRIPTS = ("script-src 'self'", "connect-src 'self'", "media-src 'self'")


def security_headers(call: Call, *, scripts: bool) -> tuple[RawHeader, ...]:
    """Return the fields that keep a page to what it needs."""
    if scripts:
        return hardened(form_action="'self'", more=_WITH_SCRIPTS)
    # Browsers check also where a form's answer redirects to: another host of the event, say. The page
    # with a script posts no form, and is the same for everyone: nothing of the request is in it.
    return hardened(form_action=" ".join(["'self'", *_other_origins(call)]))


def _other_origins(call: Call) -> list[str]:
    port = port_of(call.authority)
    return [f"{call.scheme}://{host}{port}" for host in call.hosts if host not in ("*", call.host)]
