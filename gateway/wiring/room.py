"""The room: all use cases, on the ports of this process."""

import secrets
from typing import TYPE_CHECKING

from gateway.clock import LedgerClock
from gateway.domain.join_limits import JoinLimit, JoinLimits
from gateway.errors import SettingsInvalid
from gateway.join_guard import LimitedJoins, load_challenge
from gateway.metrics import GatewayMetrics
from gateway.ports import JoinGuard
from gateway.settings import Settings
from gateway.snapshots import SnapshotBoard
from gateway.timing import TimedRoom
from gateway.tokens.codec import Verifier
from gateway.wiring.keys import Keys
from gateway.wiring.ledger import KeptLedger

if TYPE_CHECKING:
    from gateway.tracing.assembled import Traced


def open_room(
    settings: Settings,
    *,
    keys: Keys,
    kept: KeptLedger,
    clock: LedgerClock,
    board: SnapshotBoard,
    metrics: GatewayMetrics,
    traced: "Traced | None",
) -> TimedRoom:
    """Assemble the room of one process.

    Raises:
        SettingsInvalid: The site's challenge cannot be loaded.
    """
    room = (TimedRoom if traced is None else traced.room)(
        ledger=kept.ledger,
        snapshots=board,
        clock=clock,
        verifier=Verifier(keys.public, settings.keys.issuer),
        issuer=settings.keys.issuer,
        new_secret=lambda: secrets.token_urlsafe(16),
        observer=metrics,
        signer=keys.signer,
        vouchers=keys.vouchers,
        guard=_join_guard(settings, clock),
        witness=kept.ledger.floors,
        schedules=kept.pacer,
    )
    room.on_join = metrics.join_took
    return room


def _join_guard(settings: Settings, clock: LedgerClock) -> JoinGuard | None:
    joins = settings.joins
    limits = JoinLimits(JoinLimit(joins.burst, joins.per_minute)) if joins.burst else None
    try:
        challenge = load_challenge(joins.challenge) if joins.challenge else None
    except ValueError as exc:
        raise SettingsInvalid([f"[joins] challenge: {exc}"]) from exc
    if limits is None and challenge is None:
        return None
    return LimitedJoins(clock, limits, challenge)
