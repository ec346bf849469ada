"""What an operator can ask beside a visitor: the ledger and the settings, and through them a gateway."""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.doctor.interface import document_of
from gateway.doctor.wire import Fields, Origin, Wire
from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId
from gateway.domain.routes import Designation
from gateway.domain.targets import NotCanonical, canonical_host, canonical_target
from gateway.errors import EventGone, GatewayError, UnknownEvent
from gateway.ledger.redis import RedisLedger
from gateway.ports import GatewaysSeen
from gateway.queue import DIAGNOSIS_LIFE_S, diagnosis_name
from gateway.settings import Settings

_ATTEMPTS = 4
_PAUSE_S = 0.3


class NoDiagnosis(GatewayError):
    """No gateway behind the chain knows the code that was put into the ledger."""


class Inside:
    """The settings and the ledger that an operator has."""

    def __init__(self, settings: Settings, ledger: RedisLedger) -> None:
        self.settings = settings
        self._ledger = ledger

    async def diagnose(self, wire: Wire, event: EventId, fields: Fields = ()) -> Mapping[str, Any]:
        """Return what a gateway saw of one request through the chain.

        The code that it answers to is good once, for half a minute, and for this alone.

        Raises:
            WireError: The chain did not answer.
            NoDiagnosis: No gateway answered that shares this ledger.
            LedgerUnavailable: The code could not be written.
        """
        code = secrets.token_urlsafe(32)
        await self._ledger.put_handover(event, diagnosis_name(code), "doctor", DIAGNOSIS_LIFE_S)
        body = json.dumps({"code": code}).encode()
        status = 0
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE_S)
            reply = await wire.ask(
                f"/queue/{event}/diagnosis",
                [("Content-Type", "application/json"), *fields],
                method="POST",
                body=body,
            )
            document = document_of(reply)
            if reply.status == 200 and document is not None and "process" in document:
                return document
            status = reply.status
        raise NoDiagnosis(f"POST /queue/{event}/diagnosis: {status}")

    def designation(self, origin: Origin, target: str) -> Designation | None:
        """Return what the settings say of a page; None where its URL has no canonical form."""
        path = target.partition("?")[0].encode()
        try:
            host = canonical_host([origin.authority.encode()])
            return self.settings.routes().designate(host, "GET", canonical_target(path))
        except NotCanonical:
            return None

    def names(self, event: EventId, origin: Origin) -> bool:
        """Whether the settings name this host as one of the event's: only there is a code sent."""
        route = self.settings.routes().find(event)
        if route is None:
            return False
        try:
            return "*" in route.hosts or canonical_host([origin.authority.encode()]) in route.hosts
        except NotCanonical:
            return False

    async def unsafe_settings(self) -> Sequence[str]:
        """Return what of the ledger's server would lose places.

        Raises:
            LedgerUnavailable: It did not answer.
        """
        snapshots: list[EventSnapshot] = []
        for event in await self._ledger.events():
            try:
                snapshots.append(await self._ledger.read(event))
            except (EventGone, UnknownEvent):
                continue
        return await self._ledger.unsafe_settings(snapshots)

    async def gateways(self, event: EventId) -> GatewaysSeen:
        """Return which gateway processes read the event, and how long ago.

        Raises:
            LedgerUnavailable: It did not answer.
        """
        return await self._ledger.gateways(event)
