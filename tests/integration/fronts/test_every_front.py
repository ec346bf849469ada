"""What every proxy must do, by the files that are shipped for it, in front of a real site."""

import contextlib
import json
import select
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.fronts import Before, Front
from tests.support.gateways import BACKEND_BODY
from tests.support.replies import PROBLEM, TIMEOUT_S, Reply, ask, ask_raw
from tests.support.staging import LISTED_ORIGIN, OPEN_HOST, OpenStage
from tests.support.visitors import Visitor

DATA = Path(__file__).parents[2] / "data"

# The bound of a revocation, a second for the gateway to hear of it, and some for a busy machine.
WITHIN_S = 12.0


def refused(reply: Reply) -> tuple[int, str]:
    """Return status and problem type; both must agree, and nobody may keep it."""
    assert reply.header("content-type") == PROBLEM, reply
    document = reply.json()
    assert document["status"] == reply.status
    assert document["title"]
    assert "no-store" in (reply.header("cache-control") or "")
    return reply.status, str(document["type"])


def test_the_whole_way(before: Before) -> None:
    reached = before.reached
    visitor = before.visitor()
    sent = visitor.navigate("/book/7?seat=1&x=%2F")
    assert sent.status == 303
    assert sent.location == (
        f"http://{before.stage.host}/queue/{before.stage.event}/room"
        "?return_to=/book/7%3Fseat%3D1%26x%3D%252F"
    )
    room = sent.location.removeprefix(f"http://{before.stage.host}")
    assert b"Join the queue" in visitor.navigate(room).body
    visitor.join()
    assert visitor.navigate("/book/7").status == 303
    assert before.reached == reached
    before.stage.release()
    let_in = visitor.navigate("/book/7?seat=1&x=%2F")
    assert (let_in.status, let_in.body) == (200, BACKEND_BODY)
    assert before.site.last.target == "/book/7?seat=1&x=%2F"
    assert before.site.last.all("host") == [before.stage.host]
    assert set(let_in.cookies) == {f"pass-{before.stage.event}"}
    again = visitor.get("/book/8")
    assert (again.status, again.body, again.cookies) == (200, BACKEND_BODY, {})
    assert before.stage.operator.read(before.stage.event).claims == 1


def test_a_refusal_has_the_status_that_is_meant(before: Before) -> None:
    stage = before.stage
    stranger = before.visitor().get("/book")
    assert refused(stranger) == (401, "no-token")
    assert stranger.header("www-authenticate") == "Bearer"
    waiting = before.waiting().get("/book")
    assert refused(waiting) == (429, "not-yet")
    assert int(waiting.header("retry-after") or "") >= 1
    assert refused(before.visitor().get("/book;x")) == (400, "not-canonical")
    admitted = before.admitted()
    held = {"queue-token": admitted.held}
    assert admitted.get("/book").status == 200
    admitted.call("leave")
    stage.settle()
    eventually(lambda: before.visitor().get("/book", held).status == 410, WITHIN_S)
    assert refused(before.visitor().get("/book", held)) == (410, "window-missed")
    stage.change(StateChange.CLOSE)
    assert refused(before.visitor().get("/book")) == (410, "event-closed")
    stage.lose()
    lost = before.visitor().get("/book")
    assert refused(lost) == (503, "ledger-away")
    assert lost.header("retry-after") == "5"


def test_at_the_limit_whose_turn_has_come_waits_for_room(
    open_stage: OpenStage, front: Front
) -> None:
    before = Before(open_stage(max_sessions=1), front)
    first, second = before.waiting(), before.waiting()
    before.stage.release(2)
    assert first.get("/book").status == 200
    full = second.get("/book")
    assert refused(full) == (429, "backend-full")
    assert int(full.header("retry-after") or "") >= 1


def test_everything_that_the_gateway_says_of_a_refusal_arrives_where_it_can(before: Before) -> None:
    document = before.waiting().get("/book").json()
    assert document["type"] == "not-yet"
    assert (document.get("position") == 1) == before.kind.details


def test_a_refusal_may_be_read_by_pages_of_listed_origins(common: Before) -> None:
    told = common.visitor().get("/book", {"origin": LISTED_ORIGIN})
    assert told.status == 401
    assert told.header("access-control-allow-origin") == LISTED_ORIGIN
    other = common.visitor().get("/book", {"origin": "https://elsewhere.example"})
    assert (other.status, other.header("access-control-allow-origin")) == (401, None)


def test_a_pass_that_was_ended_admits_no_longer_than_the_bound(before: Before) -> None:
    visitor = before.admitted()
    held = {"queue-token": visitor.held}
    somebody = before.visitor()
    assert somebody.get("/book", held).status == 200
    visitor.call("leave")
    eventually(lambda: somebody.get("/book", held).status == 410, WITHIN_S)


def test_the_site_is_told_who_comes_and_by_the_gateway_alone(before: Before) -> None:
    visitor = before.admitted()
    forged = {
        "Queue-Event": "another",
        "queue-position": "999",
        "Queue-Visitor": "me",
        "queue-status": "admitted",
        "queue_position": "999",
        "Queue.Position": "999",
        "QUEUE_VISITOR": "me",
        "Queue_Event": "another",
        "Connection": "queue-event, queue-position, queue-visitor",
    }
    assert visitor.get("/book", forged).status == 200
    said = before.site.last.queue_headers
    assert (said["queue-event"], said["queue-position"]) == (before.stage.event, "1")
    assert not {"999", "me", "another", "admitted"} & set(said.values())
    assert before.visitor().get("/assets/x.css", forged).status == 200
    said = before.site.last.queue_headers
    assert not {"999", "me", "another", "admitted"} & set(said.values())


# Of an origin that the event lists, which is why it would go through.
_PREFLIGHT = {"origin": LISTED_ORIGIN, "access-control-request-method": "GET"}

FORGED: list[Mapping[str, str]] = [
    {"x-original-uri": "/assets/x"},
    {"x-original-host": OPEN_HOST},
    {"x-original-method": "OPTIONS", **_PREFLIGHT},
    {"x-forwarded-uri": "/assets/x", "x-forwarded-host": OPEN_HOST},
    {"X-Forwarded-Host": OPEN_HOST},
    {"x-forwarded-method": "OPTIONS", **_PREFLIGHT},
    {"x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-prefix": "/assets"},
    {"x-forwarded-for": "127.0.0.1", "forwarded": f"for=127.0.0.1;host={OPEN_HOST}"},
    {"x-original-url": "/assets/x", "x-rewrite-url": "/assets/x"},
    {"x_forwarded_uri": "/assets/x", "x.forwarded.host": OPEN_HOST},
    {"x-envoy-original-path": "/assets/x", "x-envoy-original-method": "OPTIONS"},
    {"connection": "x-original-uri, x-original-host, x-forwarded-uri, x-forwarded-host"},
    {"queue-status": "admitted", "queue-event": "x", "queue-position": "1"},
    {"authorization": "Bearer x"},
    {"user-agent": "nginx"},
    {"upgrade": "websocket", "connection": "upgrade"},
]


@pytest.mark.parametrize("headers", FORGED, ids=lambda headers: next(iter(headers)))
def test_no_field_of_a_visitor_is_taken_for_the_proxys(
    common: Before, headers: Mapping[str, str]
) -> None:
    reached = common.reached
    assert common.visitor().get("/book", headers).status in (400, 401)
    assert common.reached == reached


def test_how_a_visitor_came_is_the_proxys_word(before: Before) -> None:
    # Over TLS the cookies have other names: believed, this would turn the visitor away.
    forged = {"x-forwarded-proto": "https", "x-original-proto": "https"}
    visitor = before.visitor()
    visitor.join(forged)
    assert set(visitor.cookies) == {f"queue-{before.stage.event}"}
    before.stage.release()
    reply = visitor.get("/book", forged)
    assert (reply.status, reply.body) == (200, BACKEND_BODY)
    sent = before.visitor().navigate("/book", forged)
    assert sent.location.startswith(f"http://{before.stage.host}/")


def test_the_gateways_own_questions_are_not_for_visitors(common: Before) -> None:
    reached = common.reached
    for target in (
        "/auth?profile=nginx",
        "/auth/envoy/assets/x",
        "/_admission",
        "/_verified",
        "/metrics",
    ):
        fields = [("host", common.stage.host), ("x-original-uri", "/assets/x")]
        reply = ask(common.front.port, "GET", target, fields)
        assert reply.status in (401, 404), target
    assert common.reached == reached


def send_raw(before: Before, request: str) -> None:
    """Send it; what is answered, and whether at all, is the proxy's matter."""
    with contextlib.suppress(ConnectionError):
        ask_raw(before.front.port, request.encode("latin-1"))


def test_no_spelling_of_a_protected_path_reaches_the_site(common: Before) -> None:
    reached = common.reached
    got_by = []
    for case in json.loads((DATA / "bypass_targets.json").read_text("utf-8")):
        request = f"GET {case['target']} HTTP/1.1\r\nHost: {common.stage.host}\r\nConnection: close\r\n\r\n"
        send_raw(common, request)
        # An address in the request line may be that of an open host, and then it is served as that.
        hosts = [host for seen in common.site.seen[reached:] for host in seen.all("host")]
        reached = common.reached
        if set(hosts) - {OPEN_HOST}:
            got_by.append(case["target"])
    assert got_by == []


def test_no_spelling_of_a_host_reaches_the_site(common: Before) -> None:
    reached = common.reached
    for case in json.loads((DATA / "hosts.json").read_text("utf-8")):
        hosts = "".join(f"Host: {host}\r\n" for host in case["hosts"])
        hosts = hosts.replace("booking.example", common.stage.host)
        request = f"GET /book/seat HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"
        send_raw(common, request)
    assert [(seen.target, seen.all("host")) for seen in common.site.seen[reached:]] == []


def test_the_host_that_is_judged_is_the_host_that_is_served(common: Before) -> None:
    # An address in the request line goes before the Host field (RFC 9112, section 3.2.2).
    reached = common.reached
    for line, host in ((OPEN_HOST, common.stage.host), (common.stage.host, OPEN_HOST)):
        request = (
            f"GET http://{line}/book/seat HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        send_raw(common, request)
    assert common.stage.host not in [
        host for seen in common.site.seen[reached:] for host in seen.all("host")
    ]


def test_what_is_open_goes_through(common: Before) -> None:
    for target in ("/assets/x.css?v=1", "/assets/b%C3%BCcher", "/about"):
        reply = common.visitor().get(target)
        assert (reply.status, reply.body) == (200, BACKEND_BODY)
        assert common.site.last.target == target
    assert common.visitor().ask("POST", "/about", body=b"").status == 401


def test_nobody_passes_while_nobody_listens_where_the_gateway_was(before: Before) -> None:
    # Somebody new: what a proxy kept of an admission may go on for some seconds, and no longer.
    held = before.stage.mint.held(before.stage.event, before.stage.generation)
    reached = before.reached
    with before.front.wire.refusing():
        fields = [("host", before.stage.host), ("queue-token", held)]
        call = ask(before.front.port, "GET", f"/queue/{before.stage.event}/position", fields)
        assert call.status in (502, 503)
        for target in ("/book", "/assets/x.css"):
            reply = before.visitor().get(target, {"queue-token": held})
            assert reply.status == before.kind.away
            if before.kind.retry_when_away:
                assert reply.header("retry-after") == "5"
    assert before.reached == reached
    eventually(lambda: before.visitor().get("/book", {"queue-token": held}).status == 200)


def test_nobody_passes_while_the_gateway_says_nothing(before: Before) -> None:
    held = before.stage.mint.held(before.stage.event, before.stage.generation)
    reached = before.reached
    with before.front.wire.silent():
        if before.kind.impatient:
            reply = before.visitor().get("/book", {"queue-token": held})
            assert reply.status == before.kind.away
        else:
            with begin(before.visitor(), "/book", f"Queue-Token: {held}\r\n") as connection:
                assert not select.select([connection], [], [], 2.0)[0]
    assert before.reached == reached
    eventually(lambda: before.visitor().get("/book", {"queue-token": held}).status == 200)


def shake(visitor: Visitor, target: str = "/live") -> int:
    """Try to open a WebSocket; where it opens, have a message echoed. Return the handshake's status."""
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection = socket.create_connection(("127.0.0.1", visitor.port), timeout=TIMEOUT_S)
    try:
        with connect(
            f"ws://{visitor.host}{target}",
            sock=connection,
            additional_headers={"cookie": cookies} if cookies else {},
            proxy=None,
            compression=None,
        ) as opened:
            opened.send("hello")
            assert opened.recv(TIMEOUT_S) == "hello"
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code
    finally:
        connection.close()


def test_a_websocket_is_guarded_and_goes_through(before: Before) -> None:
    reached = before.reached
    assert shake(before.visitor()) == 401
    assert shake(before.waiting()) == 429
    assert before.reached == reached
    assert shake(before.admitted(), "/live?room=1") == 101
    assert (before.site.last.kind, before.site.last.target) == ("websocket", "/live?room=1")
    assert before.site.last.queue_headers["queue-event"] == before.stage.event


def test_a_waiting_visitors_websocket_hears_of_a_release(before: Before) -> None:
    visitor = before.waiting()
    connection = socket.create_connection(("127.0.0.1", visitor.port), timeout=TIMEOUT_S)
    with connect(
        f"ws://{visitor.host}/queue/{visitor.event}/ws", sock=connection, proxy=None
    ) as opened:
        assert json.loads(opened.recv(TIMEOUT_S))["served_up_to"] == 0
        before.stage.release()
        while json.loads(opened.recv(TIMEOUT_S))["served_up_to"] < 1:
            pass


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        assert select.select([connection], [], [], TIMEOUT_S)[0], got
        piece = connection.recv(65_536)
        assert piece, got
        got += piece
    return got


def begin(visitor: Visitor, target: str, more: str = "") -> socket.socket:
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {visitor.host}\r\nAccept: text/event-stream\r\n"
        f"Cookie: {cookies}\r\n{more}\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", visitor.port), timeout=TIMEOUT_S)
    connection.sendall(request.encode())
    return connection


def test_what_the_site_streams_arrives_before_it_goes_on(before: Before) -> None:
    before.site.go_on.clear()
    with begin(before.admitted(), "/book/stream") as connection:
        read_until(connection, b"data: one\n\n")
        before.site.go_on.set()
        read_until(connection, b"data: two\n\n")


def test_a_waiting_visitors_stream_hears_of_a_release(before: Before) -> None:
    visitor = before.waiting()
    with begin(visitor, f"/queue/{visitor.event}/events") as connection:
        read_until(connection, b'"served_up_to":0')
        before.stage.release()
        read_until(connection, b'"served_up_to":1')


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_bodies_and_cookies_go_through_both_ways(before: Before, size: int) -> None:
    visitor = before.served()
    body = b"s" * size
    reply = visitor.ask("POST", "/book/form", body=body)
    assert (reply.status, reply.body) == (200, body)
    # The site's own cookies, and the pass of the turn that was claimed by this very request.
    assert set(reply.cookies) == {"basket", "seat", f"pass-{before.stage.event}"}
    again = visitor.ask("POST", "/book/form", body=body)
    assert (again.status, again.body, set(again.cookies)) == (200, body, {"basket", "seat"})


def test_a_pass_arrives_whatever_the_site_answers(before: Before) -> None:
    reply = before.served().ask("POST", "/book/form?missing", body=b"x")
    assert reply.status == 404
    assert f"pass-{before.stage.event}" in reply.cookies


def test_no_cache_keeps_an_answer_that_sets_a_pass(before: Before) -> None:
    for target, said in (("/book/1", []), ("/book/2", [("Cache-Control", "public, max-age=60")])):
        before.site.says[target] = said
        reply = before.served().get(target)
        assert f"pass-{before.stage.event}" in reply.cookies
        kept_out = "no-store" in ", ".join(reply.all("cache-control"))
        assert kept_out == before.kind.keeps_claims_out_of_caches


def test_what_a_pass_has_earned_is_its_bearers_alone(before: Before) -> None:
    before.site.says["/book/2"] = [("Cache-Control", "max-age=60")]
    visitor = before.admitted()
    assert visitor.get("/book/2").all("cache-control") == ["max-age=60"]
    expected = ["private"] if before.kind.says_private else []
    assert visitor.get("/book/1").all("cache-control") == expected
    assert before.visitor().get("/assets/x.css").all("cache-control") == []


def test_a_pass_is_read_from_a_field_and_as_a_bearer_too(before: Before) -> None:
    held = before.admitted().held
    for headers in ({"queue-token": held}, {"authorization": f"Bearer {held}"}):
        assert before.visitor().get("/book", headers).status == 200
        assert before.site.last.all("queue-token") == []
    assert before.visitor().get("/book", {"authorization": "Basic eDp5"}).status == 401
    visitor = before.admitted()
    assert visitor.get("/book", {"authorization": "Basic eDp5"}).status == 200
    assert before.site.last.all("authorization") == ["Basic eDp5"]


def test_two_different_passes_are_refused(before: Before) -> None:
    first, second = before.admitted(), before.admitted()
    reached = before.reached
    for fields in (
        [("cookie", f"pass-{before.stage.event}={first.held}"), ("queue-token", second.held)],
        [("queue-token", first.held), ("authorization", f"Bearer {second.held}")],
    ):
        assert before.visitor().get("/book", fields).status == 400
    assert before.reached == reached
