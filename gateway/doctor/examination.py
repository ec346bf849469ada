"""Asks every check in its order; what hangs on something that is broken already is not asked.

The event stream takes longest, for its heartbeat: it is listened to while the others are asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway.doctor import caching, cookies, interface, joining, page, streams, transport
from gateway.doctor.chain import Chain
from gateway.doctor.connection import WireError
from gateway.doctor.findings import Finding, Mending, Status, fault, not_checked
from gateway.doctor.inside import Inside
from gateway.doctor.inward import (
    check_gateways,
    check_keys,
    check_ledger,
    check_open,
    check_seen,
    event_by_settings,
)
from gateway.doctor.mending import GATEWAY_UP
from gateway.errors import GatewayError

OnProgress: TypeAlias = Callable[[str, Finding | None], None]
"""Told what is looked at now, with None, and of each finding."""

LONGEST_CHECK_S = 60.0

_WITHOUT_CONFIG = (
    "give the gateway's settings, where its ledger can be reached: gateway --config FILE doctor …"
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator asks for.

    Attributes:
        join: Whether a real place may be taken.
        heartbeat: Whether to listen through a heartbeat.
        echo: A path that repeats the fields of its request.
    """

    join: bool = False
    heartbeat: bool = True
    echo: str | None = None


class Examination:
    """One walk through a chain."""

    def __init__(
        self, chain: Chain, inside: Inside | None, wishes: Wishes, on_progress: OnProgress
    ) -> None:
        self._chain = chain
        self._inside = inside
        self._wishes = wishes
        self._told = on_progress
        self.findings: list[Finding] = []

    async def run(self) -> Sequence[Finding]:
        """Ask every check. What fails is a finding."""
        chain = self._chain
        await self._look("tls.certificate", lambda: transport.check_certificate(chain.wire))
        if not await self._reach():
            return self.findings
        if chain.event is None and self._inside is not None:
            chain.event = event_by_settings(chain, self._inside)
        listening = None
        if chain.event is not None and await self._find_queue():
            listening = asyncio.create_task(
                streams.check_events(chain, heartbeat=self._wishes.heartbeat)
            )
        try:
            await self._look_at_page()
            if chain.event is None:
                self._add(_unknown_event())
            elif listening is not None:
                await self._look_at_queue()
                await self._look_inside()
                if self._wishes.join:
                    await self._look("join.place", lambda: joining.check_join(chain))
            if listening is not None:
                running = listening
                await self._look("stream.events", lambda: running)
        finally:
            if listening is not None:
                listening.cancel()
        self._excuse()
        return self.findings

    async def _reach(self) -> bool:
        """Ask for the page; return whether it makes sense to go on."""
        self._told("page.protected", None)
        try:
            for finding in await page.check_page(self._chain):
                self._add(finding)
        except WireError as exc:
            means = "visitors see nothing at all"
            self._add(fault("site.reached", f"{self._chain.wire.origin}: {exc}", means, GATEWAY_UP))
            return False
        return True

    async def _find_queue(self) -> bool:
        await self._look("queue.reached", lambda: interface.check_pointer(self._chain))
        return not any(
            finding.check == "queue.reached" and finding.status is Status.FAULT
            for finding in self.findings
        )

    async def _look_at_page(self) -> None:
        chain = self._chain
        await self._look("page.spellings", lambda: page.check_spellings(chain))
        await self._look("page.hosts", lambda: page.check_forms(chain))
        await self._look("page.forged", lambda: page.check_forged(chain, self._wishes.echo))
        await self._look("page.queue-fields", lambda: page.check_echo(chain, self._wishes.echo))
        await self._look("cache.refusals", lambda: caching.check_refusals(chain))

    async def _look_at_queue(self) -> None:
        chain = self._chain
        await self._look("queue.page", lambda: interface.check_room(chain))
        await self._look("queue.keys", lambda: interface.check_jwks(chain))
        await self._look("cache.pointer", lambda: caching.check_pointer_cache(chain))
        await self._look("cache.position", lambda: caching.check_position(chain))
        await self._look("cookies.queue", lambda: cookies.check_inward(chain))
        await self._look("cookies.set", lambda: cookies.check_outward(chain))
        await self._look("clock.date", lambda: transport.check_clock(chain))
        await self._look("stream.websocket", lambda: streams.check_websocket(chain))
        if not self._wishes.join:
            how = "add --join: it takes a real place, which then stays empty"
            self._add(not_checked("join.place", "what only a visitor with a place can see", how))

    async def _look_inside(self) -> None:
        chain, inside = self._chain, self._inside
        if inside is None:
            for check in ("gateway.client-address", "ledger.settings", "keys.ring"):
                self._add(
                    not_checked(
                        check, "what only the gateway or its ledger can tell", _WITHOUT_CONFIG
                    )
                )
            return
        for finding in check_open(chain, inside):
            self._add(finding)
        await self._look("gateway.diagnosis", lambda: check_seen(chain, inside))
        await self._look("gateway.processes", lambda: check_gateways(chain, inside))
        await self._look("ledger.settings", lambda: check_ledger(inside))
        await self._look("keys.ring", lambda: check_keys(chain, inside))

    async def _look(self, name: str, check: Callable[[], Awaitable[list[Finding]]]) -> None:
        self._told(name, None)
        try:
            async with asyncio.timeout(LONGEST_CHECK_S):
                found = await check()
        except WireError as exc:
            if exc.kind == "too-many":
                self._add(not_checked(name, str(exc)))
                return
            means = "a request of this check was not answered"
            self._add(fault(name, str(exc), means, GATEWAY_UP))
        except TimeoutError:
            self._add(not_checked(name, f"it took longer than {LONGEST_CHECK_S:g} seconds"))
        except GatewayError as exc:
            means = "this machine cannot look, with these settings"
            advice = Mending("See `gateway status` with the same --config.")
            self._add(fault(name, str(exc), means, advice))
        else:
            for finding in found:
                self._add(finding)

    def _add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._told(finding.check, finding)

    def _excuse(self) -> None:
        """A page that is shown on purpose is worth a warning, and no fault."""
        by_check = {finding.check: finding for finding in self.findings}
        reasons = [
            reason
            for reason, applies in (
                ("the event is observed only", _says(by_check, "gateway.mode", "observe")),
                ("the event is in bypass", _says(by_check, "queue.state", "bypass")),
                ("the settings open this page", "page.open" in by_check),
            )
            if applies
        ]
        if reasons:
            self.findings = [
                replace(finding, status=Status.WARNING, means=f"{reasons[0]}: {finding.means}")
                if finding.check == "page.protected" and finding.status is Status.FAULT
                else finding
                for finding in self.findings
            ]


def _says(findings: dict[str, Finding], check: str, word: str) -> bool:
    return check in findings and word in findings[check].seen


def _unknown_event() -> Finding:
    return not_checked(
        "queue.reached",
        "whose queue this page has: nothing has led to a waiting page",
        "name it: --event NAME",
    )
