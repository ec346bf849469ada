"""What happens to a request at the edge: let through, claimed on the spot, or turned back."""

import pytest

from tests.support.contract import CONTRACT
from tests.support.gateways import let_through
from tests.support.minting import Mint, now_s
from tests.support.staging import FINISH_GRACE_S, LISTED_ORIGIN, OpenStage, Stage

NO_TOKEN = (401, "no-token")
NOT_YET = (429, "not-yet")
OVER = (410, "window-missed")


# Let through.


def test_a_pass_lets_every_method_through(stage: Stage) -> None:
    visitor = stage.admitted()
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
        assert let_through(visitor.ask(method, "/book/7?seat=1&row=%20a", body=b"x" * 100))
        assert (stage.backend.last.method, stage.backend.last.target) == (
            method,
            "/book/7?seat=1&row=%20a",
        )
    assert visitor.ask("HEAD", "/book").status == 200


@pytest.mark.parametrize("way", ["cookie", "header", "bearer"])
def test_a_pass_travels_in_a_cookie_a_field_or_as_a_bearer_credential(
    stage: Stage, way: str
) -> None:
    held = stage.admitted().held
    headers = {
        "cookie": {"cookie": f"pass-{stage.event}={held}"},
        "header": {"queue-token": held},
        "bearer": {"authorization": f"Bearer {held}"},
    }[way]
    assert let_through(stage.visitor().get("/book", headers))


def test_an_admitted_answer_is_the_backends_own(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/own"] = [
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "basket=1"),
        ("set-cookie", "theme=dark"),
        ("x-own", "1"),
    ]
    reply = visitor.get("/own")
    assert [header for header in reply.headers if header[0] != "content-length"] == (
        stage.backend.says["/own"]
    )


def test_the_backend_is_told_who_comes(stage: Stage) -> None:
    stage.waiting()
    visitor = stage.admitted()
    visitor.get("/book")
    said = stage.backend.last.queue_headers
    assert set(said) == {"queue-event", "queue-position", "queue-visitor"}
    assert (said["queue-event"], said["queue-position"]) == (stage.event, "2")
    assert len(said["queue-visitor"]) == 22
    visitor.get("/other")
    assert stage.backend.last.queue_headers == said


# Claimed on the spot.


def test_whose_turn_has_come_is_let_in_on_the_spot(stage: Stage) -> None:
    visitor = stage.served()
    stage.backend.says["/fresh"] = [
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "basket=1"),
    ]
    reply = visitor.get("/fresh")
    assert let_through(reply)
    assert set(reply.cookies) == {"basket", f"pass-{stage.event}"}
    assert reply.header("cache-control") == "no-store"
    life_s = int(reply.cookies[f"pass-{stage.event}"].attributes["max-age"])
    assert abs(life_s - 600 - FINISH_GRACE_S) <= 1
    again = visitor.get("/fresh")
    assert set(again.cookies) == {"basket"}
    assert again.header("cache-control") == "public, max-age=60"
    assert stage.operator.read(stage.event).claims == 1


def test_a_post_is_claimed_on_the_spot_too(stage: Stage) -> None:
    visitor = stage.served()
    assert let_through(visitor.ask("POST", "/book", body=b"seat=1"))
    assert visitor.has("pass")


def test_an_app_that_shows_its_place_each_time_has_one_session(stage: Stage) -> None:
    visitor = stage.served()
    place = visitor.place
    for _ in range(3):
        assert let_through(stage.visitor().get("/book", {"queue-token": place}))
    assert stage.operator.read(stage.event).active_sessions == 1


def test_whose_turn_has_come_waits_at_the_edge_while_the_site_is_full(
    open_stage: OpenStage,
) -> None:
    stage = open_stage(max_sessions=1)
    first, second = stage.waiting(), stage.waiting()
    stage.release(2)
    assert let_through(first.get("/book"))
    reply = second.get("/book")
    assert reply.verdict == (429, "backend-full")
    assert int(reply.header("retry-after") or "") >= 1
    first.call("leave")
    assert let_through(second.get("/book"))


# Turned back.


def test_a_browser_goes_to_the_waiting_page_and_comes_back(stage: Stage) -> None:
    visitor = stage.visitor()
    sent = visitor.navigate("/book/7?seat=1&x=%2F")
    assert (sent.status, sent.body) == (303, b"")
    assert sent.header("cache-control") == "no-store"
    assert sent.location == (f"/queue/{stage.event}/room?return_to=/book/7%3Fseat%3D1%26x%3D%252F")
    visitor.join()
    assert visitor.navigate("/book/7").status == 303
    stage.release()
    visitor.claim()
    back = visitor.navigate(sent.location.replace("/room?", "/onward?"))
    assert back.location == "/book/7?seat=1&x=%2F"
    assert let_through(visitor.navigate(back.location))
    assert stage.backend.last.target == "/book/7?seat=1&x=%2F"


@pytest.mark.parametrize(
    ("method", "headers", "page"),
    [
        ("GET", {"accept": "text/html"}, True),
        ("HEAD", {"accept": "text/html,*/*;q=0.1"}, True),
        ("GET", {"accept": "*/*"}, False),
        ("GET", {}, False),
        ("POST", {"accept": "text/html"}, False),
        ("GET", {"accept": "text/html", "sec-fetch-mode": "navigate"}, True),
        ("POST", {"accept": "text/html", "sec-fetch-mode": "navigate"}, True),
        ("GET", {"accept": "text/html", "sec-fetch-mode": "cors"}, False),
        ("GET", {"accept": "text/html", "sec-fetch-mode": "no-cors"}, False),
        ("GET", {"accept": "application/json"}, False),
    ],
)
def test_only_a_persons_browser_is_sent_to_a_page(
    stage: Stage, method: str, headers: dict[str, str], *, page: bool
) -> None:
    reply = stage.visitor().ask(method, "/book", headers)
    assert stage.told_to_wait(reply) == page
    assert page or reply.status == 401


def test_anything_else_gets_the_problem(stage: Stage) -> None:
    stranger, waiting, left = stage.visitor(), stage.waiting(), stage.admitted()
    also_waiting = stage.waiting()
    tokens = (left.place, left.held)
    left.call("leave")
    stage.settle()
    answers = [
        (stranger.get("/book"), NO_TOKEN),
        (also_waiting.get("/book"), NOT_YET),
        *((stage.visitor().get("/book", {"queue-token": token}), OVER) for token in tokens),
    ]
    assert let_through(waiting.get("/book"))
    for reply, verdict in answers:
        assert reply.verdict == verdict
        CONTRACT.check_schema("Problem", reply.json())
        assert reply.cookies == {}
    assert answers[0][0].header("www-authenticate") == "Bearer"
    problem = answers[1][0].json()
    assert answers[1][0].header("retry-after") == str(problem["retry_after"])
    assert problem["position"] == 3


def test_a_page_of_a_listed_origin_may_read_the_refusal(stage: Stage) -> None:
    listed = stage.waiting().get("/book", {"origin": LISTED_ORIGIN})
    assert listed.header("access-control-allow-origin") == LISTED_ORIGIN
    assert "Retry-After" in (listed.header("access-control-expose-headers") or "")
    assert listed.header("vary") == "Origin"
    other = stage.visitor().get("/book", {"origin": "https://evil.example"})
    assert other.header("access-control-allow-origin") is None
    assert other.header("vary") == "Origin"


def test_a_preflight_is_answered_without_a_token_and_goes_no_further(stage: Stage) -> None:
    asked = {
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type, queue-token",
    }
    listed = stage.visitor().ask("OPTIONS", "/book", {"origin": LISTED_ORIGIN, **asked})
    assert (listed.status, listed.body) == (204, b"")
    assert listed.header("access-control-allow-origin") == LISTED_ORIGIN
    assert listed.header("access-control-allow-methods") == "PUT"
    assert listed.header("access-control-allow-headers") == "content-type, queue-token"
    other = stage.visitor().ask("OPTIONS", "/book", {"origin": "https://evil.example", **asked})
    assert (other.status, other.header("access-control-allow-origin")) == (204, None)
    # Not a preflight, so it needs a pass.
    for headers in ({}, {"origin": LISTED_ORIGIN}, asked):
        assert stage.visitor().ask("OPTIONS", "/book", headers).verdict == NO_TOKEN
    assert stage.reached == []


def test_nothing_but_a_token_admits(stage: Stage) -> None:
    for headers in (
        {"x-original-url": "/assets/x"},
        {"x-rewrite-url": "/assets/x"},
        {"x-original-uri": "/assets/x"},
        {"x-forwarded-uri": "/assets/x"},
        {"x-forwarded-prefix": "/assets"},
        {"x-forwarded-host": "static.example"},
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-method": "OPTIONS"},
        {"x-http-method-override": "OPTIONS"},
        {"forwarded": "for=127.0.0.1;host=static.example"},
        {"user-agent": "kube-probe/1.30"},
        {"user-agent": "ELB-HealthChecker/2.0"},
        {"queue-position": "1", "queue-event": stage.event, "queue-visitor": "me"},
        {"queue-status": "admitted"},
        {"authorization": "Bearer admin"},
        {"authorization": "Basic YWRtaW46YWRtaW4="},
        {"cookie": f"pass-{stage.event}="},
        {"cookie": f"pass-{stage.event}=x; queue-{stage.event}=y"},
        {"connection": "queue-event, close"},
        {"connection": "upgrade", "upgrade": "h2c"},
    ):
        reply = stage.visitor().get("/book", headers)
        assert reply.verdict == NO_TOKEN, headers
    assert stage.reached == []


def test_a_token_in_the_address_is_no_token(stage: Stage) -> None:
    held = stage.admitted().held
    for target in (f"/book?queue-token={held}", f"/book?pass-{stage.event}={held}"):
        assert stage.visitor().get(target).verdict == NO_TOKEN


def test_a_pass_of_another_event_or_key_admits_nobody(open_stage: OpenStage, site: Mint) -> None:
    other, stage = open_stage(), open_stage()
    held = other.admitted().held
    mint, event, generation = stage.mint, stage.event, stage.generation
    for token in (
        held,
        mint.held(event, generation, issuer="somebody"),
        mint.held(event, generation, issued_at=now_s() + 3600, expires_at=now_s() + 7200),
        mint.held(event, generation)[:-6] + "AAAAAA",
        site.held(event, generation),
    ):
        assert stage.visitor().get("/book", {"queue-token": token}).verdict == NO_TOKEN
    reply = stage.visitor().get("/book", {"queue-token": mint.held(event, generation + 1)})
    assert reply.verdict == (410, "generation-over")


def test_two_different_tokens_of_one_kind_are_refused(stage: Stage) -> None:
    first, second = stage.admitted(), stage.admitted()
    for headers in (
        {"queue-token": second.held},
        {"queue-token": second.place},
        {"authorization": f"Bearer {second.held}"},
        [("queue-token", first.held), ("queue-token", second.held)],
        [("cookie", f"pass-{stage.event}={first.held}; pass-{stage.event}={second.held}")],
        [
            ("cookie", f"pass-{stage.event}={first.held}"),
            ("cookie", f"pass-{stage.event}={second.held}"),
        ],
    ):
        assert first.get("/book", headers).verdict == (400, "not-canonical")
    # The same one twice is one.
    assert let_through(first.get("/book", {"queue-token": first.held}))
