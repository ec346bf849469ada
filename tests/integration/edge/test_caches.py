"""What a cache that obeys HTTP may keep of our answers: nothing that was earned by a pass."""

import pytest

from tests.support.replies import Reply
from tests.support.staging import Stage

WISHES = ["public, max-age=600", "max-age=600", "s-maxage=600, public", "immutable, max-age=1"]


def directives(reply: Reply) -> set[str]:
    """Return what the answer says to caches; said twice, both count (RFC 9111, section 5.2)."""
    return {
        part.strip().lower()
        for value in reply.all("cache-control")
        for part in value.split(",")
        if part.strip()
    }


def may_be_shared(reply: Reply) -> bool:
    """Whether a shared cache may keep it for somebody else (RFC 9111, section 3)."""
    return not directives(reply) & {"no-store", "private"}


@pytest.mark.parametrize("wish", WISHES)
def test_an_answer_that_hands_out_a_pass_is_kept_nowhere(stage: Stage, wish: str) -> None:
    path = f"/book/{stage.event}"
    stage.backend.says[path] = [("Cache-Control", wish), ("cache-control", "public")]
    visitor = stage.served()
    reply = visitor.get(path)
    assert reply.status == 200
    assert any("pass-" in cookie for cookie in reply.all("set-cookie"))
    assert directives(reply) == {"no-store"}


@pytest.mark.parametrize("wish", WISHES)
def test_an_answer_that_makes_a_session_longer_is_kept_nowhere(stage: Stage, wish: str) -> None:
    path = f"/book/{stage.event}"
    stage.backend.says[path] = [("Cache-Control", wish), ("Queue-Session", "extend=900")]
    reply = stage.admitted().get(path)
    assert reply.status == 200
    assert any("pass-" in cookie for cookie in reply.all("set-cookie"))
    assert directives(reply) == {"no-store"}


def test_what_the_backend_says_nothing_of_is_its_bearers_alone(stage: Stage) -> None:
    visitor = stage.admitted()
    for path in ("/book", "/book/x.css", "/book/style.css?x=.js", "/book/1/logo.png"):
        reply = visitor.get(path)
        assert reply.status == 200
        assert not may_be_shared(reply), path


def test_no_refusal_and_no_way_to_the_waiting_page_is_kept(stage: Stage) -> None:
    for visitor in (stage.visitor(), stage.waiting()):
        for reply in (
            visitor.get("/book"),
            visitor.get("/book/x.css"),
            visitor.navigate("/book"),
            visitor.ask("POST", "/book"),
            visitor.get("/book//x"),
        ):
            assert reply.status in (303, 400, 401, 429)
            assert "no-store" in directives(reply)


def test_no_answer_to_one_visitors_call_is_kept(stage: Stage) -> None:
    visitor = stage.served()
    for verb in ("position", "join", "claim", "extend", "refresh", "room/plain", "onward", "leave"):
        assert "no-store" in directives(visitor.call(verb)), verb


def test_what_everyone_gets_alike_is_the_same_bytes_with_and_without_a_pass(stage: Stage) -> None:
    for path in (f"/queue/{stage.event}", "/.well-known/jwks.json", "/openapi.json"):
        shared = stage.visitor().get(path)
        held = stage.admitted().get(path)
        assert may_be_shared(shared)
        assert not shared.all("set-cookie")
        if path != f"/queue/{stage.event}":
            assert (held.body, directives(held)) == (shared.body, directives(shared))
