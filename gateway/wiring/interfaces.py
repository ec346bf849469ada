"""What one process answers: the app for visitors and proxies, and the app of the admin port."""

from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from gateway.admin.console import console_routes
from gateway.admin.interface import AdminInterface
from gateway.api.app import Probes, admin_app, public_app
from gateway.api.diagnosis import Diagnosis
from gateway.api.queue_calls import QueueCalls
from gateway.calls import Call, client_address
from gateway.clock import LedgerClock
from gateway.domain.peers import Peers
from gateway.domain.positions import EventId
from gateway.domain.routes import RouteTable
from gateway.edge.forward_auth import ForwardAuth
from gateway.edge.gate import Gate
from gateway.errors import LedgerUnavailable
from gateway.ledger.redis import RedisLedger
from gateway.metrics import CONTENT_TYPE, GatewayMetrics
from gateway.operators.file import OperatorFile
from gateway.page.pages import read_look, waiting_pages
from gateway.pointer import PointerDocuments, SignedPointers
from gateway.push.hub import Hubs
from gateway.push.sse import EventStreams
from gateway.push.websocket import PointerSockets
from gateway.queue import Room
from gateway.request_ids import RequestIds
from gateway.settings import Settings
from gateway.snapshots import SnapshotBoard
from gateway.tokens.jwks import jwks_document
from gateway.wiring.keys import Keys
from gateway.wiring.ledger import KeptLedger


def visitors_app(
    settings: Settings,
    room: Room,
    gate: Gate,
    peers: Peers,
    probes: Probes,
    *,
    keys: Keys,
    clock: LedgerClock,
    pointers: PointerDocuments,
    hubs: Hubs,
) -> ASGIApp:
    """Assemble `/queue/…` with its pages and streams, `/auth`, the keys and the probes."""
    look = read_look(Path(settings.page.brand) if settings.page.brand else None)
    visitor_of = partial(_visitor_of, peers)
    events = EventStreams(room.snapshot, visitor_of, hubs)
    sockets = PointerSockets(room.snapshot, visitor_of, hubs)
    return public_app(
        QueueCalls(
            room,
            gate.routes,
            peers,
            body_limit=settings.server.body_bytes,
            pages=waiting_pages(room, look, clock.now_s),
            diagnosis=Diagnosis(room, peers).answer,
            pointers=pointers,
            signed=SignedPointers(pointers, keys.signer, settings.keys.issuer, clock.now_s),
            streams={"events": events.answer, "ws": sockets.upgrade_required},
            sockets={"ws": sockets.answer},
        ),
        ForwardAuth(gate, settings.forward_auth_networks(), clock.now_s),
        probes,
    )


def operators_app(
    settings: Settings,
    ledger: RedisLedger,
    operators: OperatorFile,
    peers: Peers,
    probes: Probes,
    *,
    clock: LedgerClock,
    metrics: GatewayMetrics,
) -> ASGIApp:
    """Assemble the operators' interface, their console, the metrics and the probes."""
    return admin_app(
        probes,
        metrics.exposition,
        CONTENT_TYPE,
        RequestIds(
            AdminInterface(
                ledger,
                operators,
                clock,
                peers,
                hosts=settings.admin_hosts(),
                body_limit=settings.server.body_bytes,
                pages=console_routes(),
                modes={EventId(name): event.mode for name, event in settings.events.items()},
            ),
            peers,
        ),
    )


def probes_of(routes: RouteTable, keys: Keys, kept: KeptLedger) -> Probes:
    """Return what both apps tell of this process."""
    board = kept.board
    observed = [route.event for route in routes.routes if route.observed]
    return Probes(
        jwks=lambda: jwks_document(keys.public.public_keys()),
        unready=partial(_unready, kept.ledger, board, keys),
        notes=lambda: [
            *(f"event {event}: suspended, its state is lost" for event in board.suspended()),
            *(
                f"event {event}: the settings name it and the ledger does not have it. Was it there "
                f"before: gateway recover {event}; is it new: gateway event create {event}"
                for event in board.missing()
            ),
            *(f"event {event}: observed only, everybody is let through" for event in observed),
            *kept.unsafe,
        ],
    )


async def _unready(ledger: RedisLedger, board: SnapshotBoard, keys: Keys) -> list[str]:
    reasons: list[str] = []
    try:
        await ledger.ping()
    except LedgerUnavailable as exc:
        reasons.append(f"The ledger is away ({exc.cause}).")
    if not board.complete:
        reasons.append("No event has been read yet.")
    if not keys.public.public_keys():
        reasons.append("There is no key to check tokens with.")
    return reasons


def _visitor_of(peers: Peers, call: Call) -> str | None:
    source = peers.source_of(client_address(call.scope), call.scope["headers"]).address
    # A trusted proxy that does not say whom it speaks for speaks for many.
    return None if peers.is_trusted(source) else source
