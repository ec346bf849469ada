"""The rows of the benchmark: what is asked of which server, and compared with which other."""

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.materials import EVENT, Materials, auth_requests, join_requests, pass_cookie, request

Requests = Sequence[bytes]

# More than any server here answers in a second, where each request can be sent once only.
FIRST_SIGHTS_PER_S = 18_000
KEYED_JOINS_PER_S = 30_000

MANY_JOINS = 512


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        server: Who answers; `base` is who it is compared with.
        requests: Makes the requests of a run from its seconds and the server's port.
        base_request: What the base is asked; None for the same, head for head.
        statuses: What every answer must be.
        bound: The signature that each request cannot avoid: `sign`, `verify` or nothing.
        aim: The least ratio to `base`, or to the bound where there is one.
        connections: Where the row is about their number.
    """

    name: str
    server: str
    base: str
    requests: Callable[[float, int], Requests]
    statuses: frozenset[int]
    aim: float | None = None
    bound: str = ""
    once: bool = False
    connections: int | None = None
    base_request: bytes | None = None


def rows(materials: Materials) -> list[Row]:
    """Return the rows in the order of a round: those that change the event's numbers come last."""
    known = materials.new_passes(1000)
    ok, created = frozenset({200}), frozenset({201})
    booking = request("GET", "/book", pass_cookie(known[0]))
    large = request("GET", "/files/large", pass_cookie(known[0]))
    pointer = request("GET", f"/queue/{EVENT}")
    join = request("POST", f"/queue/{EVENT}/join")
    naive_check = request("GET", "/check", f"Cookie: {materials.naive_cookie()}")
    positions = [
        request("GET", f"/queue/{EVENT}/position", f"Queue-Token: {token}")
        for token in materials.queue_tokens
    ]

    def fixed(*requests: bytes) -> Callable[[float, int], Requests]:
        return lambda _seconds, _port: requests

    def against_bare(
        name: str,
        requests: Callable[[float, int], Requests],
        statuses: frozenset[int] = ok,
        *,
        aim: float | None = None,
        bound: str = "",
        once: bool = False,
        connections: int | None = None,
        server: str = "gateway",
    ) -> Row:
        return Row(name, server, "bare", requests, statuses, aim, bound, once, connections)

    return [
        # How much of the bare app's own figure is due to the length of the question.
        Row(
            "bare app, asked as /auth is",
            "bare",
            "bare",
            fixed(*auth_requests(known[:1])),
            ok,
            base_request=b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        ),
        against_bare("check, one known pass", fixed(*auth_requests(known[:1])), aim=1.0),
        against_bare("check, 1,000 known passes", fixed(*auth_requests(known)), aim=1.0),
        against_bare(
            "check, first sight of a pass",
            lambda seconds, _: auth_requests(
                materials.new_passes(int(seconds * FIRST_SIGHTS_PER_S))
            ),
            aim=0.9,
            bound="verify",
            once=True,
        ),
        against_bare("pointer document", fixed(pointer), aim=0.9),
        against_bare(
            "pointer document, 304", lambda _, port: [_conditional(port)], frozenset({304}), aim=0.9
        ),
        against_bare("position of one who waits", fixed(*positions)),
        Row(
            "middleware around Starlette",
            "guarded",
            "starlette",
            fixed(booking),
            ok,
            aim=0.92,
        ),
        Row("proxy, small answer", "proxy", "nginx", fixed(booking), ok, aim=0.40),
        Row("proxy, 100 KB answer", "proxy", "nginx", fixed(large), ok, aim=0.70),
        against_bare("join", fixed(join), created, aim=0.65, bound="sign"),
        against_bare(
            "join with an Idempotency-Key",
            lambda seconds, _: join_requests(int(seconds * KEYED_JOINS_PER_S)),
            created,
            bound="sign",
            once=True,
        ),
        against_bare(
            f"join, {MANY_JOINS} at once",
            fixed(join),
            created,
            aim=0.65,
            bound="sign",
            connections=MANY_JOINS,
        ),
        against_bare(
            "naive join", fixed(request("POST", "/join")), created, bound="sign", server="naive"
        ),
        against_bare("naive check", fixed(naive_check), bound="verify", server="naive"),
    ]


def _conditional(port: int) -> bytes:
    """Ask for the pointer document as one who has its present version."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/queue/{EVENT}")
        etag = connection.getresponse().headers["ETag"]
    finally:
        connection.close()
    return request("GET", f"/queue/{EVENT}", f"If-None-Match: {etag}")
