"""Hostile clients of a whole gateway, as `gateway demo` starts it: what they cause, and what is logged."""

import contextlib
import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.support.running import Running, ask

SLOW = 300
REQUESTS = 400

ESSENCE = "c2VjcmV0LXRoYXQtbXVzdC1uZXZlci1iZS1sb2dnZWQ"
"""What stands for a credential; no log line may hold it, wherever it was sent."""


class Demo(NamedTuple):
    running: Running
    folder: Path
    port: int
    admin_port: int
    event: str

    @property
    def log(self) -> list[str]:
        return (self.folder / "errors.log").read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("hostile")
    running = Running(("demo", "--json", "--port", 0, "--data-dir", "d"), folder)
    said = running.document
    port, admin_port = (urlsplit(said[name]).port or 0 for name in ("url", "admin_url"))
    yield Demo(running, folder, port, admin_port, said["event"])
    running.end()
    assert running.process.stdout is not None
    running.process.stdout.close()


def send(port: int, request: bytes) -> bytes:
    """Send bytes, end our half, and return all that comes back; b"" for a connection without a word."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                answer += piece
        return answer


def status_of(answer: bytes) -> int | None:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


PIECES = [
    b"GET ", b"POST ", b"HEAD ", b"TRACE ", b"get ", b"/", b"/queue/demo/join", b"/queue/demo/claim",
    b"/auth", b"/queue/\xff/join", b"/queue/demo/room?return_to=//evil", b"//", b"/..", b"%00", b"%2f",
    b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/2.0\r\n", b"Host: localhost\r\n", b"Host: a\r\n", b"\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"hello",
    b"Content-Type: application/json\r\n", b'{"voucher":1}', b"0\r\n\r\n", b"X: \x00\r\n", b"\n", b"\r",
    b"Queue-Token: " + ESSENCE.encode() + b"\r\n", b"Cookie: queue-demo=" + ESSENCE.encode() + b"\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Idempotency-Key: x\r\n", b"Origin: null\r\n",
    b"X-Request-Id: a\r\n", b"User-Agent: \x1b[31m%n{{7*7}}\r\n", b"Expect: 100-continue\r\n",
]  # fmt: skip


def test_no_bytes_cause_an_error_of_ours_or_a_word_in_the_log(demo: Demo) -> None:
    said_before = len(demo.log)
    dice = random.Random(20_260_801)
    statuses: set[int | None] = set()
    for _ in range(REQUESTS):
        request = b"".join(dice.choices(PIECES, k=dice.randint(1, 10)))
        if dice.random() < 0.5:
            request = (
                dice.choice([b"GET", b"POST"])
                + dice.choice([b" /queue/demo/join", b" /queue/demo/position", b" /", b" /auth"])
                + b" HTTP/1.1\r\nHost: localhost\r\n"
                + request
                + b"\r\n"
            )
        status = status_of(send(demo.port, request))
        assert status is None or status < 500 or status == 501, request
        statuses.add(status)
    assert {400, 401} <= statuses
    assert demo.log[said_before:] == []


def test_no_credential_is_logged_wherever_it_is_sent(demo: Demo) -> None:
    visitor = ask(f"http://127.0.0.1:{demo.port}/queue/{demo.event}/join", "POST")
    assert visitor.status == 201
    tokens = [visitor.document["token"], ESSENCE]
    for token in tokens:
        for where in (
            f"GET /book?token={token} HTTP/1.1\r\n",
            f"GET /{token} HTTP/1.1\r\n",
            f"GET /book HTTP/1.1\r\nQueue-Token: {token}\r\n",
            f"GET /book HTTP/1.1\r\nCookie: queue-{demo.event}={token}\r\n",
            f"GET /book HTTP/1.1\r\nAuthorization: Bearer {token}\r\n",
            f"GET /book HTTP/1.1\r\nX-Request-Id: {token[:60]}\r\n",
            f"POST /queue/{demo.event}/join HTTP/1.1\r\nIdempotency-Key: {token}\r\n",
            f"GET /book HTTP/1.1\r\nX: {token}\0\r\n",
        ):
            send(demo.port, f"{where}Host: localhost\r\nConnection: close\r\n\r\n".encode())
    written = "\n".join(demo.log)
    for token in tokens:
        for part in token.split("."):
            assert part not in written
    assert all(isinstance(json.loads(line), dict) for line in demo.log)


def test_strangers_cannot_make_the_metrics_grow(demo: Demo) -> None:
    def series() -> set[str]:
        text = ask(f"http://127.0.0.1:{demo.admin_port}/metrics").body.decode()
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    def visit(number: int) -> None:
        for path in (
            f"/queue/made-up-{number}",
            f"/queue/made-up-{number}/position",
            f"/p{number}",
        ):
            send(
                demo.port,
                f"GET {path} HTTP/1.1\r\nHost: h{number}.example\r\nConnection: close\r\n\r\n".encode(),
            )

    visit(0)
    before = series()
    for number in range(1, 60):
        visit(number)
    assert series() == before
    assert not [name for name in before if "made-up" in name or "example" in name]


def test_slow_clients_keep_nobody_waiting(demo: Demo) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(SLOW):
            slow = stack.enter_context(
                socket.create_connection(("127.0.0.1", demo.port), timeout=20)
            )
            slow.sendall([b"", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX: "][number % 3])
        took: list[float] = []
        for _ in range(40):
            began = time.monotonic()
            answer = ask(f"http://127.0.0.1:{demo.port}/queue/{demo.event}")
            took.append(time.monotonic() - began)
            assert answer.status == 200
    # Generous: the machine may be busy. Held up by one of them, it would be ten seconds.
    assert sorted(took)[-2] < 2
