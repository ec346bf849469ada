"""What must hold of any request at the edge: who gets through, and what the backend is told."""

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import cast
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.domain.claims import PassClaims
from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.peers import Peers
from gateway.domain.positions import EventId, ServedUpTo
from gateway.domain.routes import EventRoute, PathEntry, RouteTable
from gateway.domain.targets import NotCanonical, canonical_target
from gateway.edge import AdmissionMiddleware
from gateway.edge.forwarding import HeaderList
from gateway.edge.gate import Gate
from gateway.edge.opening import OpenGate
from gateway.ports import Ledger
from gateway.queue import Room
from gateway.snapshots import SnapshotBoard
from gateway.tokens.codec import Verifier
from tests.support.fuzzing import counted
from tests.support.oracles.requests import HOST, folded
from tests.support.oracles.tokens import (
    HELD,
    HELD_TOKEN,
    ISSUER,
    KEYS,
    NOW_S,
    SALE,
    SIGNER,
    other_form_of,
)

OPEN = "/assets/"

# Genuine, and good for nothing here: of another event, of another generation.
OTHER_EVENT = SIGNER.sign_pass(
    PassClaims(ISSUER, EventId("other"), "v", HELD.position, HELD.generation, NOW_S, NOW_S + 600)
).encode()
OLD_GENERATION = SIGNER.sign_pass(
    PassClaims(ISSUER, SALE, "v", HELD.position, type(HELD.generation)(2), NOW_S, NOW_S + 600)
).encode()

_GOOD = (HELD_TOKEN, other_form_of(HELD_TOKEN))


class _Clock:
    def now_s(self) -> float:
        return NOW_S

    def monotonic_s(self) -> float:
        return 0.0

    def ahead_s(self) -> float:
        return 0.0


class _NobodyCounts:
    def joined(self, event: EventId, *, repeated: bool) -> None: ...

    def decided(self, event: EventId, outcome: str) -> None: ...

    def observed(self, event: EventId, outcome: str) -> None: ...

    def claimed(self, event: EventId, outcome: object) -> None: ...


def _board() -> SnapshotBoard:
    board = SnapshotBoard()
    board.complete = True
    board.put(
        EventSnapshot(
            event=SALE,
            state=EventState.OPEN,
            generation=HELD.generation,
            issued=100,
            # Nobody's turn has come: whoever gets in does so by a pass, and nothing asks the ledger.
            served_up_to=ServedUpTo(0),
            policy=EventPolicy(),
            active_ms=0,
            active_sessions=0,
            claims=0,
            read_at_s=0.0,
            updated_at_ms=0,
        )
    )
    return board


_ROUTES = RouteTable((EventRoute(SALE, (HOST,), (), (PathEntry.parse(OPEN),)),))
_GATE = Gate(
    Room(
        ledger=cast("Ledger", None),
        snapshots=_board(),
        clock=_Clock(),
        verifier=Verifier(KEYS, ISSUER),
        issuer=ISSUER,
        new_secret=lambda: "secret",
        observer=_NobodyCounts(),
        signer=SIGNER,
    ),
    _ROUTES,
)


async def _interface(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def _nothing() -> None: ...


class _Edge:
    """The middleware around a backend that remembers the scopes that reached it."""

    def __init__(self) -> None:
        self.reached: list[Scope] = []
        opened = SimpleNamespace(
            gate=_GATE,
            peers=Peers(),
            own_paths=frozenset({b"/auth"}),
            interface=_interface,
            start=_nothing,
            aclose=_nothing,
        )
        self.app: ASGIApp = AdmissionMiddleware(self._backend, cast("OpenGate", opened))

    async def _backend(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


# One for all inputs: what it remembers of some must not open the door for others.
_edge = _Edge()


def _run(answering: Awaitable[None]) -> None:
    """Run what never has to wait."""
    try:
        answering.__await__().__next__()
    except StopIteration:
        return
    raise AssertionError("the edge waited for something: a ledger call?")


@counted
def request_at_the_edge(method: str, raw_path: bytes, query: bytes, headers: HeaderList) -> bool:
    """Nobody reaches a protected path without a good pass; nobody tells the backend who they are."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "headers": list(headers),
        "client": ("198.51.100.7", 1),
    }
    _edge.reached.clear()
    _run(_edge.app(scope, receive, send))
    assert sent[0]["type"] == "http.response.start"
    assert sent[0]["status"] < 500
    if not _edge.reached:
        return False
    assert sent[0]["status"] == 200
    (reached,) = _edge.reached
    admitted = any(token in value for token in _GOOD for _, value in headers)
    assert admitted or _is_open(raw_path, query), (raw_path, headers)
    assert (reached["raw_path"], reached["query_string"]) == (raw_path, query)
    said = [
        (name, value) for name, value in reached["headers"] if folded(name).startswith(b"queue")
    ]
    said = [(name, value) for name, value in said if not folded(name)[5:6].isalnum()]
    assert said in (
        [],
        [
            (b"queue-event", SALE.encode()),
            (b"queue-position", b"7"),
            (b"queue-visitor", HELD.visitor.encode()),
        ],
    )
    assert not any(token in value for token in _GOOD for _, value in _carriers(reached["headers"]))
    return True


def _carriers(headers: HeaderList) -> HeaderList:
    """Return the fields in which a token of ours means something, where ours would be removed."""
    kept: HeaderList = []
    for name, value in headers:
        if name == b"queue-token" or (name == b"authorization" and value[:7].lower() == b"bearer "):
            kept.append((name, value))
        if name == b"cookie":
            kept += [
                (name, part)
                for part in value.split(b";")
                if part.strip(b" \t").startswith((b"pass-sale=", b"queue-sale="))
            ]
    return kept


def _is_open(raw_path: bytes, query: bytes) -> bool:
    try:
        target = canonical_target(raw_path, query)
    except NotCanonical:
        return False
    return target.key.startswith(OPEN)
