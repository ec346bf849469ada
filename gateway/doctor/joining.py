"""Takes a real place, with `--join` alone: what only a visitor with a place can see."""

import secrets

from gateway.doctor.chain import PROGRAM, Chain, Kind, kind_of, shown
from gateway.doctor.findings import Finding, Mending, fault, not_checked, ok, warning
from gateway.doctor.interface import document_of
from gateway.doctor.mending import COOKIES, QUEUE_ROUTE
from gateway.doctor.wire import Reply


async def check_join(chain: Chain) -> list[Finding]:
    """Join, look the place up with the cookie, show it at the page, and leave."""
    check = "join.place"
    if not (chain.queue.trusted and chain.wire.trusted):
        return [not_checked(check, "a place is not sent over TLS that nobody has vouched for")]
    fields = [*PROGRAM, ("Idempotency-Key", secrets.token_urlsafe(24))]
    joined = await chain.queue.ask(chain.queue_path("join"), fields, method="POST")
    document = document_of(joined)
    if joined.status != 201 or document is None or "position" not in document:
        return [_refused(check, joined)]
    place = document["position"]
    cookie = _cookie_of(joined, f"queue-{chain.event}")
    if cookie is None:
        means = "a place is given, and the browser cannot keep it"
        return [fault(check, f"place {place}, without a cookie", means, COOKIES)]
    seen = f"a real place was dealt, {place}; nobody will come for it"
    held = [*PROGRAM, ("Cookie", cookie.partition(";")[0])]
    findings = [ok(check, seen), _attributes(chain, cookie)]
    again = await chain.queue.ask(chain.queue_path("position"), held)
    found = document_of(again)
    if found is None or found.get("position") != place:
        means = "who has joined is not known when they come back"
        findings.append(
            fault("join.kept", f"the place is not found: {shown(again)}", means, COOKIES)
        )
    else:
        findings.append(ok("join.kept", f"the cookie finds place {place} again"))
    # The queue may live on another host: a cookie is never sent to any but its own.
    if chain.queue is chain.wire and not chain.is_shown:
        findings.append(await _at_the_page(chain, held))
    await chain.queue.ask(chain.queue_path("leave"), held, method="POST")
    return findings


async def _at_the_page(chain: Chain, held: list[tuple[str, str]]) -> Finding:
    check = "join.page"
    reply = await chain.wire.ask(chain.target, held)
    if reply.status == 401:
        means = "the edge does not see the place that the queue has given"
        return fault(check, f"the page with a place: {shown(reply)}", means, COOKIES)
    if kind_of(reply) is Kind.SHOWN:
        return ok(check, "the page with a place: shown, the turn had come")
    return ok(check, f"the page with a place: {shown(reply)}, not a stranger's answer")


def _refused(check: str, reply: Reply) -> Finding:
    document = document_of(reply) or {}
    problem = str(document.get("type") or document.get("title") or "")
    seen = f"joining: {shown(reply)} {problem}".rstrip()
    if not reply.field("content-type").startswith("application/problem+json"):
        return fault(check, seen, "the call does not reach the gateway", QUEUE_ROUTE)
    advice = Mending("Where this is not what you want just now: gateway status EVENT")
    return warning(check, seen, "no place was given, so nothing was tried with one", advice)


def _cookie_of(reply: Reply, name: str) -> str | None:
    for value in reply.all("set-cookie"):
        if value.partition("=")[0].removeprefix("__Host-") == name:
            return value
    return None


def _attributes(chain: Chain, cookie: str) -> Finding:
    check = "join.cookie"
    name, _, rest = cookie.partition("=")
    attributes = {part.strip().lower() for part in rest.split(";")[1:]}
    wanted = {"path=/", "httponly", "samesite=lax"}
    if chain.queue.origin.is_secure:
        wanted.add("secure")
    missing = sorted(wanted - attributes)
    if chain.queue.origin.is_secure and not name.startswith("__Host-"):
        missing.append("the prefix __Host-")
    if missing:
        means = "the cookie is rewritten on its way, or the gateway does not know of TLS"
        return fault(check, f"{name} lacks {', '.join(missing)}", means, COOKIES)
    return ok(check, f"{name}: {', '.join(sorted(wanted))}")
