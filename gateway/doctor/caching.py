"""Is a refusal kept for somebody else, or the pointer for too long?"""

import asyncio

from gateway.doctor.chain import BROWSER, PROGRAM, Chain, Kind, fresh, kind_of, shown
from gateway.doctor.cookies import two_tokens
from gateway.doctor.findings import Finding, fault, not_checked, ok, warning
from gateway.doctor.mending import NO_CACHE, POINTER_CACHE
from gateway.doctor.wire import Reply

# A pointer this old makes visitors wait who could go on; the document itself allows one second.
OLDEST_POINTER_S = 5

_HIT_FIELDS = ("x-cache", "x-cache-status", "cf-cache-status", "x-proxy-cache", "x-varnish-cache")


async def check_refusals(chain: Chain) -> list[Finding]:
    """Ask for the page in several ways and in both orders: whatever is kept shows as a wrong answer."""
    check = "cache.refusals"
    if chain.is_shown:
        return [not_checked(check, "the page is shown, so nothing is refused")]
    marked = two_tokens(chain.event, secure=chain.wire.origin.is_secure) if chain.event else ()
    ways = [BROWSER, PROGRAM, (*PROGRAM, marked) if marked else PROGRAM]
    one, other = fresh(chain.target), fresh(chain.target)
    forth = [await chain.wire.ask(one, way) for way in ways]
    back = [await chain.wire.ask(other, way) for way in reversed(ways)][::-1]
    replies = [*forth, *back]
    kept = [reply for reply in replies if _is_kept(reply)]
    if kept or [_sort(reply) for reply in forth] != [_sort(reply) for reply in back]:
        how = (
            f"an answer with {_evidence(kept[0])}"
            if kept
            else "who asks later is answered as who asked first: "
            + "; ".join(
                ", ".join(shown(reply)[:60] for reply in row) for row in (forth, back[::-1])
            )
        )
        means = "a refusal is kept and shown to others, also to those whose turn has come"
        return [fault(check, how, means, NO_CACHE)]
    careless = [reply for reply in replies if "no-store" not in reply.field("cache-control")]
    if careless:
        seen = f"{shown(careless[0])} says Cache-Control: {careless[0].field('cache-control') or 'nothing'}"
        means = "a refusal must say no-store; caches farther out, and browsers, may keep this one"
        return [warning(check, seen, means, NO_CACHE)]
    return [ok(check, "no-store, and answered anew for each who asks")]


async def check_position(chain: Chain) -> list[Finding]:
    """See that what is a visitor's own is kept nowhere."""
    check = "cache.position"
    path = chain.queue_path("position")
    replies = [await chain.queue.ask(path, PROGRAM) for _ in range(2)]
    for reply in replies:
        if _is_kept(reply) or "no-store" not in reply.field("cache-control"):
            seen = f"GET {path}: Cache-Control: {reply.field('cache-control') or 'nothing'}"
            seen += f", {_evidence(reply)}" if _is_kept(reply) else ""
            return [fault(check, seen, "one visitor is shown the place of another", NO_CACHE)]
    return [ok(check, f"GET {path}: no-store")]


async def check_pointer_cache(chain: Chain) -> list[Finding]:
    """See that the pointer document may be kept for a second, and no longer is."""
    check = "cache.pointer"
    path = chain.queue_path()
    first = await chain.queue.ask(path)
    await asyncio.sleep(0.2)
    second = await chain.queue.ask(path)
    age_s = max(_age_s(first), _age_s(second))
    said = second.field("cache-control").lower().replace(" ", "")
    seen = f"Cache-Control: {second.field('cache-control') or 'nothing'}"
    if age_s > OLDEST_POINTER_S:
        means = "who waits is shown an old pointer, and comes late"
        return [fault(check, f"{seen}, Age: {age_s}", means, POINTER_CACHE)]
    if "max-age=1" not in said.split(",") or not second.field("etag"):
        means = "the pointer is shown too old, or every poll of a large crowd comes to the gateway"
        seen += "" if second.field("etag") else ", no ETag"
        return [warning(check, seen, means, POINTER_CACHE)]
    known = await chain.queue.ask(path, [("If-None-Match", second.field("etag"))])
    kept = next((reply for reply in (second, known) if _is_kept(reply)), None)
    where = "nobody in front keeps it" if kept is None else f"kept in front ({_evidence(kept)})"
    spared = "" if known.status == 304 else "; it has changed meanwhile, or 304 is not passed on"
    return [ok(check, f"{seen}, an ETag; {where}{spared}")]


def _sort(reply: Reply) -> tuple[Kind, int]:
    return kind_of(reply), reply.status


def _is_kept(reply: Reply) -> bool:
    return _age_s(reply) > 0 or any("hit" in reply.field(name).lower() for name in _HIT_FIELDS)


def _age_s(reply: Reply) -> int:
    age = reply.field("age")
    return int(age) if age.isascii() and age.isdigit() else 0


def _evidence(reply: Reply) -> str:
    names = ("age", *_HIT_FIELDS)
    return ", ".join(f"{name}: {reply.field(name)}" for name in names if reply.field(name))
