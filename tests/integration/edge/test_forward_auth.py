"""GET /auth for each proxy's profile: statuses that it understands, and every field in every answer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.edge.forward_auth import Profile
from gateway.ports import StateChange
from gateway.settings import OWN_PATHS
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.minting import now_s
from tests.support.replies import Reply, ask_raw
from tests.support.staging import Stage
from tests.support.visitors import NAVIGATION, Visitor

DATA = Path(__file__).parents[2] / "data"
STATIC = "static.example"
FIELDS = (
    *("queue-event", "queue-position", "queue-visitor"),
    *("queue-status", "queue-location", "queue-retry-after"),
)
PROFILES = [profile.value for profile in Profile]


@pytest.fixture(scope="module")
def tables(tables: Tables) -> Tables:
    return {**tables, "proxy": {"open_hosts": [STATIC]}}


class Asking:
    """A proxy that asks about what a visitor wants."""

    def __init__(self, profile: str, visitor: Visitor) -> None:
        self.profile = profile
        self.visitor = visitor

    def about(
        self,
        target: str = "/book",
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        host: str | None = None,
    ) -> Reply:
        host = host or self.visitor.host
        fields = {"cookie": self.cookie} if self.visitor.cookies else {}
        fields |= headers or {}
        if self.profile == "envoy":
            reply = self.visitor.ask(method, f"/auth/envoy{target}", {"host": host, **fields})
        else:
            family = "x-original-" if self.profile == "nginx" else "x-forwarded-"
            told = {f"{family}uri": target, f"{family}method": method, f"{family}host": host}
            query = f"?profile={self.profile}"
            reply = self.visitor.get(f"/auth{query}", {"host": "auth.internal", **told, **fields})
        for name in FIELDS:
            assert len(reply.all(name)) == 1, f"{name} in {reply}"
        return reply

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.visitor.cookies.items())


def said(reply: Reply) -> dict[str, str]:
    return {name: reply.header(name) or "" for name in FIELDS}


NOTHING = dict.fromkeys(FIELDS, "")


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
    open_host = Asking(profile, stage.visitor()).about("/any", host=STATIC)
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
    # The proxy cannot be made to answer it, so it goes on to the backend.
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    asking = Asking("traefik", stage.visitor())
    assert asking.about(headers=headers, method="OPTIONS").header("queue-status") == "preflight"
    assert asking.about(headers=headers).status == 401


# How long a proxy may keep an answer.


def test_only_what_a_pass_earned_may_be_kept_and_for_five_seconds(stage: Stage) -> None:
    visitor = stage.admitted()
    for profile in PROFILES:
        reply = Asking(profile, visitor).about()
        assert reply.header("cache-control") == "max-age=5"
        # Whatever keeps it must tell visitors, events and hosts apart.
        depends = {name.strip().lower() for name in (reply.header("vary") or "").split(",")}
        assert {"cookie", "authorization", "queue-token", "host"} <= depends
        assert len(reply.header("vary") or "") <= 128


def test_it_is_never_kept_past_the_end_of_the_pass(stage: Stage) -> None:
    for left_s in (1, 2, 3, 4, 5, 6, 60):
        held = stage.mint.held(stage.event, stage.generation, expires_at=now_s() + left_s)
        reply = Asking("caddy", stage.visitor()).about(headers={"queue-token": held})
        kept = reply.header("cache-control") or ""
        if kept != "no-store":
            assert int(kept.removeprefix("max-age=")) <= min(left_s, 5)


def test_a_pass_that_only_lets_finish_is_not_kept(stage: Stage) -> None:
    now = now_s()
    held = stage.mint.held(stage.event, stage.generation, issued_at=now - 700, expires_at=now - 5)
    asking = Asking("caddy", stage.visitor())
    reply = asking.about("/pay", {"queue-token": held})
    assert (reply.status, reply.header("cache-control")) == (200, "no-store")
    assert asking.about("/book", {"queue-token": held}).status == 410


# Who may ask, and what is believed.


def test_nobody_may_ask_by_default(common_tables: Tables, stage: Stage, short_folder: Path) -> None:
    tables = {**common_tables, "server": {}, f"events.{stage.event}": event_table(stage.host)}
    settings = write_settings(short_folder / "nobody-asks.toml", tables)
    held = stage.admitted().held
    with Gateway(settings).running() as gateway:
        visitor = Visitor(gateway.port, stage.host, event=stage.event)
        for target in ("/auth", "/auth?profile=nginx", "/auth/envoy/book", "/auth/envoy/assets/x"):
            for headers in (
                {"queue-token": held, "x-forwarded-uri": "/book", "x-original-uri": "/book"},
                {"queue-token": held, "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"},
                {},
            ):
                reply = visitor.get(target, headers)
                assert reply.verdict == (403, "about:blank")
                assert said(reply) == NOTHING


def test_what_the_proxy_tells_must_not_contradict_itself(stage: Stage) -> None:
    held = stage.admitted().held
    base = [("host", "auth.internal"), ("queue-token", held)]
    uri, host = ("x-forwarded-uri", "/book"), ("x-forwarded-host", stage.host)
    for fields in (
        [uri, ("x-forwarded-uri", "/assets/x"), host],
        [uri, ("x-original-uri", "/assets/x"), host],
        [uri, host, ("x-forwarded-host", STATIC)],
        [uri, host, ("x-original-host", STATIC)],
        [uri, host, ("x-forwarded-method", "GET"), ("x-original-method", "OPTIONS")],
        [uri, host, ("x-forwarded-proto", "http"), ("x-original-proto", "https")],
        [host],
        [("x-forwarded-uri", ""), host],
    ):
        reply = stage.visitor().get("/auth", [*base, *fields])
        assert reply.verdict == (400, "about:blank"), fields
        assert said(reply) == NOTHING
    same = [uri, ("x-original-uri", "/book"), host, ("x-original-host", stage.host)]
    assert stage.visitor().get("/auth", [*base, *same]).status == 200


@pytest.mark.parametrize(
    ("profile", "own", "other"),
    [
        ("nginx", "x-original-", "x-forwarded-"),
        ("traefik", "x-forwarded-", "x-original-"),
        ("caddy", "x-forwarded-", "x-original-"),
    ],
)
def test_a_proxy_is_not_believed_what_its_client_wrote(
    stage: Stage, profile: str, own: str, other: str
) -> None:
    # The proxy sets its own fields and passes all others of its client on.
    forged = {
        f"{other}uri": "/assets/x",
        f"{other}host": STATIC,
        f"{other}method": "OPTIONS",
        "origin": "https://shop.example",
        "access-control-request-method": "GET",
        "host": STATIC,
    }
    told = {f"{own}uri": "/book", f"{own}host": stage.host, f"{own}method": "GET"}
    reply = stage.visitor().get(f"/auth?profile={profile}", {**forged, **told})
    assert reply.verdict == (401, "no-token")
    # Nor is a proxy that forgot a field helped out with its client's.
    del forged["host"]
    told = {f"{own}uri": "/book", "host": stage.host}
    reply = stage.visitor().get(f"/auth?profile={profile}", {**forged, **told})
    assert reply.verdict == (401, "no-token")
    assert stage.visitor().get(f"/auth?profile={profile}", forged).status == 400


def test_an_unknown_profile_is_refused(stage: Stage) -> None:
    told = {"x-forwarded-uri": "/assets/x", "x-forwarded-host": stage.host}
    for query in ("profile=apache", "profile=NGINX", "profile=nginx&profile=caddy"):
        reply = stage.visitor().get(f"/auth?{query}", told)
        assert reply.verdict == (400, "about:blank")
        assert said(reply) == NOTHING


def test_no_field_but_a_token_admits(stage: Stage) -> None:
    for headers in (
        {"user-agent": "GoogleHC/1.0"},
        {"queue-status": "admitted", "queue-position": "1", "queue-visitor": "me"},
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-prefix": "/assets"},
        {"x-forwarded-port": "443"},
        {"x-auth-request-redirect": "/assets/x"},
        {"authorization": "Basic YWRtaW46YWRtaW4="},
    ):
        for profile in PROFILES:
            reply = Asking(profile, stage.visitor()).about(headers=headers)
            assert reply.status == 401
            assert reply.header("queue-visitor") == ""


@pytest.mark.parametrize("profile", [profile for profile in PROFILES if profile != "envoy"])
def test_no_spelling_of_a_protected_path_is_let_through(
    gateway: Gateway, stage: Stage, profile: str
) -> None:
    family = "X-Original-" if profile == "nginx" else "X-Forwarded-"
    for case in json.loads((DATA / "bypass_targets.json").read_text("utf-8")):
        request = (
            f"GET /auth?profile={profile} HTTP/1.1\r\nHost: auth.internal\r\n"
            f"{family}Uri: {case['target']}\r\n{family}Host: {stage.host}\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        )
        reply = ask_raw(gateway.port, request.encode("latin-1"))
        assert reply is None or reply.status in (400, 401, 403), case["target"][:60]


def test_no_spelling_appended_to_envoys_prefix_is_let_through(
    gateway: Gateway, stage: Stage
) -> None:
    for case in json.loads((DATA / "bypass_targets.json").read_text("utf-8")):
        request = (
            f"GET /auth/envoy{case['target']} HTTP/1.1\r\nHost: {stage.host}\r\n"
            "Connection: close\r\n\r\n"
        )
        reply = ask_raw(gateway.port, request.encode("latin-1"))
        assert reply is None or reply.status in (400, 401, 403), case["target"][:60]
    assert stage.reached == []


def test_our_own_paths_are_no_way_in(stage: Stage) -> None:
    for path in OWN_PATHS:
        reply = Asking("caddy", stage.visitor()).about(path)
        assert reply.status == 401, path
