"""Puts the parts together from the settings: the only place that knows them all."""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from starlette.types import ASGIApp

from gateway.admin.console import console_routes
from gateway.admin.interface import AdminInterface
from gateway.api.app import Probes, admin_app, public_app
from gateway.api.diagnosis import Diagnosis
from gateway.api.queue_calls import QueueCalls
from gateway.calls import Call, client_address
from gateway.clock import LedgerClock
from gateway.collectors import KeySeen
from gateway.domain.backoff import LEAST_ANSWERS, BackendHealth
from gateway.domain.join_limits import JoinLimit, JoinLimits
from gateway.domain.peers import Peers
from gateway.domain.positions import EventId
from gateway.edge.forward_auth import ForwardAuth
from gateway.edge.gate import Gate
from gateway.errors import (
    GatewayError,
    KeyRingError,
    LedgerUnavailable,
    SettingsInvalid,
    UnsafeServer,
)
from gateway.join_guard import LimitedJoins, load_challenge
from gateway.ledger.embedded import EmbeddedServer, embedded_url
from gateway.ledger.floor_file import FloorFile
from gateway.ledger.floors import Floors
from gateway.ledger.pacer import SchedulePacer
from gateway.ledger.redis import RedisLedger
from gateway.ledger.sampler import Sampler
from gateway.ledger.watcher import LedgerWatcher
from gateway.metrics import CONTENT_TYPE, GatewayMetrics
from gateway.operators.file import OperatorFile
from gateway.page.pages import read_look, waiting_pages
from gateway.pointer import PointerDocuments, SignedPointers
from gateway.ports import JoinGuard, Vouched, VoucherReader
from gateway.push.hub import Hubs
from gateway.push.limits import StreamLimits
from gateway.push.sse import EventStreams
from gateway.push.urgency import Pace
from gateway.push.websocket import PointerSockets
from gateway.request_ids import RequestIds
from gateway.settings import OWN_PATHS, Settings, load_settings
from gateway.snapshots import SnapshotBoard
from gateway.timing import TimedGate, TimedRoom
from gateway.tokens.codec import Signer, Verifier
from gateway.tokens.jwks import JwksFile, jwks_document
from gateway.tokens.keyring import KeyRing, KeyState
from gateway.tokens.keys import PublicKeys
from gateway.tokens.vouchers import MIN_SECRET_BYTES, VoucherVerifier, hashed_subject

if TYPE_CHECKING:
    from gateway.tracing.assembled import Traced

logger = logging.getLogger(__name__)

# Keys that an operator adds, activates or removes are in force after this long, without a restart.
UPKEEP_S = 1.0

PROBES_TO_JUDGE = 3

# A running gateway does not stop for a setting that was changed under it: it says so.
LOOK_AT_SERVER_EVERY = 5


class _Reloading(Protocol):
    """A file or folder of keys: looked at again every second, the last good state in force."""

    @property
    def trouble(self) -> str | None: ...

    def reload_if_changed(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of one process.

    Attributes:
        signer: None where only public keys are configured.
        files: What to look at again every second.
        ring: The key ring; None where only public keys are configured.
    """

    public: PublicKeys
    signer: Signer | None
    vouchers: VoucherReader | None
    files: Sequence[_Reloading]
    ring: KeyRing | None


class _SiteVouchers:
    """Implements `ports.VoucherReader`: checks a voucher, and forgets the visitor's own name."""

    def __init__(self, verifier: VoucherVerifier, secret: bytes) -> None:
        self._verifier = verifier
        self._secret = secret

    def read(self, voucher: str, now_s: float, *, expect_event: EventId) -> Vouched:
        held = self._verifier.verify(voucher, now_s, expect_event=expect_event)
        return Vouched(hashed_subject(self._secret, expect_event, held.subject), held.head_start)


@dataclass(slots=True)
class OpenedGate:
    """Everything that one process needs to answer; implements `edge.opening.OpenGate`.

    Attributes:
        interface: The public app: `/queue/…`, `/auth`, keys and probes.
        admin: The app of the admin port.
    """

    settings: Settings
    gate: Gate
    peers: Peers
    interface: ASGIApp
    admin: ASGIApp
    own_paths: frozenset[bytes]
    board: SnapshotBoard
    ledger: RedisLedger
    metrics: GatewayMetrics
    _hubs: Hubs
    _watcher: LedgerWatcher
    _pacer: SchedulePacer
    _sampler: Sampler
    health: BackendHealth
    _key_files: Sequence[_Reloading]
    _embedded: EmbeddedServer | None
    _floor_file: FloorFile | None
    traced: "Traced | None" = None
    unsafe: list[str] = field(default_factory=list[str])
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])
    _starting: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        """Begin to watch the ledger and the keys. Repeating it does nothing."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await self._starting

    async def _start(self) -> None:
        for route in self.gate.routes.routes:
            if route.observed:
                logger.warning(
                    "an event is observed only: everybody is let through",
                    extra={"event": route.event, "change": 'mode = "enforce" in the settings'},
                )
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.start)
        if self._floor_file is not None:
            await asyncio.to_thread(self._floor_file.open)
        await self._watcher.start()
        self._pacer.start()
        await self._look_at_server()
        if self.unsafe:
            await self.aclose()
            raise UnsafeServer(self.unsafe)
        self._tasks.append(asyncio.create_task(self._upkeep(), name="upkeep"))
        self._tasks.append(asyncio.create_task(self._sampler.run(), name="samples"))

    async def aclose(self) -> None:
        """Answer the joins under way, then let everything go."""
        self._hubs.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pacer.aclose()
        await self._watcher.aclose()
        await self.ledger.aclose()
        if self._floor_file is not None:
            await asyncio.to_thread(self._floor_file.close)
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)
        if self.traced is not None:
            await self.traced.aclose()

    async def _look_at_server(self) -> None:
        """Note what is unsafe about the ledger's server; a server that is away is looked at later."""
        try:
            found = await self.ledger.unsafe_settings(self.board.all())
        except GatewayError:
            return
        if found and found != self.unsafe:
            logger.error("the ledger's server is not safe", extra={"faults": found})
        self.unsafe[:] = found

    async def _upkeep(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(UPKEEP_S)
            if turn % LOOK_AT_SERVER_EVERY == 0:
                await self._look_at_server()
            for keys in self._key_files:
                _look_again(keys)
            self.metrics.flush()
            if self._floor_file is not None:
                await self._floor_file.flush()
            if self._embedded is not None:
                await self._keep_embedded(self._embedded)

    async def _keep_embedded(self, embedded: EmbeddedServer) -> None:
        """Start the embedded ledger anew where a crash, or its owner's end, has ended it."""
        try:
            await asyncio.to_thread(embedded.start)
        except LedgerUnavailable as exc:
            logger.error("the embedded ledger is down", extra={"cause": str(exc)})  # noqa: TRY400


def _look_again(keys: _Reloading) -> None:
    before = keys.trouble
    if keys.reload_if_changed():
        logger.info("the keys have changed")
    if keys.trouble is not None and keys.trouble != before:
        # The former keys stay in force: a broken folder must not stop a sale. But a key that was to
        # be taken away is not taken away either.
        logger.error("the keys cannot be read", extra={"trouble": keys.trouble})


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
    keys = _open_keys(settings)
    clock, board, metrics = LedgerClock(), SnapshotBoard(), GatewayMetrics()
    floors = Floors()
    floor_file = (
        FloorFile(Path(settings.ledger.floor_dir), floors) if settings.ledger.floor_dir else None
    )
    traced = _traced(settings)
    ledger = (RedisLedger if traced is None else traced.ledger)(
        ledger_url(settings),
        timeout_s=settings.ledger.timeout_s,
        on_time=clock.observe,
        on_call=metrics.ledger_called,
        on_batch=metrics.batch_dealt,
        on_promise=None if floor_file is None else floor_file.flush,
        floors=floors,
        is_gateway=True,
    )
    watcher = LedgerWatcher(ledger, board, poll_s=settings.ledger.poll_s)
    health = _backend_health(settings)
    pacer = SchedulePacer(ledger, board, watcher.read, lambda: health.seen(time.monotonic()))
    sampler = Sampler(ledger, board.all)
    metrics.watch_board(board)
    metrics.watch_modes({route.event: route.observed for route in settings.routes().routes})
    if keys.ring is not None:
        metrics.watch_keys(partial(_keys_seen, keys.ring))
    room = (TimedRoom if traced is None else traced.room)(
        ledger=ledger,
        snapshots=board,
        clock=clock,
        verifier=Verifier(keys.public, settings.keys.issuer),
        issuer=settings.keys.issuer,
        new_secret=lambda: secrets.token_urlsafe(16),
        observer=metrics,
        signer=keys.signer,
        vouchers=keys.vouchers,
        guard=_join_guard(settings, clock),
        witness=floors,
        schedules=pacer,
    )
    room.on_join = metrics.join_took
    routes = settings.routes()
    observed = [route.event for route in routes.routes if route.observed]
    on_check = metrics.check_took
    gate = TimedGate(room, routes, on_check if traced is None else traced.checks(on_check))
    peers = Peers(settings.trusted_networks(), settings.server.scheme)
    look = read_look(Path(settings.page.brand) if settings.page.brand else None)
    pointers = PointerDocuments()
    limits = StreamLimits(settings.most_streams(), settings.most_streams_per_client())
    hubs = Hubs(board, pointers, limits, metrics, pace)

    def visitor_of(call: Call) -> str | None:
        source = peers.source_of(client_address(call.scope), call.scope["headers"]).address
        # A trusted proxy that does not say whom it speaks for speaks for many.
        return None if peers.is_trusted(source) else source

    events = EventStreams(room.snapshot, visitor_of, hubs)
    sockets = PointerSockets(room.snapshot, visitor_of, hubs)

    operators = OperatorFile(Path(settings.admin.operators))
    if operators.trouble is not None:
        # Visitors are served all the same; the operators' interface lets nobody in.
        logger.error("the operators cannot be read", extra={"trouble": operators.trouble})

    unsafe: list[str] = []

    async def unready() -> list[str]:
        return await _unready(ledger, board, keys)

    probes = Probes(
        jwks=lambda: jwks_document(keys.public.public_keys()),
        unready=unready,
        notes=lambda: [
            *(f"event {event}: suspended, its state is lost" for event in board.suspended()),
            *(f"event {event}: observed only, everybody is let through" for event in observed),
            *unsafe,
        ],
    )
    return OpenedGate(
        settings=settings,
        gate=gate,
        peers=peers,
        interface=public_app(
            QueueCalls(
                room,
                routes,
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
        ),
        admin=admin_app(
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
        ),
        own_paths=frozenset(
            path.encode() for path in OWN_PATHS - set(settings.server.pass_through)
        ),
        board=board,
        ledger=ledger,
        metrics=metrics,
        _hubs=hubs,
        _watcher=watcher,
        _pacer=pacer,
        _sampler=sampler,
        health=health,
        _key_files=[*keys.files, operators],
        _embedded=EmbeddedServer(Path(settings.ledger.data_dir))
        if own_embedded and not settings.ledger.url
        else None,
        _floor_file=floor_file,
        traced=traced,
        unsafe=unsafe,
    )


def _traced(settings: Settings) -> "Traced | None":
    tracing = settings.tracing
    if not tracing.sample_ratio:
        return None
    try:
        # Imported here: who traces nothing needs none of its packages.
        from gateway.tracing.assembled import Traced
    except ModuleNotFoundError as exc:
        raise SettingsInvalid(
            [
                f"[tracing]: the package {exc.name} is not installed; install "
                "'admission-gateway[otel]', or set sample_ratio to 0"
            ]
        ) from exc
    return Traced(tracing.endpoint, tracing.sample_ratio)


def _backend_health(settings: Settings) -> BackendHealth:
    # Where a path is asked every second, fewer answers are a judgement than among visitors' requests.
    return BackendHealth(PROBES_TO_JUDGE if settings.proxy.health_path else LEAST_ANSWERS)


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


def ledger_url(settings: Settings) -> str:
    return settings.ledger.url or embedded_url(Path(settings.ledger.data_dir))


async def _unready(ledger: RedisLedger, board: SnapshotBoard, keys: _Keys) -> list[str]:
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


def _open_keys(settings: Settings) -> _Keys:
    files: list[_Reloading] = []
    signer: Signer | None = None
    vouchers: VoucherReader | None = None
    ring: KeyRing | None = None
    try:
        if settings.keys.jwks is not None:
            public_file = JwksFile(Path(settings.keys.jwks))
            public: PublicKeys = public_file
            files.append(public_file)
        else:
            ring = KeyRing.load(Path(settings.keys.dir))
            public, signer = ring, Signer(ring)
            files.append(ring)
        if settings.keys.voucher_jwks is not None and settings.keys.sub_secret is not None:
            site = JwksFile(Path(settings.keys.voucher_jwks), any_kid=True)
            secret = Path(settings.keys.sub_secret).read_bytes().strip()
            if len(secret) < MIN_SECRET_BYTES:
                raise SettingsInvalid(
                    [f"[keys] sub_secret: needs at least {MIN_SECRET_BYTES} random bytes"]
                )
            vouchers = _SiteVouchers(VoucherVerifier(site), secret)
            files.append(site)
    except KeyRingError as exc:
        raise SettingsInvalid([f"[keys]: {exc} (a first key: gateway keys new)"]) from exc
    except OSError as exc:
        raise SettingsInvalid([f"[keys] sub_secret: cannot be read: {exc.strerror}"]) from exc
    return _Keys(public, signer, vouchers, files, ring)


def _keys_seen(ring: KeyRing) -> list[KeySeen]:
    """Say since when each key of the ring is in its state."""
    seen: list[KeySeen] = []
    for entry in ring.entries:
        moments = {
            KeyState.NEXT: entry.created,
            KeyState.ACTIVE: entry.activated,
            KeyState.RETIRED: entry.retired,
        }
        seen.append(KeySeen(entry.state.value, _unix_s(moments[entry.state])))
    return seen


def _unix_s(moment: str | None) -> float | None:
    """Return the Unix seconds of an ISO 8601 instant; None where it is not one, or none is given."""
    try:
        return None if moment is None else datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None
