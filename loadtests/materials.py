"""What the benchmark is made of: a folder with keys and settings, an event, its tokens, its requests."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from redis import Redis

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.events import EventPolicy
from gateway.domain.positions import EventId, Generation, Position
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest
from gateway.tokens.codec import Signer
from gateway.tokens.keyring import KeyRing, new_key
from loadtests.naive import COOKIE, ISSUED, SERVED, naive_token
from loadtests.placement import pin

EVENT = EventId("bench")
ISSUER = "admission-gateway"
LIFE_S = 3600
HOST = "127.0.0.1"

# Positions that exist in the ledger, for the rows about those who wait.
WAITING = 1000

_SETTINGS = """\
[server]
port = 0
admin_port = 0
forward_auth_peers = ["127.0.0.0/8"]
[keys]
dir = "keys"
[joins]
burst = 0

[ledger]
url = "{url}"
[proxy]
backend = "{backend}"
[events.bench]
hosts = ["127.0.0.1"]
"""


def write_settings(folder: Path, name: str, ledger_url: str, backend: str = "") -> Path:
    path = folder / name
    path.write_text(_SETTINGS.format(url=ledger_url, backend=backend))
    return path


@dataclass(frozen=True, slots=True)
class SignatureCost:
    """OpenSSL's ES256, which no design on this stack avoids: seconds by the clock, and of the processor."""

    sign_s: float
    verify_s: float
    sign_cpu_s: float
    verify_cpu_s: float

    def s(self, kind: str) -> float:
        return self.sign_s if kind == "sign" else self.verify_s

    def cpu_us(self, kind: str) -> float:
        return (self.sign_cpu_s if kind == "sign" else self.verify_cpu_s) * 1e6


class Materials:
    """Tokens signed by the benchmark's own key, for an event in the benchmark's own ledger."""

    def __init__(self, folder: Path, ledger_url: str) -> None:
        new_key(folder / "keys", now_s=time.time())
        ring = KeyRing.load(folder / "keys")
        self._key = ring.active_signing_key.private_key
        self._signer = Signer(ring)
        self.generation, joined = asyncio.run(_open_event(ledger_url))
        self._next = WAITING
        self.queue_tokens = [
            self._signer.sign_queue(
                QueueClaims(
                    issuer=ISSUER,
                    event=EVENT,
                    visitor=secrets.token_urlsafe(16),
                    position=position,
                    generation=self.generation,
                    issued_at=int(time.time()),
                    expires_at=int(time.time()) + LIFE_S,
                )
            )
            for position in joined
        ]
        with Redis.from_url(ledger_url) as client:
            client.mset({ISSUED: 0, SERVED: 10**9})

    def new_passes(self, count: int) -> list[str]:
        """Sign passes that nobody has seen, each of another position."""
        now = int(time.time())
        first, self._next = self._next + 1, self._next + count
        return [
            self._signer.sign_pass(
                PassClaims(
                    issuer=ISSUER,
                    event=EVENT,
                    visitor=secrets.token_urlsafe(16),
                    position=Position(position),
                    generation=self.generation,
                    issued_at=now,
                    expires_at=now + LIFE_S,
                )
            )
            for position in range(first, self._next + 1)
        ]

    def naive_cookie(self) -> str:
        return f"{COOKIE}={naive_token(self._key, 1)}"

    def measure_signatures(self, core: int | None, seconds: float) -> SignatureCost:
        """Time the two operations on the core that servers run on."""
        message, algorithm, public = b"m" * 300, ECDSA(SHA256()), self._key.public_key()
        signature = self._key.sign(message, algorithm)
        before = os.sched_getaffinity(0) if core is not None else set[int]()
        pin(core)
        try:
            sign = _time(lambda: self._key.sign(message, algorithm), seconds)
            verify = _time(lambda: public.verify(signature, message, algorithm), seconds)
        finally:
            if before:
                os.sched_setaffinity(0, before)
        return SignatureCost(sign[0], verify[0], sign[1], verify[1])


def _time(call: Callable[[], object], seconds: float) -> tuple[float, float]:
    calls = 0
    start, start_cpu = time.perf_counter(), time.thread_time()
    while time.perf_counter() - start < seconds:
        for _ in range(50):
            call()
        calls += 50
    return (time.perf_counter() - start) / calls, (time.thread_time() - start_cpu) / calls


async def _open_event(url: str) -> tuple[Generation, list[Position]]:
    ledger = RedisLedger(url, timeout_s=10)
    try:
        await ledger.create(EVENT, EventPolicy(), opened=True)
        requests = [JoinRequest(secrets.token_urlsafe(16)) for _ in range(WAITING)]
        places = await asyncio.gather(*(ledger.join(EVENT, request) for request in requests))
        return places[0].generation, [place.position for place in places]
    finally:
        await ledger.aclose()


def request(method: str, path: str, *fields: str) -> bytes:
    """Return a whole request without a body, as a browser behind a proxy would send it."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {HOST}",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept: */*",
        *fields,
    ]
    if method == "POST":
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def pass_cookie(token: str) -> str:
    return f"Cookie: pass-{EVENT}={token}"


def auth_requests(passes: Sequence[str]) -> list[bytes]:
    """Ask, as a proxy does, whether each of `passes` admits."""
    return [
        request(
            "GET",
            "/auth",
            "X-Forwarded-Method: GET",
            "X-Forwarded-Proto: http",
            f"X-Forwarded-Host: {HOST}",
            "X-Forwarded-Uri: /book",
            pass_cookie(token),
        )
        for token in passes
    ]


def join_requests(count: int) -> list[bytes]:
    """Join as the waiting page does: with an Idempotency-Key, of which no two are equal."""
    return [
        request("POST", f"/queue/{EVENT}/join", f"Idempotency-Key: {secrets.token_urlsafe(24)}")
        for _ in range(count)
    ]
