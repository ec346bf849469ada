"""Where one request ends and the next begins."""

import pytest

from gateway.server.bodies import BadChunk, ChunkReader
from tests.integration.server.client import Client, chunked, get, post

CHUNKED = b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_connection_is_kept_from_request_to_request(client: Client) -> None:
    for n in range(5):
        assert client.ask(get()).body == b"hello"
        assert client.ask(post("/echo", b"%d" % n)).body == b"%d" % n
        assert client.ask(chunked("/echo", b"%d" % n, b"!")).body == b"%d!" % n


def test_requests_sent_ahead_are_answered_in_order(client: Client) -> None:
    requests = [
        get("/nap"),
        post("/echo", b"one"),
        chunked("/echo", b"two"),
        get(),
        post("/echo", b"3"),
    ]
    client.send(b"".join(requests))
    answers = [client.read_answer().body for _ in requests]
    assert answers == [b"slept", b"one", b"two", b"hello", b"3"]


def test_a_hundred_requests_sent_ahead_are_answered(client: Client) -> None:
    client.send(get() * 100)
    assert [client.read_answer().body for _ in range(100)] == [b"hello"] * 100


def test_whoever_sends_ahead_is_not_read_on_before_the_answer(client: Client) -> None:
    client.send(get("/nap"))
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.send(get() * 1_000_000)


def test_whoever_sends_ahead_without_end_is_cut_off(client: Client) -> None:
    client.send(get("/poll"))
    with pytest.raises(ConnectionError):
        client.send(get() * 1_000_000)


@pytest.mark.parametrize(
    "request_bytes", [post("/echo", b"abcdef"), chunked("/echo", b"abc", b"def")]
)
def test_a_request_may_be_cut_anywhere(client: Client, request_bytes: bytes) -> None:
    client.sock.setsockopt(6, 1, 1)  # TCP_NODELAY
    for at in range(1, len(request_bytes)):
        client.send(request_bytes[:at])
        client.send(request_bytes[at:] + get())
        assert client.read_answer().body == b"abcdef"
        assert client.read_answer().body == b"hello"


@pytest.mark.parametrize("path", ["/ignore", "/hello"])
def test_a_small_body_that_nobody_reads_is_swallowed(client: Client, path: str) -> None:
    client.send(post(path, b"x" * 1000)[:-500])
    assert client.read_answer().status == 200
    client.send(b"x" * 500 + get())
    assert client.read_answer().body == b"hello"


@pytest.mark.parametrize("path", ["/ignore", "/ignore-and-close"])
def test_a_large_body_that_nobody_reads_ends_the_connection_after_the_answer(
    client: Client, path: str
) -> None:
    # The client has yet to send most of it when the answer comes: a reset could overtake that.
    client.send(post(path, b"x" * 700_000) + get())
    assert client.read_answer().body == b"ignored"
    assert client.read_to_fin() == b""


def test_an_answer_that_says_close_closes(client: Client) -> None:
    assert client.ask(post("/ignore-and-close", b"read anyway")).headers["connection"] == "close"
    assert client.read_to_end() == b""


def test_a_head_request_has_no_body(client: Client) -> None:
    client.send(b"HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n")
    assert client.read_answer(to_head=True).headers["content-length"] == "5"
    assert client.ask(get()).body == b"hello"


def test_http_1_0_is_answered_and_closed(client: Client) -> None:
    assert client.ask(b"GET /hello HTTP/1.0\r\nHost: t\r\n\r\n").body == b"hello"
    assert client.read_to_end() == b""


def test_whoever_expects_100_gets_it_when_the_body_is_wanted(client: Client) -> None:
    request_bytes = post("/echo", b"abc", "Expect: 100-continue")
    assert client.ask(request_bytes[:-3]).status == 100
    assert client.ask(request_bytes[-3:]).body == b"abc"


def test_extensions_and_trailers_are_dropped(client: Client) -> None:
    body = b"3;a=b\r\nabc\r\n3 ; c\r\ndef\r\n0;last\r\nHost: evil\r\nQueue-Token: x\r\n\r\n"
    seen = client.ask(CHUNKED.replace(b"/echo", b"/seen") + body).json()
    assert seen["body"] == "abcdef"
    assert seen["headers"] == [["host", "t"], ["transfer-encoding", "chunked"]]
    assert client.ask(get()).body == b"hello"


BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a size that is no number": b"x\r\nabc\r\n0\r\n\r\n",
    "a size with a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
    "a size beyond all sense": b"f" * 17 + b"\r\nabc\r\n",
    "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "a space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "a bare LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "more data than announced": b"3\r\nabcd\r\n0\r\n\r\n",
    "an extension without end": b"3;" + b"x" * 600,
    "a trailer without a colon": b"0\r\nx\r\n\r\n",
    "a folded trailer": b"0\r\nX: 1\r\n 2\r\n\r\n",
    "trailers without end": b"0\r\n" + b"X: 1\r\n" * 2000,
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_a_body_that_is_badly_framed_is_refused(client: Client, body: bytes) -> None:
    answer = client.ask(CHUNKED + body)
    assert answer.status == 400
    assert answer.problem()["status"] == 400
    assert client.read_to_end() == b""


def test_a_bad_chunk_behind_a_begun_answer_only_closes(client: Client) -> None:
    client.send(CHUNKED.replace(b"/echo", b"/begin-then-read"))
    assert client.read_answer(to_head=True).status == 200
    client.send(b"x\r\n")
    assert client.read_to_end() == b"5\r\nbegun\r\n"


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
@pytest.mark.parametrize("step", [1, 2, 7])
def test_bad_chunks_are_found_however_they_are_cut(body: bytes, step: int) -> None:
    reader = ChunkReader()
    with pytest.raises(BadChunk):  # noqa: PT012
        for at in range(0, len(body), step):
            reader.read(body[at : at + step])
        assert not reader.done


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_chunks_are_passed_on_in_one_spelling(step: int) -> None:
    sent = b"03;x\r\nabc\r\nA\r\n0123456789\r\n00\r\nX: 1\r\n\r\nGET"
    reader, seen, rest = ChunkReader(), b"", b""
    for at in range(0, len(sent), step):
        if reader.done:
            rest += sent[at : at + step]
            continue
        part, rest = reader.read(sent[at : at + step])
        seen += part
    assert reader.done
    assert (seen, rest) == (b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n", b"GET")
