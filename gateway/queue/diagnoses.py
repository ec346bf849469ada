"""Diagnoses: whoever can write the ledger may ask a gateway, once for each code, what it saw of a request.

The code is put into the ledger by `gateway doctor`, as the code of a handover is: nobody else can make one,
no gateway answers it twice, and no key signs anything for it.
"""

from typing import Final

from gateway.domain.positions import EventId
from gateway.queue.desk import Desk, hashed

DIAGNOSIS_LIFE_S: Final = 30


def diagnosis_name(code: str) -> str:
    """Return what the ledger knows a code by; never that of a handover, which is another's pass."""
    return hashed(f"diagnosis {code}")


class Diagnoses(Desk):
    """The use case of an operator's doctor."""

    async def may_diagnose(self, event: EventId, code: str) -> bool:
        """Use a code up; say whether there was one.

        Raises:
            LedgerUnavailable: It could not be looked up.
        """
        return await self._ledger.take_handover(event, diagnosis_name(code)) is not None

    def now_s(self) -> float:
        """Return the ledger's wall clock, Unix seconds, as this process knows it."""
        return self._clock.now_s()
