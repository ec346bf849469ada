"""What nginx keeps of the gateway's answers: admissions for seconds, the pointer for one, nothing else."""

import time

import pytest

from tests.integration.fronts.conftest import SHARED_HOST
from tests.support.eventually import eventually
from tests.support.fronts import NGINX, Before, Kind
from tests.support.gateways import BACKEND_BODY
from tests.support.minting import now_s
from tests.support.replies import ask
from tests.support.staging import OpenStage
from tests.support.visitors import Visitor

# Below: the most that a busy machine's seconds may cost. What is not kept is asked about each time.
A_HANDFUL = 20
BOUND_S = 5

# The end of a pass is reckoned on the ledger's clock, as far as a gateway knows it.
CLOCKS_PART_S = 0.1


@pytest.fixture(scope="module", params=[NGINX], ids=["nginx"])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


def asked(before: Before) -> int:
    return before.front.door.count("/auth")


def test_a_stream_of_admitted_requests_hardly_reaches_the_gateway(before: Before) -> None:
    visitor = before.admitted()
    first = asked(before)
    for number in range(500):
        reply = visitor.get(f"/book/{number}?seat={number}")
        assert (reply.status, reply.body) == (200, BACKEND_BODY)
        assert before.site.last.queue_headers["queue-position"] == "1"
    assert 1 <= asked(before) - first <= A_HANDFUL


def test_waiting_visitors_who_poll_are_answered_by_nginx(before: Before) -> None:
    target = f"/queue/{before.stage.event}"
    first = before.front.door.count(target)
    crowd = [before.waiting() for _ in range(5)]
    tags = set()
    for _ in range(60):
        for visitor in crowd:
            reply = visitor.call("")
            assert reply.status == 200
            assert not reply.all("set-cookie")
            tags.add(reply.header("etag"))
            unchanged = visitor.get(target, {"if-none-match": reply.header("etag") or ""})
            assert unchanged.status in (200, 304)
    assert 1 <= before.front.door.count(target) - first <= A_HANDFUL
    before.stage.release(3)
    eventually(lambda: before.visitor().call("").json()["served_up_to"] == 3)


def test_a_query_is_no_way_around_what_is_kept_of_the_pointer(before: Before) -> None:
    target = f"/queue/{before.stage.event}"
    first = before.front.door.count(target)
    for number in range(200):
        assert before.visitor().get(f"{target}?{number}").status == 200
    assert before.front.door.count(target) - first <= A_HANDFUL


def test_what_is_personal_is_kept_by_nobody(before: Before) -> None:
    first, second = before.waiting(), before.waiting()
    for _ in range(2):
        assert first.call("position").json()["position"] == 1
        assert second.call("position").json()["position"] == 2
    assert before.visitor().call("position").status == 401


def test_an_admission_is_kept_for_exactly_its_credential_and_host(before: Before) -> None:
    visitor = before.admitted()
    held, place, event = visitor.held, visitor.place, before.stage.event
    ways = (
        {"queue-token": held},
        {"cookie": f"pass-{event}={held}"},
        {"authorization": f"Bearer {held}"},
        {"cookie": f"basket=1; pass-{event}={held}"},
    )
    for way in ways:
        assert before.visitor().get("/book", way).status == 200
    reached = before.reached
    broken = held[:-8] + "AAAAAAAA"
    for headers in (
        {},
        {"queue-token": place[:-8] + "AAAAAAAA"},
        {"queue-token": broken},
        {"queue-token": held.upper()},
        {"cookie": f"pass-{event}={broken}"},
        {"cookie": f"basket=1; pass-{event}={broken}"},
        {"authorization": f"Bearer {broken}"},
        {"authorization": "Bearer x"},
        {"queue-token": held, "host": "sale-259.example"},
    ):
        assert before.visitor().get("/book", headers).status != 200, headers
    assert before.reached == reached


@pytest.mark.parametrize("field", ["queue-token", "cookie", "authorization"])
@pytest.mark.parametrize("blind", ["", "x"])
def test_a_field_that_is_said_twice_opens_nothing_for_those_who_say_half_of_it(
    before: Before, field: str, blind: str
) -> None:
    held = before.admitted().held
    value = {
        "queue-token": held,
        "cookie": f"pass-{before.stage.event}={held}",
        "authorization": f"Bearer {held}",
    }[field]
    # Whatever comes of it: nobody else gets in by the half that is no secret.
    for _ in range(2):
        before.visitor().get("/book", [(field, blind), (field, value)])
        before.visitor().get("/book", [(field, value), (field, blind)])
    reached = before.reached
    for headers in ([(field, blind)], [(field, blind), (field, blind)], []):
        # nginx refuses (400) some fields that are said twice.
        assert before.visitor().get("/book", headers).status in (400, 401)
    assert before.reached == reached


def test_parts_of_a_key_are_not_taken_for_each_other(before: Before) -> None:
    held = before.admitted().held
    assert before.visitor().get("/book", {"cookie": "a", "queue-token": held}).status == 200
    for headers in ({"cookie": f"a||{held}"}, {"authorization": f"a|{held}"}):
        assert before.visitor().get("/book", headers).status == 401


def test_a_refusal_is_not_kept(before: Before) -> None:
    visitor = before.waiting()
    for _ in range(3):
        first = asked(before)
        assert visitor.get("/book").status == 429
        assert asked(before) == first + 1
    before.stage.release()
    assert visitor.get("/book").status == 200


def test_what_has_more_than_one_reading_is_asked_about_each_time(before: Before) -> None:
    visitor = before.admitted()
    assert visitor.get("/book").status == 200
    reached = before.reached
    for target in ("/book;x", "/assets/..%2fbook", "/book//x", "/./book", "/a/../book", "/book/."):
        # Not through `get`: what is sent is the target as it stands.
        cookie = ("cookie", f"pass-{before.stage.event}={visitor.held}")
        reply = ask(before.front.port, "GET", target, [("host", before.stage.host), cookie])
        assert reply.status == 400, target
    assert before.reached == reached
    first = asked(before)
    for _ in range(3):
        assert visitor.get("/book/b%C3%BCcher").status == 200
    assert asked(before) == first + 3


def test_nothing_is_kept_past_the_end_of_a_pass(before: Before) -> None:
    ends_at = now_s() + 4
    held = before.stage.mint.held(before.stage.event, before.stage.generation, expires_at=ends_at)
    visitor = before.visitor()
    assert visitor.get("/book", {"queue-token": held}).status == 200
    late: list[float] = []

    def is_over() -> bool:
        asked_at = time.time()
        status = visitor.get("/book", {"queue-token": held}).status
        if status == 200 and asked_at >= ends_at + CLOCKS_PART_S:
            late.append(asked_at)
        return status == 410 or status == 401

    eventually(is_over, 15.0)
    assert late == []


def test_a_pass_of_one_event_opens_no_other_on_a_host_that_they_share(
    before: Before, open_stage: OpenStage
) -> None:
    if before.stage.gateway.knows("north") is None:
        open_stage("north")
        open_stage("south")
    north = Visitor(before.front.port, SHARED_HOST, event="north")
    north.join()
    snapshot = before.stage.operator.read("north")
    before.stage.operator.release("north", snapshot.issued - snapshot.served_up_to)
    eventually(lambda: north.get("/north/1").status == 200)
    reached = before.reached
    for _ in range(3):
        assert north.get("/north/1").status == 200
        assert north.get("/south/1").status == 401
    assert before.reached == reached + 3


def test_what_was_kept_goes_on_while_the_gateway_is_away_and_ends_within_the_bound(
    before: Before,
) -> None:
    visitor = before.admitted()
    with before.front.wire.refusing():
        assert visitor.get("/book").status == 503
    eventually(lambda: visitor.get("/book").status == 200)
    # It may have been kept a moment ago already, and never after this.
    kept_by = time.monotonic()
    late: list[float] = []

    def is_over() -> bool:
        asked_after_s = time.monotonic() - kept_by
        status = visitor.get("/book").status
        if status == 200 and asked_after_s > BOUND_S:
            late.append(asked_after_s)
        return status == 503

    with before.front.wire.refusing():
        assert visitor.get("/book").status == 200
        eventually(is_over, 2 * BOUND_S + 5)
    assert late == []


def test_nothing_that_a_pass_earned_may_be_kept_by_others(before: Before) -> None:
    claimed = before.served().get("/book")
    assert "no-store" in claimed.all("cache-control")
    assert before.admitted().get("/book").all("cache-control") == ["private"]
    before.site.says["/book/said"] = [("Cache-Control", "max-age=60")]
    assert before.admitted().get("/book/said").all("cache-control") == ["max-age=60"]
    claimed = before.served().get("/book/said")
    assert "no-store" in claimed.all("cache-control")
