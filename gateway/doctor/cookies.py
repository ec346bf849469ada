"""Do cookies come through, both ways, and safe? Asked without taking a place.

Two queue tokens of one name in one request are refused (400) before either is verified; a request whose
cookies were taken away is that of a stranger (401). So no token is needed that anybody would accept.
"""

import base64
import json

from gateway.doctor.chain import BROWSER, PROGRAM, Chain, Kind, fresh, kind_of, shown
from gateway.doctor.findings import Finding, fault, not_checked, ok, warning
from gateway.doctor.mending import COOKIES, SCHEME
from gateway.doctor.wire import Reply, Wire
from gateway.domain.carriers import cookie_names
from gateway.domain.claims import QUEUE_TYP
from gateway.domain.positions import EventId


async def check_inward(chain: Chain) -> list[Finding]:
    """See that the gateway is shown a visitor's cookies: at the queue's calls, and for the page."""
    if chain.event is None:
        raise AssertionError("checks of cookies come after the event is known")
    secure = chain.queue.origin.is_secure
    position = chain.queue_path("position")
    findings = [await _inward(chain.queue, position, chain.event, "cookies.queue", secure)]
    if chain.is_shown:
        why = "the page is shown to everybody, whatever comes along"
        return [*findings, not_checked("cookies.page", why)]
    return [
        *findings,
        await _inward(
            chain.wire, chain.target, chain.event, "cookies.page", chain.wire.origin.is_secure
        ),
    ]


async def _inward(wire: Wire, target: str, event: EventId, check: str, secure: bool) -> Finding:
    # Fresh each time: a cache in front is another check's.
    stranger = await wire.ask(fresh(target), PROGRAM)
    marked = await wire.ask(fresh(target), [*PROGRAM, two_tokens(event, secure=secure)])
    if _is_noticed(stranger, marked):
        return ok(check, f"GET {target}: the gateway is shown the visitor's cookies")
    seen = f"GET {target}: {shown(stranger)} without cookies and {shown(marked)} with"
    other = await wire.ask(fresh(target), [*PROGRAM, two_tokens(event, secure=not secure)])
    if _is_noticed(stranger, other):
        means = (
            "the gateway believes that visitors come without TLS: its cookies have the wrong names"
            if secure
            else "the gateway believes that visitors come over TLS: browsers refuse its cookies here"
        )
        return fault(check, seen, means, SCHEME)
    means = "the gateway never sees a visitor's place: whoever has one is a stranger"
    return fault(check, seen, means, COOKIES)


def _is_noticed(stranger: Reply, marked: Reply) -> bool:
    # A proxy that asks by nginx's means has 403 for what the gateway calls 400.
    return marked.status in (400, 403) and marked.status != stranger.status


def two_tokens(event: EventId, *, secure: bool) -> tuple[str, str]:
    """Return a Cookie field with two queue tokens, neither of which anybody has signed."""
    head = base64.urlsafe_b64encode(json.dumps({"typ": QUEUE_TYP}).encode()).decode().rstrip("=")
    name = cookie_names(event, secure=secure)[0].decode()
    return "Cookie", "; ".join(f"{name}={head}.doctor{number}.x" for number in (1, 2))


async def check_outward(chain: Chain) -> list[Finding]:
    """See that a cookie is set, and is Secure: the page without a script sets one to try cookies with."""
    check = "cookies.set"
    path = chain.queue_path("room/plain")
    reply = await chain.queue.ask(path, BROWSER)
    cookies = [
        value
        for value in reply.all("set-cookie")
        if value.startswith(f"queue-check-{chain.event}=")
    ]
    if not cookies:
        if kind_of(reply) is not Kind.SHOWN or b'name="check"' not in reply.body:
            return [not_checked(check, f"GET {path}: {shown(reply)}, no form that needs a cookie")]
        means = "cookies are taken out of the gateway's answers: nobody can hold a place"
        return [fault(check, f"GET {path}: no Set-Cookie", means, COOKIES)]
    attributes = {part.strip().lower() for part in cookies[0].split(";")[1:]}
    if chain.queue.origin.is_secure and "secure" not in attributes:
        means = "the gateway believes that visitors come without TLS"
        return [fault(check, f"Set-Cookie: {cookies[0]}", means, SCHEME)]
    wrong = [name for name in ("httponly", "samesite=lax") if name not in attributes]
    if wrong or f"path=/queue/{chain.event}/" not in attributes:
        means = "something in front rewrites the gateway's cookies"
        return [warning(check, f"Set-Cookie: {cookies[0]}", means, COOKIES)]
    return [ok(check, f"Set-Cookie arrives as it was sent: {cookies[0].partition('=')[0]}")]
