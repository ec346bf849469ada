"""GET /auth and /auth/envoy/…: every status that the interface's document promises. More in `edge`."""

import pytest

from gateway.ports import StateChange
from tests.support.replies import Reply
from tests.support.staging import Stage
from tests.support.visitors import NAVIGATION, Visitor


def ask(
    visitor: Visitor, call: str, headers: dict[str, str] | None = None, target: str = "/book"
) -> Reply:
    if call == "/auth":
        told = {"x-forwarded-uri": target, "x-forwarded-host": visitor.host}
        return visitor.get("/auth", {**told, **(headers or {})})
    return visitor.get(f"/auth/envoy{target}", headers)


@pytest.mark.parametrize("call", ["/auth", "/auth/envoy/{path}"])
def test_every_status_means_what_it_means_elsewhere(stage: Stage, call: str) -> None:
    stranger, served = stage.visitor(), stage.served()
    waiting = stage.waiting()
    assert ask(stranger, call).verdict == (401, "no-token")
    assert ask(waiting, call).verdict == (429, "not-yet")
    assert ask(stranger, call, NAVIGATION).status == 303
    assert ask(stranger, call, target="/book;x").verdict == (400, "not-canonical")
    first = ask(served, call)
    assert first.status == 200
    assert set(first.cookies) == {f"pass-{stage.event}"}
    again = ask(served, call)
    assert (again.status, again.cookies) == (200, {})
    stage.change(StateChange.CLOSE)
    assert ask(waiting, call).verdict == (410, "event-closed")
    stage.lose()
    reply = ask(waiting, call)
    # Envoy would replace a 503 by an answer of its own.
    assert (reply.status, reply.json()["type"]) == (
        503 if call == "/auth" else 403,
        "ledger-away",
    )


def test_nginx_is_told_no_status_that_it_does_not_know(stage: Stage) -> None:
    told = {"x-original-uri": "/book", "x-original-host": stage.host}
    reply = stage.waiting().get("/auth?profile=nginx", told)
    assert (reply.status, reply.json()["type"]) == (403, "not-yet")


def test_envoys_answers_have_a_403_for_what_it_would_replace(stage: Stage) -> None:
    stage.lose()
    assert stage.visitor().get("/auth/envoy/book").status == 403


def test_every_answer_is_for_the_proxies_that_may_ask(stage: Stage) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert stage.visitor().ask(method, "/auth", {"x-forwarded-uri": "/book"}).status == 401
        assert stage.visitor().ask(method, "/auth/envoy/book").status == 401
