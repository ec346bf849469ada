"""What a request may look like: methods, media types, sizes, hosts; and what no refusal tells."""

import json

import pytest

from tests.support.contract import CONTRACT
from tests.support.minting import Mint
from tests.support.replies import Reply, ask_raw
from tests.support.staging import LISTED_ORIGIN, Stage
from tests.support.visitors import Visitor

PAGES = ("room", "room/plain", "onward", "enter")
POSTS = ("join", "claim", "extend", "refresh", "leave")
GETS = ("", "position", *PAGES)
BAD = (400, "about:blank")
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def send(visitor: Visitor, verb: str, headers: dict[str, str], body: str | bytes) -> Reply:
    return visitor.ask("POST", f"/queue/{visitor.event}/{verb}", headers, body)


def test_what_is_read_is_only_read(stage: Stage) -> None:
    for verb in GETS:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
            reply = stage.visitor().ask(method, f"/queue/{stage.event}/{verb}".rstrip("/"))
            assert reply.verdict == (405, "about:blank")
            assert reply.header("allow") == "GET, HEAD"


def test_what_changes_something_is_posted(stage: Stage) -> None:
    for verb in POSTS:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            reply = stage.visitor().ask(method, f"/queue/{stage.event}/{verb}")
            assert reply.verdict == (405, "about:blank")
            assert reply.header("allow") == "POST"


def test_a_method_in_small_letters_is_no_post(stage: Stage) -> None:
    target = f"/queue/{stage.event}/join"
    request = f"post {target} HTTP/1.1\r\nhost: {stage.host}\r\n\r\n".encode()
    reply = ask_raw(stage.gateway.port, request)
    assert reply is not None
    assert reply.status in (400, 405)
    assert stage.operator.read(stage.event).issued == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/.well-known/jwks.json"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_our_own_documents_are_only_read(stage: Stage, path: str, method: str) -> None:
    reply = stage.visitor().ask(method, path)
    assert reply.verdict == (405, "about:blank")
    assert set((reply.header("allow") or "").split(", ")) == {"GET", "HEAD"}


def test_an_event_that_nobody_made_has_no_calls(stage: Stage) -> None:
    visitor = stage.waiting()
    visitor.event = "nobody-made-this"
    # `enter` leads to the waiting page, which says so.
    for verb in {*GETS, *POSTS} - {"enter"}:
        assert visitor.call(verb).verdict == (404, "about:blank")


def test_what_is_no_events_name_has_no_calls(stage: Stage) -> None:
    visitor = stage.visitor()
    for visitor.event in ("UPPER", "-x", "a_b", f"%73{stage.event[1:]}", "sale.1", "a" * 64):
        for verb in (*GETS, *POSTS):
            assert visitor.call(verb).verdict == (404, "about:blank")


def test_what_is_no_events_name_has_no_preflights(stage: Stage) -> None:
    asking = {"origin": LISTED_ORIGIN, "access-control-request-method": "POST"}
    for verb in ("", "position", *POSTS):
        reply = stage.visitor().ask("OPTIONS", f"/queue/UPPER/{verb}".rstrip("/"), asking)
        assert reply.verdict == (404, "about:blank")


def test_there_are_no_other_calls(stage: Stage) -> None:
    for rest in ("/admin", "/join/", "/join/x", "//join", "/Join", "/joi%6e", "/release", "/ws/x"):
        for method in ("GET", "POST"):
            reply = stage.visitor().ask(method, f"/queue/{stage.event}{rest}")
            assert reply.verdict == (404, "about:blank")
    assert stage.operator.read(stage.event).issued == 0


@pytest.mark.parametrize("verb", POSTS)
def test_a_body_that_is_too_large_is_refused(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    reply = send(visitor, verb, JSON, json.dumps({"challenge": "x" * 16_384}))
    assert reply.verdict == (413, "about:blank")
    assert reply.header("connection") == "close"


def test_a_body_of_the_largest_size_is_read(stage: Stage) -> None:
    body = json.dumps({"challenge": ""})
    body = json.dumps({"challenge": "x" * (16_384 - len(body))})
    assert len(body) == 16_384
    assert send(stage.visitor(), "join", JSON, body).status == 201


def test_a_body_in_chunks_is_counted_as_it_comes(stage: Stage) -> None:
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    head = f"POST /queue/{stage.event}/join HTTP/1.1\r\nhost: {stage.host}\r\n".encode()
    head += b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    reply = ask_raw(stage.gateway.port, head + chunk * 17 + b"0\r\n\r\n", "POST")
    assert reply is not None
    assert reply.verdict == (413, "about:blank")


def test_half_a_body_takes_no_place(stage: Stage) -> None:
    head = f"POST /queue/{stage.event}/join HTTP/1.1\r\nhost: {stage.host}\r\n".encode()
    head += b"content-type: application/json\r\ncontent-length: 20\r\n\r\n{"
    assert ask_raw(stage.gateway.port, head, "POST") is None
    assert stage.waiting().call("position").json()["position"] == 1


@pytest.mark.parametrize("verb", POSTS)
def test_a_body_is_json_or_a_form(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    for kind in ("", "text/plain", "multipart/form-data; boundary=x", "application/xml", "json"):
        reply = send(visitor, verb, {"content-type": kind}, "{}")
        assert reply.verdict == (415, "about:blank"), kind


def test_a_body_without_a_media_type_is_refused(stage: Stage) -> None:
    assert send(stage.visitor(), "join", {}, "{}").verdict == (415, "about:blank")


def test_without_a_body_no_media_type_is_asked_for(stage: Stage) -> None:
    assert send(stage.visitor(), "join", {"content-type": "text/plain"}, "").status == 201


NOT_FIELDS = [
    *(
        "{",
        "null",
        "[]",
        '"x"',
        "1",
        "nonsense",
        "{}{}",
        "\x00",
        '{"challenge"}',
        "{'challenge':''}",
    ),
    *('{"challenge":1}', '{"challenge":null}', '{"challenge":{}}', '{"challenge":["x"]}'),
    *('{"challenge":true}', '{"unknown":"x"}', '{"Challenge":"x"}', '{"challenge":"\\ud800"}'),
    "[" * 5000,
    '{"challenge":' * 900 + "1" + "}" * 900,
]
NOT_A_FORM = ["challenge", "=x", "challenge=x&challenge=y", "unknown=x", "&", "a=1&" * 20, "é=x"]


@pytest.mark.parametrize("verb", POSTS)
def test_a_body_of_anything_but_known_text_fields_is_refused(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    for text in NOT_FIELDS:
        assert send(visitor, verb, JSON, text).verdict == BAD, text[:30]
    for data in (b"\xff\xfe{}", b'{"challenge":"\xff"}', "{}".encode("utf-16")):
        assert send(visitor, verb, JSON, data).verdict == BAD
    for text in NOT_A_FORM:
        assert send(visitor, verb, FORM, text).verdict == BAD, text[:30]
    assert stage.operator.read(stage.event).active_sessions == 1
    assert stage.operator.read(stage.event).issued == 1


@pytest.mark.parametrize("verb", ["extend", "refresh"])
def test_calls_without_fields_take_none(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    assert visitor.call(verb, return_to="/x").verdict == BAD
    assert send(visitor, verb, JSON, "{}").status == 200


@pytest.mark.parametrize(
    "hosts", [[], ["{host}", "{host}"], ["{host}", "evil.example"], ["a b"], ["{host}/x"], ["ü"]]
)
def test_a_request_names_one_host(stage: Stage, hosts: list[str]) -> None:
    calls = [(method, verb) for verb in GETS for method in ("GET", "OPTIONS")]
    calls += [(method, verb) for verb in POSTS for method in ("POST", "OPTIONS")]
    for method, verb in calls:
        target = f"/queue/{stage.event}/{verb}".rstrip("/")
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"host: {host.format(host=stage.host)}" for host in hosts]
        reply = ask_raw(stage.gateway.port, ("\r\n".join(lines) + "\r\n\r\n").encode(), method)
        assert reply is not None
        assert reply.verdict == BAD
        CONTRACT.check(method, target, reply)


@pytest.mark.parametrize("verb", ["position", *POSTS])
def test_two_tokens_of_one_kind_are_refused(stage: Stage, verb: str) -> None:
    first, second = stage.admitted(), stage.admitted()
    for headers in (
        {"queue-token": second.place},
        {"queue-token": second.held},
        {"authorization": f"Bearer {second.held}"},
        [("queue-token", first.place), ("queue-token", second.place)],
        [("cookie", f"queue-{stage.event}={first.place}; queue-{stage.event}={second.place}")],
    ):
        assert first.call(verb, headers).verdict == BAD
    assert stage.operator.read(stage.event).active_sessions == 2


@pytest.mark.parametrize("verb", ["position", "claim", "extend", "refresh", "leave"])
def test_no_answer_repeats_anything_of_a_token(stage: Stage, site: Mint, verb: str) -> None:
    genuine = stage.mint.place(stage.event, stage.generation, position=41)
    mistaken = [
        genuine[:-20],
        genuine[:-2] + "AA",
        genuine + "=",
        site.place(stage.event, stage.generation),
        stage.mint.held(stage.event, stage.generation - 1),
        stage.mint.place(stage.event, stage.generation + 1),
        "eyJhbGciOiJub25lIn0.eyJwb3MiOjF9.",
    ]
    for token in mistaken:
        for headers in ({"queue-token": token}, {"authorization": f"Bearer {token}"}):
            reply = stage.visitor().call(verb, headers)
            said = reply.body + repr(reply.headers).encode()
            parts = [token[at : at + 12].encode() for at in range(0, len(token) - 12, 6)]
            # The header's beginning is the same in every token there is.
            assert not [part for part in parts[8:] if part in said], verb
            assert reply.cookies == {}


@pytest.mark.parametrize("verb", ["position", "room", "room/plain", ""])
def test_a_head_has_the_fields_and_no_body(stage: Stage, verb: str) -> None:
    visitor = stage.waiting()
    target = f"/queue/{stage.event}/{verb}".rstrip("/")
    head, full = visitor.ask("HEAD", target), visitor.get(target)
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-type") == full.header("content-type")
    assert head.header("content-length") == full.header("content-length")


def test_a_head_that_is_refused_has_no_body_either(stage: Stage) -> None:
    reply = stage.visitor().ask("HEAD", f"/queue/{stage.event}/position")
    assert (reply.status, reply.body) == (401, b"")
    assert int(reply.header("content-length") or "0") > 0


def test_every_answer_has_one_date(stage: Stage) -> None:
    for path in (
        "/healthz",
        f"/queue/{stage.event}",
        f"/queue/{stage.event}/position",
        "/openapi.json",
    ):
        assert len(stage.visitor().get(path).all("date")) == 1, path
