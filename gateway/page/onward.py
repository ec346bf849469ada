"""The ways out of the waiting page: to where the visitor was going, on any host of the event."""

from gateway.addresses import absolute, room_path
from gateway.answers import Answer, redirect
from gateway.calls import Call
from gateway.cookies import pass_cookie
from gateway.domain.admission import Refused
from gateway.domain.return_to import ReturnTo
from gateway.errors import LedgerUnavailable
from gateway.page.plain import PlainPage
from gateway.page.shell import HOME_PAGE, sent_home
from gateway.page.views import AWAY
from gateway.queue import Room, Standing


class Onward:
    def __init__(self, room: Room, plain: PlainPage) -> None:
        self._room = room
        self._plain = plain

    async def go(self, call: Call) -> Answer:
        """Send an admitted visitor on, or through an open gate; anyone else back to the waiting page.

        Raises:
            UnknownEvent: There is no such event.
        """
        if (elsewhere := sent_home(call, "onward")) is not None:
            return elsewhere
        wanted = call.return_to(call.query("return_to"))
        snapshot = self._room.snapshot(call.event)
        if snapshot is not None and self._room.stands_open(snapshot):
            return redirect(absolute(wanted or HOME_PAGE, call.scheme))
        visitor = self._room.identify(call.carried(), call.event)
        standing = self._room.standing(call.event, visitor)
        if isinstance(standing, Standing) and standing.status == "admitted":
            return await self._send_on(call, wanted or HOME_PAGE)
        return redirect(room_path(call.event, wanted, call.scheme))

    async def _send_on(self, call: Call, wanted: ReturnTo) -> Answer:
        if wanted.authority is None or wanted.authority == call.authority:
            return redirect(wanted.target)
        (held,) = call.carried().passes
        try:
            code = await self._room.issue_handover(call.event, held)
        except LedgerUnavailable:
            # Not back to the waiting page: that would send here again at once.
            return self._plain.answer(call, AWAY, wanted, self._room.snapshot(call.event))
        # The code lives for seconds and once, so it may stand in an address (RFC 6749, section 4.1.2).
        enter = room_path(call.event, None, page="enter", more={"to": wanted.target, "code": code})
        return redirect(f"{call.scheme}://{wanted.authority}{enter}")

    async def enter(self, call: Call) -> Answer:
        """Take over a visitor from another host of the event."""
        if call.method == "HEAD":
            # A look ahead must not use the code up.
            return redirect(room_path(call.event, None))
        wanted = call.return_to(call.query("to")) or HOME_PAGE
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
        life_s = self._room.seconds_left(passed.claims)
        cookie = pass_cookie(passed, call.route, secure=call.secure, life_s=life_s)
        return redirect(wanted.target, [cookie])
