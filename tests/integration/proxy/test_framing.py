"""What is on the wire, to the byte, in front of a backend that is scripted on a raw socket."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.edge.options import ProxyOptions
from tests.integration.proxy.fronts import Front
from tests.integration.proxy.stub import (
    Conversation,
    Script,
    StubBackend,
    answering,
    answering_once,
)
from tests.integration.proxy.wire import (
    Wire,
    WireAnswer,
    ask,
    chunked,
    request,
    unchunk,
    wait_until,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@contextmanager
def proxied(script: Script, http: str = "httptools") -> Iterator[tuple[StubBackend, Front]]:
    with (
        StubBackend(script) as backend,
        Front(ProxyOptions(backend=backend.url), http=http) as front,
    ):
        yield backend, front


def fetch(answer: bytes, method: str = "GET") -> WireAnswer:
    """Return what a visitor gets when the backend answers so and closes."""
    with proxied(answering_once(answer)) as (_, front):
        return ask(front.port, request(method=method))


# The request.


@pytest.mark.parametrize(
    "target",
    [
        "/", "/a%2Fb%2fc", "/a%20b+c", "//x//y/", "/.;/../x", "/%7e%41", "/a?b?c=d/e&&=", "/?%00%ff",
        "/a:b@c!$&'()*+,;=~_-.", "/?q='\"<>[]{}|^`\\", "/http://other.example/", "/%zz",
        "/" + "x" * 5000 + "?" + "y" * 1000,
    ],
)  # fmt: skip
def test_the_target_reaches_the_backend_to_the_byte(target: str) -> None:
    with proxied(answering(OK)) as (backend, front):
        assert ask(front.port, request(target)).status == 200
        assert backend.heads[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()


def test_the_fields_reach_the_backend_in_order_with_the_proxys_behind_them() -> None:
    sent = [
        (b"accept", b"*/*"),
        (b"x-twice", b"1"),
        (b"cookie", b"a=1"),
        (b"x-utf8", "é€".encode()),
        (b"x-twice", b"2"),
        (b"x-empty", b""),
        (b"cookie", b"b=2"),
    ]
    with proxied(answering(OK)) as (backend, front):
        ask(front.port, request(headers=sent))
        fields = [tuple(line.split(b": ", 1)) for line in backend.heads[0].split(b"\r\n")[1:-2]]
    assert fields == [
        (b"host", b"site.example"),
        *sent,
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"site.example"),
        (b"forwarded", b"for=127.0.0.1;proto=http;host=site.example"),
    ]


def test_a_field_that_is_not_utf8_is_refused_and_not_mangled() -> None:
    with proxied(answering(OK)) as (backend, front):
        assert ask(front.port, request(headers=[(b"x-latin", b"\xe9")])).status == 400
        assert backend.heads == []


def test_a_sized_body_keeps_its_length_and_a_chunked_one_is_chunked() -> None:
    bodies = []

    async def script(talk: Conversation) -> None:
        head = await talk.read_head()
        if b"content-length: 5\r\n" in head:
            bodies.append(await talk.reader.readexactly(5))
        else:
            assert b"transfer-encoding: chunked\r\n" in head.lower()
            bodies.append(await talk.read_chunked())
        await talk.send(OK)

    with proxied(script) as (backend, front):
        ask(front.port, request(method="POST", body=b"12345"))
        head = request(method="POST", headers=[(b"transfer-encoding", b"chunked")])
        ask(front.port, head + chunked([b"123", b"45"]))
    assert b"transfer-encoding" not in backend.heads[0].lower()
    assert b"content-length" not in backend.heads[1].lower()
    assert bodies[0] == b"12345"
    assert unchunk(bodies[1]) == (b"12345", b"")


def test_a_get_has_a_body_only_when_the_client_framed_one() -> None:
    async def script(talk: Conversation) -> None:
        while True:
            head = await talk.read_head()
            if b"content-length: 3\r\n" in head:
                assert await talk.reader.readexactly(3) == b"abc"
            await talk.send(OK)

    with proxied(script) as (backend, front):
        ask(front.port, request())
        ask(front.port, request(body=b""))
        ask(front.port, request(body=b"abc"))
    assert b"content-length" not in backend.heads[0]
    assert b"content-length: 0\r\n" in backend.heads[1]
    assert b"content-length: 3\r\n" in backend.heads[2]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_no_request_follows_an_odd_body_on_its_connection(method: str) -> None:
    """A backend that ignores such a body would read it as the next request, without a check of ours."""
    smuggled = b"GET /book HTTP/1.1\r\nhost: x\r\n\r\n"
    with proxied(answering(OK)) as (backend, front):
        ask(front.port, request(method=method, body=smuggled))
        ask(front.port, request("/next"))
        assert b"\r\nconnection: close\r\n" in backend.heads[0]
        assert backend.connections == 2
        assert backend.heads[-1].startswith(b"GET /next ")


def test_the_trailers_of_a_request_end_at_the_proxy() -> None:
    bodies = []

    async def script(talk: Conversation) -> None:
        await talk.read_head()
        bodies.append(await talk.read_chunked())
        await talk.send(OK)

    with proxied(script) as (backend, front), Wire(front.port) as wire:
        wire.send(request(method="POST", headers=[(b"transfer-encoding", b"chunked")]))
        wire.send(b"3\r\nabc\r\n")
        # Later than the head: a server that adds trailers to its fields is the server's to mend.
        wait_until(lambda: len(backend.heads) == 1)
        wire.send(b"0\r\nqueue-position: 1\r\nx-trailer: 1\r\n\r\n")
        assert wire.read_answer("POST").status == 200
    assert unchunk(bodies[0]) == (b"abc", b"")
    assert b"trailer" not in backend.heads[0].lower()


def test_the_client_is_told_to_continue_and_the_backend_never_asked() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.reader.readexactly(3)
        await talk.send(OK)

    with proxied(script) as (backend, front), Wire(front.port) as wire:
        head = [(b"expect", b"100-continue"), (b"content-length", b"3")]
        wire.send(request(method="POST", headers=head))
        assert wire.read_head() == (100, [])
        wire.send(b"abc")
        assert wire.read_answer("POST").status == 200
    assert b"expect" not in backend.heads[0].lower()


def test_a_dead_backend_is_told_of_before_the_client_sends_its_body() -> None:
    with StubBackend(answering(OK)) as backend:
        pass
    with Front(ProxyOptions(backend=backend.url)) as front, Wire(front.port) as wire:
        head = [(b"expect", b"100-continue"), (b"content-length", b"1000000")]
        wire.send(request(method="POST", headers=head))
        answer = wire.read_answer("POST")
    assert (answer.status, answer.interim) == (502, [])


@pytest.mark.parametrize("method", ["M-SEARCH", "LINK", "MKCALENDAR", "ANY-WORD!"])
def test_a_method_nobody_knows_reaches_the_backend(method: str) -> None:
    with proxied(answering(OK), http="h11") as (backend, front):
        assert ask(front.port, request(method=method)).status == 200
        assert backend.heads[0].startswith(method.encode() + b" / HTTP/1.1\r\n")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get"])
def test_a_method_that_cannot_be_passed_on_ends_at_the_proxy(method: str) -> None:
    target = "site.example:443" if method == "CONNECT" else "/"
    with proxied(answering(OK), http="h11") as (backend, front):
        if method != "CONNECT":
            assert ask(front.port, request(target, method=method)).status == 501
        assert backend.heads == []


def test_an_offer_to_upgrade_to_another_protocol_is_not_passed_on() -> None:
    with proxied(answering(OK)) as (backend, front):
        head = [(b"connection", b"upgrade, http2-settings"), (b"upgrade", b"h2c")]
        ask(front.port, request(headers=[*head, (b"http2-settings", b"AAMAAABk")]))
        assert b"h2c" not in backend.heads[0]
        assert b"http2-settings" not in backend.heads[0]


# The answer.


def test_the_fields_of_an_answer_keep_order_repetition_and_bytes() -> None:
    answer = fetch(
        b"HTTP/1.1 200 OK\r\nX-B: 1\r\nSet-Cookie: a=1; Path=/\r\nX-A: \xe9\xc3\xa9\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nSet-Cookie: b=2\r\nServer: odd/1\r\n"
        b"X-B: 2\r\nX-Empty:\r\ncontent-length: 0\r\n\r\n"
    )
    assert answer.headers == [
        (b"x-b", b"1"), (b"set-cookie", b"a=1; Path=/"), (b"x-a", b"\xe9\xc3\xa9"),
        (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"set-cookie", b"b=2"), (b"server", b"odd/1"),
        (b"x-b", b"2"), (b"x-empty", b""), (b"content-length", b"0"),
    ]  # fmt: skip


def test_an_answer_with_a_length_keeps_it() -> None:
    answer = fetch(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345")
    assert (answer.value(b"content-length"), answer.body) == (b"5", b"12345")
    assert answer.value(b"transfer-encoding") is None


def test_a_chunked_answer_is_chunked_and_its_trailers_end_at_the_proxy() -> None:
    answer = fetch(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + chunked([b"123", b"45"], b"X-Sum: 1\r\n")
    )
    assert (answer.value(b"transfer-encoding"), answer.body) == (b"chunked", b"12345")
    assert answer.complete
    assert answer.trailers == b""
    assert answer.values(b"trailer") == []
    assert answer.values(b"x-sum") == []


def test_an_answer_that_ends_with_its_connection_is_chunked_for_the_visitor() -> None:
    answer = fetch(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345")
    assert (answer.value(b"transfer-encoding"), answer.body) == (b"chunked", b"12345")
    assert answer.complete


def test_an_http_1_0_backend_is_understood() -> None:
    answer = fetch(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n12345")
    assert (answer.body, answer.complete) == (b"12345", True)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "unheard-of"])
def test_a_compressed_answer_is_not_touched(coding: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 4\r\n\r\n"
    answer = fetch(head.encode() + b"\x00\xff\x1f\x8b")
    assert answer.value(b"content-encoding") == coding.encode()
    assert answer.body == b"\x00\xff\x1f\x8b"


def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    with proxied(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as (backend, front):
        with Wire(front.port) as wire:
            for _ in range(2):
                wire.send(request(method="HEAD"))
                assert wire.read_answer("HEAD").value(b"content-length") == b"5"
        assert backend.connections == 1


@pytest.mark.parametrize("head", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n"])
def test_statuses_without_a_body_have_none(head: bytes, length: bytes) -> None:
    with (
        proxied(answering(b"HTTP/1.1 " + head + b"\r\n" + length + b"ETag: x\r\n\r\n")) as (
            _,
            front,
        ),
        Wire(front.port) as wire,
    ):
        for _ in range(2):
            wire.send(request())
            answer = wire.read_answer()
            assert (answer.status, answer.body) == (int(head[:3]), b"")
            assert answer.value(b"etag") == b"x"


def test_interim_answers_are_the_proxys_affair() -> None:
    answer = fetch(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n" + OK
    )
    assert (answer.status, answer.body, answer.interim) == (200, b"ok", [])
    assert answer.values(b"link") == []


def test_fields_of_the_backends_connection_end_at_the_proxy() -> None:
    answer = fetch(
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    assert answer.headers == [(b"x-end", b"1"), (b"content-length", b"2")]


def test_connections_are_kept_for_the_next_request() -> None:
    with proxied(answering(OK)) as (backend, front):
        for _ in range(5):
            assert ask(front.port, request()).body == b"ok"
        assert backend.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Bad: a\x01b\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX Bad: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_sound_http_becomes_a_502(answer: bytes) -> None:
    got = fetch(answer)
    assert got.status == 502
    assert got.value(b"content-type") == b"application/problem+json"
    assert got.value(b"cache-control") == b"no-store"
    assert got.value(b"date")
