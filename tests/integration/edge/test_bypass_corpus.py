"""Every spelling of a protected path and of a host, on a raw socket, through both parsers: none gets by."""

import json
from pathlib import Path

import pytest

from gateway.settings import OWN_PATHS
from tests.support.gateways import BACKEND_BODY, Parser, Seen, Tables, event_table
from tests.support.replies import Reply, ask_raw
from tests.support.staging import OpenStage, Stage

DATA = Path(__file__).parents[2] / "data"
HOST, STATIC = "booking.example", "static.example"

TARGETS = json.loads((DATA / "bypass_targets.json").read_text("utf-8"))
HOSTS = json.loads((DATA / "hosts.json").read_text("utf-8"))

OPEN = [
    *("/favicon.ico", "/robots.txt", "/assets/", "GET,HEAD /public/"),
    *("/webhooks/payment", "/healthz"),
]

METHODS = [
    *(
        "get",
        "Get",
        "GET,HEAD",
        "FOO",
        "*",
        "GET\x00",
        "TRACE",
        "CONNECT",
        "PRI",
        "HEAD",
        "OPTIONS",
    ),
    *("POST", "PUT", "DELETE", "PATCH", "PROPFIND", "SEARCH", "LOCK", "_", "G" * 100),
]


@pytest.fixture(scope="module", params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> Parser:
    chosen: Parser = request.param
    return chosen


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    return {
        **common_tables,
        "server": {"pass_through": ["/healthz"]},
        "proxy": {"open_hosts": [STATIC]},
        "events.whole": event_table(HOST, open=OPEN),
    }


@pytest.fixture
def stage(open_stage: OpenStage, request: pytest.FixtureRequest) -> Stage:
    """The one event of this module, made once."""
    gateway = request.getfixturevalue("gateway")
    if gateway.knows("whole") is None:
        return open_stage("whole")
    operator, mint = (request.getfixturevalue(name) for name in ("operator", "mint"))
    return Stage(gateway, operator, mint, "whole")


def send(
    stage: Stage, target: str, hosts: list[str], method: str = "GET", more: str = ""
) -> Reply | None:
    lines = [f"{method} {target} HTTP/1.1", *(f"Host: {host}" for host in hosts)]
    text = "\r\n".join([*lines, "Connection: close"]) + "\r\n" + more + "\r\n"
    return ask_raw(stage.gateway.port, text.encode("latin-1"), method)


def is_ours(target: str) -> bool:
    """Whether the gateway itself answers there, and the backend is never asked."""
    path = target.partition("?")[0]
    return path.startswith("/queue/") or path in OWN_PATHS


def is_open(seen: Seen) -> bool:
    """Whether what reached the backend asked for something open, as the backend reads it.

    One parser cuts a fragment off: the backend then sees `/healthz` for `/healthz#/../book/seat`.
    """
    return seen.target in OPEN


def reached(stage: Stage) -> int:
    return len(stage.backend.seen)


def test_no_spelling_of_a_protected_path_reaches_the_backend(stage: Stage) -> None:
    before = reached(stage)
    for case in TARGETS:
        if is_ours(case["target"]):
            continue
        reply = send(stage, case["target"], [HOST])
        note = case["target"][:60]
        if case["expect"] == "protected":
            assert reply is not None, note
            assert reply.verdict == (401, "no-token"), note
        elif reply is not None and not case["target"].startswith("/healthz#"):
            assert reply.status in (400, 401), note
    assert all(is_open(seen) for seen in stage.backend.seen[before:])


def test_nor_does_a_navigation_or_a_forged_field_with_it(stage: Stage) -> None:
    before = reached(stage)
    more = (
        "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nX-Original-URL: /assets/x\r\n"
        "X-Forwarded-Host: static.example\r\nQueue-Position: 1\r\nQueue_Visitor: me\r\n"
    )
    for case in TARGETS:
        send(stage, case["target"], [HOST], more=more)
    assert all(is_open(seen) for seen in stage.backend.seen[before:])


def test_no_spelling_of_a_host_reaches_the_backend(stage: Stage) -> None:
    before = reached(stage)
    for case in HOSTS:
        reply = send(stage, "/book/seat", case["hosts"])
        allowed = {"named": {401}, "unknown": {421}, "refused": {400, 401, 421}}[case["expect"]]
        assert reply is None or reply.status in allowed, case["note"]
        assert reply is not None or case["expect"] == "refused", case["note"]
    assert reached(stage) == before


def test_no_method_reaches_the_backend(stage: Stage) -> None:
    before = reached(stage)
    for method in METHODS:
        for target in ("/book/seat", "/public/../book/seat", "*", "booking.example:80"):
            reply = send(stage, target, [HOST], method)
            assert reply is None or reply.status in (400, 401), (method, target)
    assert reached(stage) == before


def test_no_framing_smuggles_a_second_request_past(stage: Stage) -> None:
    before = reached(stage)
    inner = f"GET /book/seat HTTP/1.1\r\nHost: {STATIC}\r\n\r\n"
    for more in (
        f"Content-Length: {len(inner)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
        f"Content-Length: 0\r\nContent-Length: {len(inner)}\r\n\r\n{inner}",
        f"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{inner}",
        f"Content-Length: +{len(inner)}\r\n\r\n{inner}",
    ):
        request = f"POST /book/seat HTTP/1.1\r\nHost: {HOST}\r\n{more}"
        ask_raw(stage.gateway.port, request.encode(), "POST")
    # Static files are open to everybody: what reached them asked for them in so many words.
    assert {seen.all("host")[0] for seen in stage.backend.seen[before:]} <= {STATIC}


def test_what_is_open_and_who_has_a_pass_does_reach_the_backend(stage: Stage) -> None:
    # Otherwise the corpus would prove nothing.
    for target in ("/assets/x.css", "/healthz", "/public/a", "/webhooks/payment", "/robots.txt"):
        reply = send(stage, target, [HOST])
        assert reply is not None
        assert reply.body == BACKEND_BODY
    reply = send(stage, "/book/seat", [STATIC])
    assert reply is not None
    assert reply.body == BACKEND_BODY
    held = stage.mint.held("whole", stage.generation)
    for case in TARGETS:
        if case["expect"] == "protected" and not is_ours(case["target"]):
            reply = send(stage, case["target"], [HOST], more=f"Queue-Token: {held}\r\n")
            assert reply is not None
            assert reply.status == 200, case["target"][:60]
            assert stage.backend.last.target.rstrip("?") == case["target"].rstrip("?")


def test_an_open_host_is_not_touched(stage: Stage) -> None:
    more = "Queue-Position: 9\r\nCookie: pass-whole=x; a=b\r\nAuthorization: Bearer x\r\n"
    reply = send(stage, "/any/./where//at;all", [STATIC], more=more)
    assert reply is not None
    assert reply.status in (200, 400)
    if reply.status == 200:
        assert stage.backend.last.queue_headers == {}
    reply = send(stage, "/anywhere", [STATIC], more=more)
    assert reply is not None
    assert reply.status == 200
    assert stage.backend.last.all("cookie") == ["pass-whole=x; a=b"]
    # Only what the backend trusts to be ours is never the visitor's.
    assert stage.backend.last.queue_headers == {}
