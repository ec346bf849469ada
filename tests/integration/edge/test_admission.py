"""What happens to a request at the edge: let through, claimed on the spot, or turned back."""

import time

import pytest

from tests.support.contract import CONTRACT
from tests.support.eventually import eventually
from tests.support.gateways import BACKEND_BODY
from tests.support.minting import Mint, now_s
from tests.support.replies import Reply
from tests.support.staging import LISTED_ORIGIN, OpenStage, Stage
from tests.support.visitors import NAVIGATION

NO_TOKEN = (401, "no-token")
NOT_YET = (429, "not-yet")
OVER = (410, "window-missed")


def let_through(reply: Reply) -> bool:
    return (reply.status, reply.body) == (200, BACKEND_BODY)


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
    assert abs(life_s - 600) <= 1
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
    back = visitor.navigate(sent.location)
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


# The end of a pass.


def test_a_pass_ends_at_its_end_and_not_a_minute_later(stage: Stage) -> None:
    ends_at = now_s() + 2
    held = stage.mint.held(stage.event, stage.generation, expires_at=ends_at)
    visitor = stage.visitor()
    assert let_through(visitor.get("/book", {"queue-token": held}))
    eventually(lambda: visitor.get("/book", {"queue-token": held}).status == 410)
    assert ends_at - 0.1 < time.time() < ends_at + 1


def test_a_pass_whose_session_was_left_is_refused_within_a_second(stage: Stage) -> None:
    visitor = stage.admitted()
    held = visitor.held
    visitor.call("leave")
    left_at = time.monotonic()
    eventually(lambda: stage.visitor().get("/book", {"queue-token": held}).status == 410)
    assert time.monotonic() - left_at < 1.0
    assert stage.told_to_wait(stage.visitor().navigate("/book", {"queue-token": held}))


def test_whose_pass_has_ended_is_not_seated_again(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    visitor.drop("pass")
    stage.elapse(61)
    assert visitor.get("/book").verdict == OVER


def test_a_longer_session_admits_under_its_new_pass(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60, extend_s=6000)
    visitor = stage.admitted()
    assert visitor.call("extend").status == 200
    assert let_through(visitor.get("/book"))


# What the backend says of a session.


def test_the_backend_ends_a_session(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/end"] = [("Queue-Session", "end"), ("x-own", "1")]
    reply = visitor.get("/end")
    assert let_through(reply)
    assert (reply.header("queue-session"), reply.header("x-own")) == (None, "1")
    assert stage.operator.read(stage.event).active_sessions == 0
    eventually(lambda: visitor.get("/book").status == 410, 1.0)


def test_the_backend_makes_a_session_longer(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60, extend_times=0)
    visitor = stage.admitted()
    stage.backend.says["/longer"] = [("queue-session", "extend=3000")]
    reply = visitor.get("/longer")
    assert let_through(reply)
    assert reply.header("queue-session") is None
    assert reply.header("cache-control") == "no-store"
    assert abs(int(reply.cookies[f"pass-{stage.event}"].attributes["max-age"]) - 3000) <= 1
    assert visitor.call("position").json()["session_ends_at"] > now_s() + 2900


def test_the_first_request_of_a_session_may_end_or_lengthen_it(stage: Stage) -> None:
    stage.backend.says["/longer"] = [("queue-session", "extend=3000")]
    stage.backend.says["/end"] = [("queue-session", "end")]
    longer = stage.served().get("/longer")
    assert int(longer.cookies[f"pass-{stage.event}"].attributes["max-age"]) > 2900
    assert let_through(stage.served().get("/end"))
    assert stage.operator.read(stage.event).active_sessions == 1


@pytest.mark.parametrize(
    "said",
    ["", "END", "end;x", "extend", "extend=", "extend=-1", "extend=1.5", "extend=999999", "x"],
)
def test_anything_else_that_the_backend_says_goes_no_further(stage: Stage, said: str) -> None:
    visitor = stage.admitted()
    stage.backend.says["/odd"] = [("queue-session", said)]
    reply = visitor.get("/odd")
    assert let_through(reply)
    assert (reply.header("queue-session"), reply.cookies) == (None, {})
    assert let_through(visitor.get("/book"))


def test_on_an_open_path_the_backend_speaks_of_nobody(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/assets/end"] = [("queue-session", "end")]
    assert visitor.get("/assets/end").header("queue-session") is None
    assert let_through(visitor.get("/book"))


def test_a_browser_is_sent_to_the_page_of_the_closest_event(stage: Stage) -> None:
    reply = stage.visitor().ask("GET", "/book", {**NAVIGATION, "cookie": "x=y"})
    assert stage.told_to_wait(reply)
