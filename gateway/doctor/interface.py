"""Does `/queue/…` reach a gateway, for which event, and how does that stand?"""

import json
from typing import Any, cast

from gateway.doctor.chain import BROWSER, Chain, shown
from gateway.doctor.findings import Finding, Mending, fault, not_checked, ok, warning
from gateway.doctor.mending import LEDGER_STATE, QUEUE_ROUTE
from gateway.doctor.wire import Reply

_JWKS = "/.well-known/jwks.json"


def document_of(reply: Reply) -> dict[str, Any] | None:
    """Return an answer's JSON object, or None."""
    try:
        value = json.loads(reply.body)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


async def check_pointer(chain: Chain) -> list[Finding]:
    """Ask for the pointer document."""
    check = "queue.reached"
    path = chain.queue_path()
    reply = await chain.queue.ask(path)
    document = document_of(reply)
    if reply.status == 200 and document is not None and document.get("event") == chain.event:
        seen = (
            f"GET {path}: event {chain.event}, {document.get('state')}, generation "
            f"{document.get('generation')}, served up to {document.get('served_up_to')} of "
            f"{document.get('issued')}"
        )
        return [ok(check, seen), _state(str(document.get("state")))]
    seen = f"GET {path}: {shown(reply)}"
    if reply.field("content-type").startswith("application/problem+json"):
        if reply.status == 404:
            return [
                fault(
                    check,
                    seen,
                    "a gateway answers, and its ledger has no such event",
                    Mending(f"gateway event create {chain.event} --open"),
                )
            ]
        if reply.status == 503:
            return [
                fault(check, seen, "a gateway answers, and has not read the event", LEDGER_STATE)
            ]
    means = "nobody can join, wait or claim: it is not the gateway that answers there"
    return [fault(check, seen, means, QUEUE_ROUTE)]


def _state(state: str) -> Finding:
    check = "queue.state"
    match state:
        case "open" | "scheduled" | "paused":
            return ok(check, state)
        case "bypass":
            advice = Mending("gateway event open EVENT, or wait for its end")
            return warning(check, state, "everybody is let through for a while", advice)
        case "suspended":
            return fault(check, state, "its state is lost or being brought back", LEDGER_STATE)
        case _:
            advice = Mending("gateway event open EVENT")
            return warning(check, state, "nobody can join", advice)


async def check_room(chain: Chain) -> list[Finding]:
    """Ask for the waiting page, and for what it loads."""
    check = "queue.page"
    path = chain.queue_path("room")
    reply = await chain.queue.ask(path, BROWSER)
    text = reply.body.decode("utf-8", "replace")
    if reply.status != 200 or f"/queue/{chain.event}/" not in text:
        means = "who waits sees no waiting page"
        return [fault(check, f"GET {path}: {shown(reply)}", means, QUEUE_ROUTE)]
    broken: list[str] = []
    for loaded in _loaded(text, f"/queue/{chain.event}/")[:4]:
        part = await chain.queue.ask(loaded)
        if part.status != 200:
            broken.append(f"{loaded}: {shown(part)}")
    if broken:
        means = "the waiting page does not find its style or its script"
        return [fault(check, "; ".join(broken), means, QUEUE_ROUTE)]
    return [ok(check, f"GET {path}: the waiting page, and what it loads")]


def _loaded(text: str, base: str) -> list[str]:
    """Return the addresses of the scripts and the style that a page names."""
    pieces = [piece.partition('"')[0] for piece in text.split('"' + base)[1:]]
    return sorted({base + piece for piece in pieces if piece.endswith((".js", ".css"))})


async def check_jwks(chain: Chain) -> list[Finding]:
    """Ask for the public keys: edges and apps that check tokens themselves may need them."""
    check = "queue.keys"
    reply = await chain.queue.ask(_JWKS)
    document = document_of(reply)
    keys = None if document is None else document.get("keys")
    if reply.status != 200 or not isinstance(keys, list):
        return [
            not_checked(
                check,
                f"GET {_JWKS}: {shown(reply)}; that does no harm while nobody takes keys from there",
                f"let {_JWKS} reach the gateway where apps or edges check tokens themselves",
            )
        ]
    count = len(cast("list[object]", keys))
    if not count:
        advice = Mending("gateway keys new")
        return [fault(check, "an empty set of keys", "no token can be checked", advice)]
    return [ok(check, f"GET {_JWKS}: {count} public key{'s' * (count != 1)}")]
