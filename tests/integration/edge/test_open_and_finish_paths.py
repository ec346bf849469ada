"""What stays open without a pass, and what may be finished after its end."""

import pytest

from tests.support.gateways import let_through
from tests.support.minting import now_s
from tests.support.staging import OpenStage, Stage

OVER = (410, "window-missed")


# What stays open, and what may be finished.


@pytest.mark.parametrize(
    ("method", "target", "is_open"),
    [
        ("GET", "/assets/x.css", True),
        ("POST", "/assets/", True),
        ("GET", "/assets/a/b?c", True),
        ("GET", "/assets", False),
        ("GET", "/assetsx", False),
        ("GET", "/book/assets/x.css", False),
        ("GET", "/about", True),
        ("HEAD", "/about?x=1", True),
        ("POST", "/about", False),
        ("GET", "/about/", False),
        ("GET", "/about.html", False),
        ("POST", "/webhooks/payment", True),
        ("GET", "/webhooks/payment", False),
        ("POST", "/webhooks/payment/x", False),
        ("GET", "/pay", False),
        ("GET", "/", False),
    ],
)
def test_the_open_list_is_exact(stage: Stage, method: str, target: str, *, is_open: bool) -> None:
    reply = stage.visitor().ask(method, target)
    assert reply.status == (200 if is_open else 401)


def test_on_an_open_path_tokens_are_neither_asked_for_nor_passed_on(stage: Stage) -> None:
    visitor = stage.admitted()
    headers = {
        "queue-position": "1",
        "queue-token": visitor.held,
        "cookie": f"a=b; pass-{stage.event}={visitor.held}",
    }
    assert let_through(visitor.get("/assets/x.css", headers))
    assert stage.backend.last.queue_headers == {}
    assert stage.backend.last.all("cookie") == ["a=b"]


def test_who_is_paying_may_finish(stage: Stage) -> None:
    now = now_s()
    ended = stage.mint.held(
        stage.event, stage.generation, 1, issued_at=now - 700, expires_at=now - 5
    )
    for target in ("/pay", "/done/", "/done/receipt"):
        assert let_through(stage.visitor().get(target, {"queue-token": ended}))
        assert stage.backend.last.queue_headers["queue-position"] == "1"
    for target in ("/book", "/pay/more", "/payx", "/done"):
        assert stage.visitor().get(target, {"queue-token": ended}).verdict == OVER


def test_the_grace_has_an_end(open_stage: OpenStage) -> None:
    stage = open_stage(finish_grace_s=60)
    now = now_s()
    for ago_s, verdict in ((50, 200), (61, 410), (7000, 410)):
        held = stage.mint.held(
            stage.event, stage.generation, issued_at=now - 9000, expires_at=now - ago_s
        )
        assert stage.visitor().get("/pay", {"queue-token": held}).status == verdict


def test_who_left_has_nothing_to_finish(stage: Stage) -> None:
    visitor = stage.admitted()
    held = visitor.held
    visitor.call("leave")
    stage.settle()
    assert stage.visitor().get("/pay", {"queue-token": held}).verdict == OVER
