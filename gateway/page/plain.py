"""The page without JavaScript: where one visitor stands, with forms, and links to look again.

It refreshes by itself only for who asked for that (WCAG 2.2, success criterion 2.2.1).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from gateway.addresses import PLAIN_ROOM, ROOM, absolute, room_path
from gateway.answers import NO_STORE, Answer, RawHeader, redirect
from gateway.calls import Call, chosen
from gateway.cookies import check_cookie
from gateway.domain.admission import Refused, Visitor
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.return_to import ReturnTo
from gateway.page.headers import HTML, security_headers
from gateway.page.languages import Language, Languages
from gateway.page.plain_values import Form, label_of, plain_values
from gateway.page.rendering import Link, Renderer, Values
from gateway.page.shell import HOME_PAGE, sent_home
from gateway.page.views import (
    PLACE_IS_OVER,
    PROBLEMS,
    View,
    refused_view,
    standing_view,
)
from gateway.queue import Room, Standing

# Long enough to read the page and to press its button.
_CHECK_COOKIE_S = 3600


class PlainPage:
    """Shows the page; `onward` (see `page/onward.py`) sends on who is admitted."""

    def __init__(
        self, room: Room, languages: Languages, renderer: Renderer, now_s: Callable[[], float]
    ) -> None:
        self._room = room
        self._languages = languages
        self._renderer = renderer
        self._now_s = now_s

    async def show(self, call: Call) -> Answer:
        """Show where the visitor stands, or send on whoever has nothing to wait for.

        Raises:
            UnknownEvent: There is no such event.
        """
        if (elsewhere := sent_home(call, PLAIN_ROOM)) is not None:
            return elsewhere
        wanted = _wanted(call)
        snapshot = self._room.snapshot(call.event)
        if snapshot is not None and self._room.stands_open(snapshot):
            return redirect(absolute(wanted or HOME_PAGE, call.scheme))
        visitor = self._room.identify(call.carried(), call.event)
        standing = self._room.standing(call.event, visitor)
        if isinstance(standing, Standing) and standing.status == "admitted":
            return redirect(room_path(call.event, wanted, call.scheme, page="onward"))
        view = await self._view(snapshot, visitor, standing)
        return self.answer(call, _with_what_the_address_says(call, view), wanted, snapshot)

    async def _view(
        self, snapshot: EventSnapshot | None, visitor: Visitor, standing: Standing | Refused
    ) -> View:
        state = None if snapshot is None else snapshot.state
        if isinstance(standing, Refused):
            return refused_view(standing, state)
        door = await self._ask_at_the_door(snapshot, visitor, standing)
        if door is not None and door.problem in PLACE_IS_OVER:
            return refused_view(door, state)
        return standing_view(standing, state, door)

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

    def answer(
        self, call: Call, view: View, wanted: ReturnTo | None, snapshot: EventSnapshot | None
    ) -> Answer:
        """Render one view for one visitor."""
        language = self._languages.choose(call.query("lang"), call.listed(b"accept-language"))
        base = f"/queue/{call.event}/"
        values = self._values(call, view, wanted, snapshot, language)
        body = self._renderer.plain(
            language, call.event, base, self._links(call, wanted), values
        ).encode()
        headers: list[RawHeader] = [HTML, NO_STORE, *security_headers(call, scripts=False)]
        headers.append((b"content-language", language.tag.encode()))
        if view.again_s is not None:
            headers.append((b"retry-after", str(view.again_s).encode()))
        if "join" in view.forms or view.cookies_blocked:
            headers.append(_set_check_cookie(call))
        return Answer(view.status, tuple(headers), body)

    def _values(
        self,
        call: Call,
        view: View,
        wanted: ReturnTo | None,
        snapshot: EventSnapshot | None,
        language: Language,
    ) -> Values:
        kept = chosen(call)
        refreshes = "refresh" in kept
        goal = wanted or HOME_PAGE
        here = room_path(call.event, wanted, call.scheme, page=PLAIN_ROOM, more=kept)
        # On this host the edge claims as the browser arrives; elsewhere the form does.
        enters = view.enters and goal.authority in (None, call.authority)
        waits = view.again_s is not None and (enters or not view.enters)
        switched = {"lang": kept["lang"]} if "lang" in kept else {}
        if not refreshes:
            switched["refresh"] = "on"
        return plain_values(
            view,
            language,
            message="" if snapshot is None else snapshot.message,
            opens_in_s=self._opens_in_s(snapshot),
            checked_s=self._now_s(),
            here=here,
            switch=room_path(call.event, wanted, call.scheme, page=PLAIN_ROOM, more=switched),
            refreshes=refreshes,
            refresh_to=(goal.target if enters else here) if refreshes and waits else None,
            forms=tuple(self._forms(call, view, wanted, language, kept)),
        )

    def _opens_in_s(self, snapshot: EventSnapshot | None) -> int | None:
        if snapshot is None or snapshot.state is not EventState.SCHEDULED:
            return None
        left_s = int(snapshot.policy.opens_at - self._now_s())
        return left_s if snapshot.policy.opens_at and left_s > 0 else None

    def _forms(
        self,
        call: Call,
        view: View,
        wanted: ReturnTo | None,
        language: Language,
        kept: dict[str, str],
    ) -> Iterator[Form]:
        goes_to = [] if wanted is None else [("return_to", absolute(wanted, call.scheme))]
        for verb in view.forms:
            fields = [*goes_to, ("plain", "1")]
            if verb == "join":
                fields.append(("check", "1"))
            yield Form(
                verb,
                room_path(call.event, None, page=verb, more=kept),
                label_of(verb, view, language),
                tuple(fields),
            )

    def _links(self, call: Call, wanted: ReturnTo | None) -> list[Link]:
        kept = chosen(call)
        return [
            Link(
                other.tag,
                other.direction,
                other.name,
                room_path(
                    call.event,
                    wanted,
                    call.scheme,
                    page=PLAIN_ROOM,
                    more={**kept, "lang": other.tag},
                ),
            )
            for other in self._languages.all
        ]


def _with_what_the_address_says(call: Call, view: View) -> View:
    """Add what a refused form has put into the address; it concerns only who has no place yet."""
    if "join" not in view.forms:
        return view
    if call.query("cookies") == "blocked":
        return replace(view, forms=(), cookies_blocked=True)
    problem = call.query("problem")
    return replace(view, problem=problem) if problem in PROBLEMS else view


def _wanted(call: Call) -> ReturnTo | None:
    """Return where the visitor is going: by the address, else by the page that they come from.

    The waiting page is the same for everyone, so its link to here cannot say it.
    """
    wanted = call.return_to(call.query("return_to"))
    if wanted is not None:
        return wanted
    referer = (call.header(b"referer") or b"").decode("latin-1")
    try:
        parts = urlsplit(referer)
        values = parse_qs(parts.query).get("return_to", [])
    except ValueError:  # "http://[::1", say
        return None
    from_here = parts.scheme in ("http", "https") and parts.netloc == call.authority
    if not from_here or parts.path != f"/queue/{call.event}/{ROOM}" or len(values) != 1:
        return None
    return call.return_to(values[0])


def _set_check_cookie(call: Call) -> RawHeader:
    cookie = (
        f"{check_cookie(call.event)}=1; Path=/queue/{call.event}/; Max-Age={_CHECK_COOKIE_S}"
        "; HttpOnly; SameSite=Lax" + ("; Secure" if call.secure else "")
    )
    return b"set-cookie", cookie.encode()
