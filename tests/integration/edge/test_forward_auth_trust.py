"""Who may ask /auth, what is believed of it, and how long an answer may be kept."""

import json
from pathlib import Path

import pytest

from gateway.settings import OWN_PATHS
from tests.support.asking import NOTHING, PROFILES, Asking, said
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.minting import now_s
from tests.support.replies import ask_raw
from tests.support.staging import OPEN_HOST, Stage
from tests.support.visitors import Visitor

DATA = Path(__file__).parents[2] / "data"


# How long a proxy may keep an answer.


def test_only_what_a_pass_earned_may_be_kept_and_for_five_seconds(stage: Stage) -> None:
    visitor = stage.admitted()
    for profile in PROFILES:
        reply = Asking(profile, visitor).about()
        # nginx keeps it through the last of these seconds, so up to one more.
        seconds = 4 if profile == "nginx" else 5
        assert reply.header("cache-control") == f"max-age={seconds}"
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
        [uri, host, ("x-forwarded-host", OPEN_HOST)],
        [uri, host, ("x-original-host", OPEN_HOST)],
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
        f"{other}host": OPEN_HOST,
        f"{other}method": "OPTIONS",
        "origin": "https://shop.example",
        "access-control-request-method": "GET",
        "host": OPEN_HOST,
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
