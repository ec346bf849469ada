"""A WebSocket is guarded like any other request; a refused handshake gets the same answer."""

import json
import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import connect

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.gateways import Parser
from tests.support.replies import TIMEOUT_S
from tests.support.staging import Stage
from tests.support.visitors import Visitor


@pytest.fixture(scope="module", params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> Parser:
    chosen: Parser = request.param
    return chosen


def shake(
    visitor: Visitor,
    target: str = "/live",
    headers: dict[str, str] | None = None,
    host: str | None = None,
) -> Response:
    """Try to open a WebSocket; where it opens, have one message echoed. Return the handshake's answer."""
    fields = dict(headers or {})
    if visitor.cookies and "cookie" not in fields:
        fields["cookie"] = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection = socket.create_connection(("127.0.0.1", visitor.port), timeout=TIMEOUT_S)
    try:
        with connect(
            f"ws://{host or visitor.host}{target}",
            sock=connection,
            additional_headers=fields,
            proxy=None,
            compression=None,
        ) as opened:
            opened.send("hello")
            assert opened.recv(TIMEOUT_S) == "hello"
            assert opened.response is not None
            return opened.response
    except InvalidStatus as refused:
        return refused.response
    finally:
        connection.close()


def verdict_of(response: Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    document = json.loads(response.body or b"")
    assert document["status"] == response.status_code
    return response.status_code, document["type"]


def test_a_pass_opens_a_websocket(stage: Stage) -> None:
    visitor = stage.admitted()
    assert shake(visitor, "/live?room=1").status_code == 101
    seen = stage.backend.last
    assert (seen.kind, seen.target) == ("websocket", "/live?room=1")
    assert (seen.queue_headers["queue-event"], seen.queue_headers["queue-position"]) == (
        stage.event,
        "1",
    )
    assert seen.all("cookie") == []


def test_without_one_the_handshake_gets_the_answer_of_any_other_request(stage: Stage) -> None:
    left, waiting = stage.admitted(), stage.waiting()
    tokens = {"queue-token": left.held}
    left.call("leave")
    stage.settle()
    assert verdict_of(shake(stage.visitor())) == (401, "no-token")
    refused = shake(waiting)
    assert verdict_of(refused) == (429, "not-yet")
    assert int(refused.headers["retry-after"]) >= 1
    assert verdict_of(shake(stage.visitor(), headers=tokens)) == (410, "window-missed")
    assert verdict_of(shake(stage.visitor(), "/live;x")) == (400, "not-canonical")
    assert verdict_of(shake(stage.visitor(), host="made-up.example")) == (421, "about:blank")
    assert stage.reached == []


def test_a_browser_is_not_sent_to_a_page_by_a_websocket(stage: Stage) -> None:
    headers = {"accept": "text/html", "sec-fetch-mode": "navigate"}
    assert shake(stage.visitor(), headers=headers).status_code == 401


def test_a_turn_that_has_come_is_claimed_by_the_handshake(stage: Stage) -> None:
    visitor = stage.served()
    response = shake(visitor)
    assert response.status_code == 101
    assert response.headers["set-cookie"].startswith(f"pass-{stage.event}=")
    assert stage.operator.read(stage.event).active_sessions == 1


def test_what_a_client_says_of_itself_is_removed_here_too(stage: Stage) -> None:
    headers = {"Queue-Position": "9", "queue_visitor": "me", "Queue.Event": "x"}
    assert shake(stage.admitted(), headers=headers).status_code == 101
    assert not {"9", "me", "x"} & set(stage.backend.last.queue_headers.values())


def test_the_backend_may_end_the_session_as_it_accepts(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/live/end"] = [("queue-session", "end")]
    response = shake(visitor, "/live/end")
    assert response.status_code == 101
    assert "queue-session" not in response.headers
    eventually(lambda: shake(visitor).status_code == 410, 1.0)


def test_open_paths_and_a_bypass_open_websockets_too(stage: Stage) -> None:
    assert shake(stage.visitor(), "/assets/live").status_code == 101
    stage.change(StateChange.BYPASS)
    assert shake(stage.visitor()).status_code == 101


def test_our_own_calls_are_no_websockets(stage: Stage) -> None:
    visitor = stage.admitted()
    for target in (f"/queue/{stage.event}", f"/queue/{stage.event}/join", "/queue/x/ws"):
        assert verdict_of(shake(visitor, target)) == (404, "about:blank")
    assert shake(visitor, "/healthz").status_code >= 400
    assert shake(visitor, "/auth").status_code >= 400
    assert [seen for seen in stage.reached if seen.kind == "websocket"] == []


@pytest.mark.parametrize("path", ["/auth", "/auth/envoy/book", "/healthz", "/openapi.json"])
def test_our_own_paths_have_no_websocket_and_say_so(stage: Stage, path: str) -> None:
    refused = shake(stage.visitor(), path)
    assert (refused.status_code, refused.headers["content-type"]) == (
        404,
        "application/problem+json",
    )
