"""GET /auth for each proxy's profile: statuses that it understands, and every field in every answer."""

from collections.abc import Callable

import pytest

from gateway.ports import StateChange
from tests.support.asking import NOTHING, PROFILES, Asking, said
from tests.support.staging import OPEN_HOST, Stage
from tests.support.visitors import NAVIGATION, Visitor

# What each proxy is told.


def stranger(stage: Stage) -> Visitor:
    return stage.visitor()


def waiting(stage: Stage) -> Visitor:
    return stage.waiting()


def left(stage: Stage) -> Visitor:
    visitor = stage.admitted()
    cookies = dict(visitor.cookies)
    visitor.call("leave")
    stage.settle()
    visitor.cookies = cookies
    return visitor


def closed(stage: Stage) -> Visitor:
    stage.change(StateChange.CLOSE)
    return stage.visitor()


def of_before(stage: Stage) -> Visitor:
    visitor = stage.admitted()
    stage.begin_new_generation()
    return visitor


def lost(stage: Stage) -> Visitor:
    stage.lose()
    return stage.visitor()


REFUSED: list[tuple[Callable[[Stage], Visitor], int, str]] = [
    (stranger, 401, "no-token"),
    (waiting, 429, "not-yet"),
    (left, 410, "window-missed"),
    (closed, 410, "event-closed"),
    (of_before, 410, "generation-over"),
    (lost, 503, "ledger-away"),
]


def status_for(profile: str, status: int) -> int:
    """Return what a proxy is told: nginx knows 401 and 403 only, and Envoy replaces every 5xx."""
    if profile == "nginx":
        return 401 if status == 401 else 403
    return 403 if profile == "envoy" and status == 503 else status


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[2])
def test_a_refusal_has_the_status_that_the_proxy_understands(
    stage: Stage, profile: str, row: tuple[Callable[[Stage], Visitor], int, str]
) -> None:
    comes, status, problem = row
    asking = Asking(profile, comes(stage))
    reply = asking.about("/book?seat=1")
    assert reply.status == status_for(profile, status)
    assert (reply.json()["type"], reply.json()["status"]) == (problem, status)
    assert reply.header("cache-control") == "no-store"
    assert said(reply) == {
        **NOTHING,
        "queue-event": stage.event,
        "queue-status": problem,
        "queue-location": f"http://{stage.host}/queue/{stage.event}/room?return_to=/book%3Fseat%3D1",
        "queue-retry-after": reply.header("retry-after") or "",
    }
    assert (reply.header("retry-after") is not None) == (status in (429, 503))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_browser_is_sent_to_the_waiting_page_where_the_proxy_can(
    stage: Stage, profile: str
) -> None:
    for visitor, status in ((stage.visitor(), 401), (stage.waiting(), 403)):
        reply = Asking(profile, visitor).about("/book", NAVIGATION)
        location = f"http://{stage.host}/queue/{stage.event}/room?return_to=/book"
        assert reply.header("queue-location") == location
        if profile == "nginx":
            assert reply.status == status
        else:
            # Absolute: one proxy would take a relative one for its own inner address.
            assert (reply.status, reply.location) == (303, location)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_pass_admits_and_says_who_comes(stage: Stage, profile: str) -> None:
    reply = Asking(profile, stage.admitted()).about()
    assert (reply.status, reply.body, reply.cookies) == (200, b"", {})
    fields = said(reply)
    assert len(fields.pop("queue-visitor")) == 22
    assert fields == {
        "queue-event": stage.event,
        "queue-position": "1",
        "queue-status": "admitted",
        "queue-location": "",
        "queue-retry-after": "",
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_a_turn_that_has_come_is_claimed_and_its_cookie_handed_out(
    stage: Stage, profile: str
) -> None:
    visitor = stage.served()
    reply = Asking(profile, visitor).about()
    assert reply.status == 200
    assert set(reply.cookies) == {f"pass-{stage.event}"}
    assert reply.header("cache-control") == "no-store"
    assert reply.header("queue-status") == "admitted"
    again = Asking(profile, visitor).about()
    assert (again.status, again.cookies) == (200, {})
    assert stage.operator.read(stage.event).claims == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_what_needs_no_pass_is_let_through_and_named_as_nobody(stage: Stage, profile: str) -> None:
    visitor = stage.admitted()
    for reply in (
        Asking(profile, stage.visitor()).about("/assets/x.css"),
        Asking(profile, visitor).about("/assets/x.css"),
        Asking(profile, stage.visitor()).about("/webhooks/payment", method="POST"),
    ):
        assert (reply.status, reply.header("cache-control")) == (200, "no-store")
        assert said(reply) == {**NOTHING, "queue-event": stage.event, "queue-status": "open"}
    reply = Asking(profile, stage.visitor()).about("/webhooks/payment", method="DELETE")
    assert reply.status == 401
    open_host = Asking(profile, stage.visitor()).about("/any", host=OPEN_HOST)
    assert (open_host.status, said(open_host)) == (200, {**NOTHING, "queue-status": "open"})
    stage.change(StateChange.BYPASS)
    bypassed = Asking(profile, visitor).about()
    assert (bypassed.status, bypassed.header("queue-visitor")) == (200, "")
    assert bypassed.header("cache-control") == "no-store"


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_not_canonical_is_refused_whoever_asks(stage: Stage, profile: str) -> None:
    visitor = stage.admitted()
    for target in ("/book;x", "/assets/..%2fbook", "/book//x", "/%62ook", "/./book", "/a/../book"):
        reply = Asking(profile, visitor).about(target)
        assert reply.status == status_for(profile, 400), target
        assert reply.json()["type"] == "not-canonical"
        assert said(reply) == {**NOTHING, "queue-status": "not-canonical"}
    reply = Asking(profile, visitor).about(host="made-up.example")
    assert reply.status == status_for(profile, 400)
    if profile != "envoy":  # whose method is the request's own
        reply = Asking(profile, visitor).about(method="get")
        assert reply.status == status_for(profile, 400)


@pytest.mark.parametrize("profile", PROFILES)
def test_two_different_tokens_are_refused(stage: Stage, profile: str) -> None:
    first, second = stage.admitted(), stage.admitted()
    reply = Asking(profile, first).about(headers={"queue-token": second.held})
    assert reply.status == status_for(profile, 400)
    assert reply.header("queue-visitor") == ""


@pytest.mark.parametrize("profile", PROFILES)
def test_a_pass_is_read_from_field_and_bearer_too(stage: Stage, profile: str) -> None:
    held = stage.admitted().held
    for headers in ({"queue-token": held}, {"authorization": f"Bearer {held}"}):
        assert Asking(profile, stage.visitor()).about(headers=headers).status == 200


def test_over_tls_the_proxy_says_so(stage: Stage) -> None:
    visitor = stage.admitted()
    secure = {"cookie": f"__Host-pass-{stage.event}={visitor.held}"}
    plain = {"cookie": f"pass-{stage.event}={visitor.held}"}
    for profile, name in (("traefik", "x-forwarded-proto"), ("nginx", "x-original-proto")):
        asking = Asking(profile, stage.visitor())
        assert asking.about(headers={**secure, name: "https"}).status == 200
        assert asking.about(headers={**plain, name: "https"}).status == 401
        assert asking.about(headers=secure).status == 401
        reply = asking.about(headers={name: "https"})
        assert (reply.header("queue-location") or "").startswith(f"https://{stage.host}/")
    fresh = Asking("caddy", stage.visitor()).about(
        headers={
            "cookie": f"__Host-queue-{stage.event}={stage.served().place}",
            "x-forwarded-proto": "https",
        }
    )
    (cookie,) = fresh.cookies.values()
    assert cookie.name == f"__Host-pass-{stage.event}"
    assert "secure" in cookie.attributes


def test_a_preflight_is_told_apart(stage: Stage) -> None:
    # The proxy cannot be made to answer it, so it goes on to the backend, for a listed origin.
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    asking = Asking("traefik", stage.visitor())
    assert asking.about(headers=headers, method="OPTIONS").header("queue-status") == "preflight"
    assert asking.about(headers=headers).status == 401


@pytest.mark.parametrize("profile", ["nginx", "traefik", "caddy", "envoy", "haproxy"])
def test_a_preflight_of_another_origin_opens_nothing(stage: Stage, profile: str) -> None:
    headers = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
    reply = Asking(profile, stage.visitor()).about(headers=headers, method="OPTIONS")
    assert (reply.status, reply.header("queue-status")) == (401, "no-token")
