"""A plain, honest waiting page: no script, reloads itself, and says only what is known.

`GET /queue/{event}/room` shows where the visitor stands; `GET /queue/{event}/enter` takes over a
visitor who comes from another host of the event with a single-use code.
"""

import html
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from string import Template

from gateway.answers import Answer, RawHeader, redirect
from gateway.calls import Call, home_authority, room_path, token_cookie
from gateway.domain.admission import STATUS_OF, ProblemType, Refused, Visitor
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.return_to import ReturnTo
from gateway.errors import LedgerUnavailable
from gateway.queue import FULL_RETRY_S, Room, Standing

_HOME_PAGE = ReturnTo("/")
_LEDGER_RETRY_S = 5

# How long the browser waits on "it is your turn" before it goes on by itself.
_ENTER_AFTER_S = 2

# Where a refusal leaves the visitor no place, the way back in is to join again.
_JOIN_AGAIN = frozenset(
    {ProblemType.NO_TOKEN, ProblemType.WINDOW_MISSED, ProblemType.GENERATION_OVER}
)

_PLACE_IS_OVER = frozenset(
    {ProblemType.WINDOW_MISSED, ProblemType.GENERATION_OVER, ProblemType.EVENT_CLOSED}
)

_TITLES = {
    ProblemType.NO_TOKEN: "You are not in the queue yet",
    ProblemType.WINDOW_MISSED: "Your place has ended",
    ProblemType.GENERATION_OVER: "The queue was started anew",
    ProblemType.EVENT_CLOSED: "This event is closed",
    ProblemType.LEDGER_AWAY: "One moment, please",
}


@dataclass(frozen=True, slots=True)
class _View:
    """What one showing of the page says; text is escaped when it is put in."""

    title: str
    text: str
    status: int = 200
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = ""
    refresh: tuple[int, str] | None = None
    actions: str = ""


class WaitingPage:
    def __init__(self, room: Room) -> None:
        self._room = room

    async def show(self, call: Call) -> Answer:
        """Show where the visitor stands, or send on whoever has nothing to wait for."""
        wanted = call.return_to(call.query("return_to"))
        home = home_authority(call.route, call.authority)
        if home is not None:
            here = wanted or _HOME_PAGE
            back = ReturnTo(here.target, here.authority or call.authority)
            location = f"{call.scheme}://{home}{room_path(call.event, back, call.scheme)}"
            return redirect(location)
        snapshot = self._room.snapshot(call.event)
        if snapshot is not None and self._room.stands_open(snapshot):
            return redirect(_location(call, wanted or _HOME_PAGE))
        visitor = self._room.identify(call.carried(), call.event)
        standing = self._room.standing(call.event, visitor)
        if isinstance(standing, Standing) and standing.status == "admitted":
            return await self._send_on(call, wanted or _HOME_PAGE)
        message = "" if snapshot is None else snapshot.message
        state = None if snapshot is None else snapshot.state
        if isinstance(standing, Refused):
            return _render(_refused_view(call, standing, state, wanted, message))
        door = await self._ask_at_the_door(snapshot, visitor, standing)
        if door is not None and door.problem in _PLACE_IS_OVER:
            return _render(_refused_view(call, door, state, wanted, message))
        return _render(_standing_view(call, standing, state, wanted, message, door))

    async def _ask_at_the_door(
        self, snapshot: EventSnapshot | None, visitor: Visitor, standing: Standing
    ) -> Refused | None:
        """Say what keeps a visitor out whose turn has come.

        Memory does not know of windows and of sessions that ran out: without asking, the page would
        send the visitor to a door that sends them back here, over and over.
        """
        if standing.status != "your-turn" or visitor.place is None or snapshot is None:
            return None
        if snapshot.state is EventState.SUSPENDED:
            return None
        return await self._room.would_refuse(snapshot, visitor.place)

    async def enter(self, call: Call) -> Answer:
        """Take over a visitor from another host of the event."""
        if call.method == "HEAD":
            # A look ahead must not use the code up.
            return redirect(room_path(call.event, None))
        wanted = call.return_to(call.query("to")) or _HOME_PAGE
        if wanted.authority is not None:
            wanted = ReturnTo(wanted.target)
        visitor = self._room.identify(call.carried(), call.event)
        standing = self._room.standing(call.event, visitor)
        if isinstance(standing, Standing) and standing.status == "admitted":
            # Whoever is in stays in as themselves, whatever link they were sent.
            return redirect(wanted.target)
        passed = await self._room.redeem_handover(call.event, call.query("code"))
        if isinstance(passed, Refused):
            return redirect(room_path(call.event, wanted))
        cookie = token_cookie(
            call.event,
            is_pass=True,
            secure=call.secure,
            token=passed.token,
            life_s=self._room.seconds_left(passed.claims),
        )
        return redirect(wanted.target, [cookie])

    async def _send_on(self, call: Call, wanted: ReturnTo) -> Answer:
        if wanted.authority is None or wanted.authority == call.authority:
            return redirect(wanted.target)
        (held,) = call.carried().passes
        try:
            code = await self._room.issue_handover(call.event, held)
        except LedgerUnavailable:
            return _render(_away_view(call, wanted))
        # The code lives for seconds and once, so it may stand in an address (RFC 6749, section 4.1.2).
        enter = room_path(call.event, ReturnTo(wanted.target)).replace(
            "/room?return_to", "/enter?to"
        )
        return redirect(f"{call.scheme}://{wanted.authority}{enter}&code={code}")


def _location(call: Call, wanted: ReturnTo) -> str:
    if wanted.authority is None:
        return wanted.target
    return f"{call.scheme}://{wanted.authority}{wanted.target}"


def _standing_view(
    call: Call,
    standing: Standing,
    state: EventState | None,
    wanted: ReturnTo | None,
    message: str,
    door: Refused | None,
) -> _View:
    here = room_path(call.event, wanted, call.scheme)
    facts = {"Your number": f"{standing.position:,}"}
    leave = _form(call, "leave", "Leave the queue", wanted)
    if state is EventState.SUSPENDED or _is(door, ProblemType.LEDGER_AWAY):
        return _View(
            _TITLES[ProblemType.LEDGER_AWAY],
            "The queue does not answer just now. Your place is kept.",
            facts=facts,
            message=message,
            refresh=(_LEDGER_RETRY_S, here),
        )
    if _is(door, ProblemType.BACKEND_FULL):
        return _View(
            "It is your turn",
            "The site is full just now. You are let in as soon as there is room.",
            facts=facts,
            message=message,
            refresh=(FULL_RETRY_S, here),
            actions=_form(call, "claim", "Enter now", wanted) + leave,
        )
    if standing.status == "your-turn" and door is None:
        goal = wanted or _HOME_PAGE
        enter = _form(call, "claim", "Enter now", wanted)
        same_host = goal.authority is None or goal.authority == call.authority
        return _View(
            "It is your turn",
            "You are being let in.",
            facts=facts,
            message=message,
            # On this host the edge claims as the browser arrives; elsewhere the form does.
            refresh=(_ENTER_AFTER_S, goal.target) if same_host else None,
            actions=enter + leave,
        )
    if standing.ahead is not None:
        facts["People before you"] = f"{standing.ahead:,}"
    facts["Waiting time"] = _wait_text(standing)
    title, text = _WAITING_TEXTS.get(state, _WAITING_TEXTS[EventState.OPEN])
    return _View(
        title,
        text,
        facts=facts,
        message=message,
        refresh=(standing.retry_after_s or _LEDGER_RETRY_S, here),
        actions=_link(here, "Check now") + leave,
    )


_WAITING_TEXTS: dict[EventState | None, tuple[str, str]] = {
    EventState.OPEN: (
        "You are in the queue",
        "Keep this page open; it looks again by itself. Your place is kept if you close it.",
    ),
    EventState.SCHEDULED: (
        "You are in the queue",
        "The sale has not opened yet. Your number is kept until it does.",
    ),
    EventState.PAUSED: (
        "The queue is paused",
        "Nobody is let in at the moment. Your place is kept, and no time runs against you.",
    ),
    EventState.CLOSED: ("This event is closed", "No more visitors are let in."),
}


def _refused_view(
    call: Call,
    refused: Refused,
    state: EventState | None,
    wanted: ReturnTo | None,
    message: str,
) -> _View:
    if refused.problem is ProblemType.LEDGER_AWAY:
        return _away_view(call, wanted)
    if state in (EventState.CLOSED, EventState.DELETED):
        return _View(
            _TITLES[ProblemType.EVENT_CLOSED],
            "No more visitors are let in.",
            status=STATUS_OF[ProblemType.EVENT_CLOSED],
            message=message,
        )
    if state is EventState.SUSPENDED:
        return _away_view(call, wanted)
    joins = refused.problem in _JOIN_AGAIN
    text = refused.detail
    if refused.problem is ProblemType.NO_TOKEN:
        text = "Many people want to book just now. Join the queue, and you are let in in order."
    return _View(
        _TITLES.get(refused.problem, "You cannot enter"),
        text,
        message=message,
        actions=_form(call, "join", "Join the queue", wanted) if joins else "",
    )


def _away_view(call: Call, wanted: ReturnTo | None) -> _View:
    here = room_path(call.event, wanted, call.scheme)
    return _View(
        _TITLES[ProblemType.LEDGER_AWAY],
        "The queue does not answer just now. If you have a place, it is kept.",
        status=503,
        refresh=(_LEDGER_RETRY_S, here),
        actions=_link(here, "Check now"),
    )


def _is(refused: Refused | None, problem: ProblemType) -> bool:
    return refused is not None and refused.problem is problem


def _wait_text(standing: Standing) -> str:
    if standing.wait is None:
        return "not known yet"
    low, high = standing.wait.low_s // 60, -(-standing.wait.high_s // 60)
    if high <= 1:
        return "about a minute"
    return f"{max(low, 1)} to {high} minutes"


def _form(call: Call, verb: str, label: str, wanted: ReturnTo | None) -> str:
    field_html = ""
    if wanted is not None:
        value = html.escape(_location(call, wanted), quote=True)
        field_html = f'<input type="hidden" name="return_to" value="{value}">'
    return (
        f'<form method="post" action="/queue/{call.event}/{verb}">{field_html}'
        f'<button type="submit">{html.escape(label)}</button></form>'
    )


def _link(target: str, label: str) -> str:
    return f'<p><a href="{html.escape(target, quote=True)}">{html.escape(label)}</a></p>'


def _render(view: _View) -> Answer:
    nonce = secrets.token_urlsafe(16)
    facts = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in view.facts.items()
    )
    refresh = ""
    headers: list[RawHeader] = []
    if view.refresh is not None:
        after_s, target = view.refresh
        content = html.escape(f"{after_s};url={target}", quote=True)
        refresh = f'<meta http-equiv="refresh" content="{content}">'
        headers.append((b"retry-after", str(after_s).encode()))
    body = _template().substitute(
        nonce=nonce,
        title=html.escape(view.title),
        text=html.escape(view.text),
        message=f'<p class="note">{html.escape(view.message)}</p>' if view.message else "",
        facts=f"<dl>{facts}</dl>" if facts else "",
        refresh=refresh,
        actions=view.actions,
    )
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return Answer(
        view.status,
        (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            *headers,
        ),
        body.encode(),
    )


@cache
def _template() -> Template:
    return Template((files("gateway.page") / "room.html").read_text("utf-8"))
