"""Is the page protected, under whatever name it is asked for, and whatever is said of the request?"""

import asyncio
import secrets
from collections.abc import Sequence

from gateway.doctor.chain import (
    BROWSER,
    PROGRAM,
    Chain,
    Kind,
    kind_of,
    location_origin,
    room_of,
    shown,
)
from gateway.doctor.connection import WireError
from gateway.doctor.findings import Finding, Mending, fault, not_checked, ok, warning
from gateway.doctor.mending import (
    AUTH_FIELDS,
    DEFAULT_HOST,
    GATEWAY_UP,
    HOST,
    PROTECT,
    QUEUE_FIELDS,
    SCHEME,
)
from gateway.doctor.spellings import Spelling, forged, other_forms, spellings_of
from gateway.doctor.wire import Reply

_AT_MOST_NAMED = 8


async def check_page(chain: Chain) -> list[Finding]:
    """Ask for the page as a browser and as a program; learn whose queue it has.

    Raises:
        WireError: The site does not answer at all.
    """
    browser = await chain.wire.ask(chain.target, BROWSER)
    program = await chain.wire.ask(chain.target, PROGRAM)
    chain.event = chain.event or room_of(browser) or room_of(program)
    return [_protected(chain, browser, program), *_way_to_the_room(chain, browser)]


def _protected(chain: Chain, browser: Reply, program: Reply) -> Finding:
    check = "page.protected"
    seen = (
        f"GET {chain.target} without a place: {shown(browser)} for a browser, "
        f"{shown(program)} for a program"
    )
    kinds = {kind_of(browser), kind_of(program)}
    if Kind.SHOWN in kinds:
        chain.is_shown = True
        return fault(check, seen, "the page is shown to who has no place: nobody waits", PROTECT)
    if browser.status == 421:
        return fault(
            check,
            seen,
            "the gateway does not know this host",
            Mending(
                f'Name it in the settings: [events.NAME] hosts = ["{chain.wire.origin.host}"].'
            ),
        )
    if Kind.BROKEN in kinds:
        return fault(check, seen, "nobody gets in, and nobody can wait", GATEWAY_UP)
    if Kind.ELSEWHERE in kinds:
        advice = Mending("Give the doctor the address that it leads to.")
        return fault(check, seen, "this is no answer of the queue's; it was not followed", advice)
    if Kind.MISSING in kinds:
        advice = Mending("Give the doctor the URL of a page that exists and needs a pass.")
        return fault(check, seen, "somebody else than the gateway has answered", advice)
    return ok(check, seen)


def _way_to_the_room(chain: Chain, browser: Reply) -> list[Finding]:
    """Judge the redirect to the waiting page, and find out where the queue lives."""
    check = "page.redirect"
    if kind_of(browser) is not Kind.ROOM:
        if kind_of(browser) is Kind.TURNED_BACK:
            means = "a visitor sees an error in place of the waiting page"
            advice = Mending(
                "Send browsers to what the gateway names: its Location, or Queue-Location behind nginx.",
                {"nginx": "error_page 401 403 = @wait;   # and there: return 303 $queue_location;"},
            )
            return [warning(check, shown(browser), means, advice)]
        return []
    asked = chain.wire.origin
    origin = location_origin(browser, asked)
    if origin is None or (origin.host == asked.host and origin == asked):
        return [ok(check, shown(browser))]
    if asked.is_secure and not origin.is_secure:
        means = "the gateway believes that visitors come without TLS: cookies are not Secure"
        return [fault(check, shown(browser), means, SCHEME)]
    if origin.host == asked.host:
        means = "visitors are sent to another port than the one they came by"
        return [fault(check, shown(browser), means, HOST)]
    chain.queue = chain.wire.towards(origin)
    return [ok(check, f"{shown(browser)}: the event's home is another host, which is asked too")]


async def check_spellings(chain: Chain) -> list[Finding]:
    """Ask for the page in odd spellings."""
    check = "page.spellings"
    if chain.is_shown:
        return [not_checked(check, "the page itself is shown to everybody")]
    return [await _judge(chain, check, spellings_of(chain.target), PROTECT)]


async def check_forms(chain: Chain) -> list[Finding]:
    """Ask for the page by other hosts, and in other forms of a request."""
    check = "page.hosts"
    if chain.is_shown:
        return [not_checked(check, "the page itself is shown to everybody")]
    forms = other_forms(chain.wire.origin, chain.target)
    return [await _judge(chain, check, forms, DEFAULT_HOST)]


async def check_forged(chain: Chain, open_path: str | None) -> list[Finding]:
    """Ask for the page with fields that only a proxy or the gateway may set.

    Args:
        open_path: One that needs no pass, to be claimed as what is asked for.
    """
    check = "page.forged"
    if chain.is_shown:
        return [not_checked(check, "the page itself is shown to everybody")]
    wishes = forged(chain.event or "sale", chain.target, open_path or "/doctor.css")
    return [await _judge(chain, check, wishes, AUTH_FIELDS)]


async def check_echo(chain: Chain, echo: str | None) -> list[Finding]:
    """See at a page that repeats the fields of its request whether a client's Queue-* reach the backend."""
    check = "page.queue-fields"
    if echo is None:
        return [
            not_checked(
                check,
                "whether a visitor's own Queue-* fields reach the backend",
                "name a path of the site that answers with the fields of its request: --echo /headers",
            )
        ]
    mark = f"doctor-{secrets.token_hex(6)}"
    names = ("Queue-Position", "Queue-Event", "Queue-Visitor", "Queue_Position", "X-Doctor")
    reply = await chain.wire.ask(echo, [(name, f"{mark}-{name}") for name in names])
    text = reply.body.decode("latin-1")
    if f"{mark}-X-Doctor" not in text:
        return [
            not_checked(
                check,
                f"GET {echo}: {shown(reply)}, and none of the fields that were sent in it",
                "name a path that needs no pass and repeats the fields of its request",
            )
        ]
    passed = [name for name in names[:-1] if f"{mark}-{name}" in text]
    if passed:
        means = "a visitor can say to the booking site who they are and which place they have"
        return [
            fault(check, f"these of a visitor arrive: {', '.join(passed)}", means, QUEUE_FIELDS)
        ]
    return [ok(check, f"GET {echo}: no Queue-* field of a visitor arrives")]


async def _judge(
    chain: Chain, check: str, spellings: Sequence[Spelling], mending: Mending
) -> Finding:
    replies = await asyncio.gather(*(_ask(chain, spelling) for spelling in spellings))
    got_past: list[str] = []
    odd: list[str] = []
    for spelling, reply in zip(spellings, replies, strict=True):
        if reply is None:
            continue
        said = f"{spelling.note} ({spelling.target[:80]}): {shown(reply)}"
        kind = kind_of(reply)
        if kind is Kind.SHOWN or _is_misled(reply):
            got_past.append(said)
        elif kind in (Kind.MISSING, Kind.BROKEN) or (
            kind is Kind.ELSEWHERE and not _is_tidied(reply, chain.target)
        ):
            odd.append(said)
    if got_past:
        means = "whoever asks so is let past the queue"
        return fault(check, _listed(got_past), means, mending)
    if odd and check != "page.hosts":
        means = (
            "neither the page nor a refusal of the gateway: where the booking site has answered, it was "
            "reached without a pass"
        )
        return warning(check, _listed(odd), means, mending)
    return ok(check, f"{len(spellings)} ways to ask, none was shown the page")


async def _ask(chain: Chain, spelling: Spelling) -> Reply | None:
    """Ask; None where the connection was closed without a word, or with one that is no HTTP."""
    try:
        return await chain.wire.ask(
            spelling.target,
            [*PROGRAM, *spelling.fields],
            hosts=spelling.hosts,
            version=spelling.version,
        )
    except WireError as exc:
        if exc.kind in ("closed", "not-http", "timeout"):
            return None
        raise


def _is_misled(reply: Reply) -> bool:
    """Whether a visitor is sent to a host that the request has made up."""
    return "doctor.invalid" in reply.field("location").partition("?")[0]


def _is_tidied(reply: Reply, target: str) -> bool:
    """Whether a server in front leads to the right spelling, where the page is protected."""
    location = reply.field("location").partition("?")[0].rstrip("/")
    return location.lower().endswith(target.partition("?")[0].rstrip("/").lower())


def _listed(items: Sequence[str]) -> str:
    more = f"; and {len(items) - _AT_MOST_NAMED} more" if len(items) > _AT_MOST_NAMED else ""
    return "; ".join(items[:_AT_MOST_NAMED]) + more
