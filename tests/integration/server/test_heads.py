"""One reading of every head, with either parser."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.heads import Accepted, judge, quick_looks
from tests.integration.server.client import Client, chunked, get, post
from tests.integration.server.conftest import Site, limits_of

HOST = b"Host: t\r\n"

REFUSED: dict[str, bytes] = {
    "an absolute-form target": b"GET http://evil/hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "an authority-form target": b"GET evil:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target without a slash": b"GET hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /hello#f HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a control character": b"GET /hel\x01lo HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target beyond ASCII": "GET /hellö HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "two spaces before the version": b"GET /hello  HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": b"GET /hello HTTP/1.1\r\n\r\n",
    "no Host, HTTP/1.0": b"GET /hello HTTP/1.0\r\n\r\n",
    "two Hosts": b"GET /hello HTTP/1.1\r\n" + HOST + b"hOST: u\r\n\r\n",
    "the same Host twice": b"GET /hello HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "Content-Length with Transfer-Encoding": (
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n"
    ),
    "two Content-Lengths": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"
    ),
    "a list of Content-Lengths": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 2, 2\r\n\r\nok"
    ),
    "a signed Content-Length": b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: +2\r\n\r\nok",
    "an empty Content-Length": b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\n",
    "a huge Content-Length": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 9999999999999999999\r\n\r\n"
    ),
    "a coding before chunked": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    ),
    "a coding that is not chunked": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n"
    ),
    "chunked twice": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a control character before chunked": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"
    ),
    "a space before the colon": (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked in HTTP/1.0": (
        b"POST /echo HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a bare LF after the request line": b"GET /hello HTTP/1.1\n" + HOST + b"\r\n\r\n",
    "a bare LF after a field": b"GET /hello HTTP/1.1\r\nX: 1\nHost: t\r\n\r\n",
    "a head that ends in bare LFs": b"GET /hello HTTP/1.1\r\nX: 1\n\n" + HOST + b"\r\n\r\n",
    "a bare CR in a field": b"GET /hello HTTP/1.1\r\nX: 1\rY: 2\r\n" + HOST + b"\r\n",
    "a NUL in a field": b"GET /hello HTTP/1.1\r\nX: 1\x002\r\n" + HOST + b"\r\n",
    "a control character in a field": b"GET /hello HTTP/1.1\r\nX: 1\x012\r\n" + HOST + b"\r\n",
    "a folded field": b"GET /hello HTTP/1.1\r\nX: 1\r\n 2\r\n" + HOST + b"\r\n",
    "a folded first field": b"GET /hello HTTP/1.1\r\n X: 1\r\n" + HOST + b"\r\n",
    "a field without a name": b"GET /hello HTTP/1.1\r\n: 1\r\n" + HOST + b"\r\n",
    "a field without a colon": b"GET /hello HTTP/1.1\r\nX\r\n" + HOST + b"\r\n",
    "a name with a space": b"GET /hello HTTP/1.1\r\nX Y: 1\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /hello HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /hello HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /hello\r\n" + HOST + b"\r\n",
    "a version in lower case": b"GET /hello http/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in lower case": b"get /hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with a digit": b"GET1 /hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method without end": b"A" * 33 + b" /hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "no method": b" /hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "the beginning of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "empty lines without end": b"\r\n\r\n\r\n\r\n",
    "a WebSocket by POST": (
        b"POST /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    ),
    "a WebSocket over HTTP/1.0": (
        b"GET /ws HTTP/1.0\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    ),
    "a WebSocket with a body": (
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: 2\r\n\r\nok"
    ),
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_what_parsers_read_differently_is_refused(client: Client, request_bytes: bytes) -> None:
    answer = client.ask(request_bytes)
    assert answer.status == 400
    assert answer.problem() == {"type": "about:blank", "title": "Bad Request", "status": 400}
    assert answer.headers["connection"] == "close"
    assert answer.headers["cache-control"] == "no-store"
    assert "date" in answer.headers
    assert client.read_to_end() == b""


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_however_it_arrives(client: Client, request_bytes: bytes) -> None:
    middle = len(request_bytes) // 2
    with suppress(ConnectionError):
        for piece in (request_bytes[:1], request_bytes[1:middle], request_bytes[middle:]):
            client.send(piece)
    assert client.read_answer().status == 400


@pytest.mark.parametrize(
    "line", [b"CONNECT evil:443 HTTP/1.1", b"CONNECT /hello HTTP/1.1", b"TRACE /hello HTTP/1.1"]
)
def test_tunnels_and_traces_are_refused_early(client: Client, line: bytes) -> None:
    answer = client.ask(line + b"\r\n" + HOST + b"\r\n")
    assert answer.status == 501
    assert answer.problem()["title"] == "Not Implemented"
    assert client.read_to_end() == b""


ACCEPTED: dict[str, bytes] = {
    "the shortest": b"GET /seen HTTP/1.1\r\nHost:\r\n\r\n",
    "HTTP/1.0": b"GET /seen HTTP/1.0\r\n" + HOST + b"\r\n",
    "a dash in the method": b"M-SEARCH /seen HTTP/1.1\r\n" + HOST + b"\r\n",
    "Host behind many fields": b"GET /seen HTTP/1.1\r\n" + b"X: 1\r\n" * 40 + HOST + b"\r\n",
    "Host in capitals": b"GET /seen HTTP/1.1\r\nHOST: t\r\n\r\n",
    "no space after the colon": b"GET /seen HTTP/1.1\r\nHost:t\r\nX:\r\n\r\n",
    "bytes beyond ASCII in a field": b"GET /seen HTTP/1.1\r\n" + HOST + b"X: \xe4\xff\r\n\r\n",
    "a tab in a field": b"GET /seen HTTP/1.1\r\n" + HOST + b"X: 1\t2\r\n\r\n",
    "an empty line before": b"\r\nGET /seen HTTP/1.1\r\n" + HOST + b"\r\n",
    "a body of no bytes": post("/seen"),
    "a body with GET": b"GET /seen HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nok",
    "chunked in capitals": (
        b"POST /seen HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"
    ),
    "names that begin like those of note": (
        b"GET /seen HTTP/1.1\r\n" + HOST + b"Hostess: 1\r\nContent-Length-X: 1\r\n\r\n"
    ),
    "an upgrade that we ignore, with a body": (
        b"POST /seen HTTP/1.1\r\n" + HOST + b"connection: keep-alive, upgrade, HTTP2-Settings\r\n"
        b"upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n\r\nok"
    ),
    "an upgrade that we ignore, chunked": (
        b"POST /seen HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\n"
        b"Upgrade: foo\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    "an upgrade that we ignore": (
        b"GET /seen HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    ),
}


@pytest.mark.parametrize("request_bytes", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_has_one_reading_is_served(client: Client, request_bytes: bytes) -> None:
    assert client.ask(request_bytes).status == 200


@pytest.mark.parametrize(
    "path", ["//a/b", "/a//b", "/%2e%2E/", "/;x", "/%00", "/a:b@c", "/a?b?c", '/|<>"{}^`\\', "/a%"]
)
def test_no_target_is_rewritten(client: Client, path: str) -> None:
    seen = client.ask(get(path, "Seen: 1")).json()
    assert "?".join(filter(None, (seen["raw_path"], seen["query"]))) == path


def test_both_parsers_give_the_same_scope(client: Client) -> None:
    seen = client.ask(get("/seen?q=%2f&r=?/", "X-Y: 1", "x_y: 2")).json()
    assert (seen["raw_path"], seen["query"], seen["version"]) == ("/seen", "q=%2f&r=?/", "1.1")
    assert seen["headers"] == [["host", "t"], ["x-y", "1"], ["x_y", "2"]]


def test_nobody_is_believed_about_the_client(client: Client) -> None:
    fields = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "Forwarded: for=6.6.6.6"]
    seen = client.ask(get("/seen", *fields)).json()
    assert (seen["client"], seen["scheme"]) == ("127.0.0.1", "http")


def test_after_an_ignored_upgrade_the_connection_goes_on(client: Client) -> None:
    assert client.ask(get("/hello", "Connection: Upgrade", "Upgrade: h2c")).body == b"hello"
    assert client.ask(get()).body == b"hello"


def test_a_thousand_fields_are_too_many(client: Client) -> None:
    answer = client.ask(get("/hello", *(f"X{n}: " for n in range(1000))))
    assert answer.status == 431
    assert answer.problem()["title"] == "Request Header Fields Too Large"
    assert client.read_to_end() == b""


@pytest.mark.parametrize("fields", [50, 51])
def test_fields_are_counted_to_the_limit(client: Client, fields: int) -> None:
    answer = client.ask(get("/hello", *(["X: 1"] * (fields - 1))))
    assert answer.status == (200 if fields <= 50 else 431)


@pytest.mark.parametrize("excess", [0, 1])
def test_bytes_are_counted_to_the_limit(client: Client, excess: int) -> None:
    head = get("/hello", "X: ")
    head = head.replace(b"X: ", b"X: " + b"x" * (8192 - len(head) + excess))
    assert client.ask(head).status == (431 if excess else 200)


def test_a_refusal_is_not_overtaken_by_a_reset(client: Client) -> None:
    client.send(get("/hello", "X: " + "x" * 500_000))
    assert client.read_answer().status == 431
    assert client.read_to_fin() == b""


def test_an_endless_field_is_refused_as_soon_as_it_is_too_long(client: Client) -> None:
    # Not a byte more than the limit is needed, let alone the end of the head.
    assert client.ask(b"GET /hello HTTP/1.1\r\nX: ".ljust(8193, b"x")).status == 431
    assert client.read_to_end() == b""


def test_a_head_of_four_megabytes_is_refused_without_being_kept(site: Site) -> None:
    with site.connect() as client:
        # The server swallows a part of it, for the sake of its answer, and then resets.
        with suppress(ConnectionError):
            client.send(b"GET /hello HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 4_000_000 + b"\r\n\r\n")
        assert client.read_answer().status == 431


@pytest.mark.parametrize("length", [2048, 2049])
def test_the_target_is_measured_to_the_limit(client: Client, length: int) -> None:
    answer = client.ask(get("/hello?".ljust(length, "x")))
    assert answer.status == (200 if length <= 2048 else 414)
    if length > 2048:
        assert answer.problem()["title"] == "URI Too Long"


def test_an_endless_target_is_refused_as_soon_as_it_is_too_long(client: Client) -> None:
    assert client.ask(b"GET /hello?".ljust(3000, b"x")).status == 414
    assert client.read_to_end() == b""


def test_requests_before_a_refused_one_are_answered(client: Client) -> None:
    client.send(get() + chunked("/echo", b"abc") + b"GET /hello HTTP/1.1\r\n\r\n" + get())
    assert client.read_answer().body == b"hello"
    assert client.read_answer().body == b"abc"
    assert client.read_answer().status == 400
    assert client.read_to_end() == b""


LIMITS = limits_of(header_count=5, header_bytes=200, target_bytes=20)
LOOKS = quick_looks(LIMITS, parser_refuses_controls=False)

LINES = st.sampled_from(
    [
        *(
            b"GET /hello HTTP/1.1",
            b"POST /a?b HTTP/1.0",
            b"CONNECT /a HTTP/1.1",
            b"GET /#a HTTP/1.1",
        ),
        *(b"get /a HTTP/1.1", b"GET  /a HTTP/1.1", b"GET /a HTTP/2.0", b""),
        *(b"GET /%b HTTP/1.1" % (b"a" * length) for length in (19, 20)),
    ]
)
FIELDS = st.sampled_from(
    [
        *(b"Host: t", b"hOsT:", b"Content-Length: 3", b"content-length:0", b"Content-Length: 3, 3"),
        *(b"Content-Length: 9999999999", b"Transfer-Encoding: chunked", b"Upgrade: h2c"),
        *(
            b"Upgrade: websocket",
            b"X: 1",
            b"X: ",
            b" X: 1",
            b"X : 1",
            b"X",
            b"X: 1\nY: 2",
            b"X: 1\r",
        ),
        *(b"X: \xff\t", b"X: \x00", b"Hosts: 1", b"X: %b" % (b"x" * 150), b""),
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])


@given(LINES, st.lists(st.tuples(FIELDS, ENDS), max_size=8))
def test_a_quick_look_accepts_nothing_that_the_long_one_refuses(
    line: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    head = line + b"\r\n" + b"".join(field + end for field, end in fields) + b"\r\n"
    head = head[: head.find(b"\r\n\r\n") + 4]
    accepted = LOOKS.accept(head)
    if accepted is not None:
        assert judge(head, LIMITS) == accepted


@pytest.mark.parametrize("request_bytes", [get(), get("/a", *["X: 1"] * 30), post("/a", b"abc")])
def test_ordinary_requests_need_only_the_quick_look(request_bytes: bytes) -> None:
    head = request_bytes.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    looks = quick_looks(limits_of(), parser_refuses_controls=True)
    assert isinstance(looks.accept(head), Accepted)
