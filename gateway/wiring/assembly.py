"""Assembles everything that one process needs to answer: each part after those that it needs."""

import logging
from functools import partial
from pathlib import Path

from gateway.clock import LedgerClock
from gateway.domain.peers import Peers
from gateway.metrics import GatewayMetrics
from gateway.operators.file import OperatorFile
from gateway.pointer import PointerDocuments
from gateway.push.hub import Hubs
from gateway.push.limits import StreamLimits
from gateway.push.urgency import Pace
from gateway.settings import OWN_PATHS, Settings, load_settings
from gateway.snapshots import SnapshotBoard
from gateway.timing import TimedGate
from gateway.wiring.interfaces import operators_app, probes_of, visitors_app
from gateway.wiring.keys import keys_seen, open_keys
from gateway.wiring.ledger import backend_health, open_ledger
from gateway.wiring.opened import OpenedGate
from gateway.wiring.room import open_room
from gateway.wiring.tracing import open_tracing

logger = logging.getLogger(__name__)


def open_gate(
    settings: Settings | Path | str | None = None,
    *,
    own_embedded: bool = True,
    pace: Pace | None = None,
) -> OpenedGate:
    """Assemble a gate; nothing is connected before it is started.

    Args:
        settings: The settings, or the path of their file.
        own_embedded: Whether the embedded ledger, where one is configured, is started with it.
        pace: How often the pointer is pushed.

    Raises:
        SettingsInvalid: The settings or a file that they name have mistakes.
    """
    if not isinstance(settings, Settings):
        settings = load_settings(None if settings is None else Path(settings))
    keys = open_keys(settings)
    board, metrics = SnapshotBoard(), GatewayMetrics()
    clock = LedgerClock(partial(_note_jump, metrics))
    routes = settings.routes()
    metrics.watch_board(board)
    metrics.watch_modes({route.event: route.observed for route in routes.routes})
    if keys.ring is not None:
        metrics.watch_keys(partial(keys_seen, keys.ring))

    traced = open_tracing(settings)
    health = backend_health(settings)
    kept = open_ledger(
        settings,
        clock=clock,
        board=board,
        metrics=metrics,
        health=health,
        traced=traced,
        own_embedded=own_embedded,
    )
    room = open_room(
        settings, keys=keys, kept=kept, clock=clock, board=board, metrics=metrics, traced=traced
    )
    on_check = metrics.check_took
    gate = TimedGate(room, routes, on_check if traced is None else traced.checks(on_check))
    peers = Peers(settings.trusted_networks(), settings.server.scheme)

    pointers = PointerDocuments()
    limits = StreamLimits(settings.most_streams(), settings.most_streams_per_client())
    hubs = Hubs(board, pointers, limits, metrics, pace)
    operators = OperatorFile(Path(settings.admin.operators))
    if operators.trouble is not None:
        # Visitors are served all the same; the operators' interface lets nobody in.
        logger.error("the operators cannot be read", extra={"trouble": operators.trouble})
    probes = probes_of(routes, keys, kept)
    return OpenedGate(
        settings=settings,
        gate=gate,
        peers=peers,
        interface=visitors_app(
            settings,
            room,
            gate,
            peers,
            probes,
            keys=keys,
            clock=clock,
            pointers=pointers,
            hubs=hubs,
        ),
        admin=operators_app(
            settings, kept.ledger, operators, peers, probes, clock=clock, metrics=metrics
        ),
        own_paths=frozenset(
            path.encode() for path in OWN_PATHS - set(settings.server.pass_through)
        ),
        board=board,
        metrics=metrics,
        health=health,
        traced=traced,
        _hubs=hubs,
        _kept=kept,
        _key_files=keys.files,
        _operators=operators,
    )


def _note_jump(metrics: GatewayMetrics, by_s: float) -> None:
    metrics.clock_jumped(by_s)
    logger.error(
        "the ledger's clock has jumped",
        extra={
            "seconds": round(by_s, 1),
            "means": "passes and places have times in them; sessions and windows run on evenly",
            "change": "run NTP on the ledger's machine, and let it slew and not step",
        },
    )
