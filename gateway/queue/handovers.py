"""Handovers: a visitor goes on to another host of the event, with a single-use code."""

from typing import Final

from gateway.domain.admission import Refused, ledger_away, no_token
from gateway.domain.carriers import Carried
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.queue.desk import Desk, hashed
from gateway.queue.results import Passed

HANDOVER_LIFE_S: Final = 30


class Handovers(Desk):
    """The use cases of an event over several hosts."""

    async def issue_handover(self, event: EventId, held: bytes) -> str:
        """Return a single-use code with which another host of the event gives the same pass.

        The pass itself is kept for those seconds: the other host's edge may have public keys only.

        Args:
            held: The verified pass, as it came.

        Raises:
            LedgerUnavailable: The code could not be kept.
        """
        code = self._new_secret()
        await self._ledger.put_handover(event, hashed(code), held.decode("ascii"), HANDOVER_LIFE_S)
        return code

    async def redeem_handover(self, event: EventId, code: str) -> Passed | Refused:
        """Exchange a handover code for the pass it stands for, once."""
        try:
            token = await self._ledger.take_handover(event, hashed(code))
        except LedgerUnavailable:
            return ledger_away("The handover cannot be looked up just now.")
        if token is None:
            return no_token(None)
        visitor = self.identify(Carried(passes=(token.encode(),)), event)
        if visitor.held is None:
            return no_token(visitor.fault)
        return Passed(token, visitor.held, finish_grace_s=self.finish_grace_s(event))
