"""Nobody holds a connection by being slow, and nobody who does their part is cut off."""

import select
import time

import pytest

from gateway.server.protocols import HttpParser
from tests.integration.server.client import Client, chunked, get, post
from tests.integration.server.conftest import RECEIVE_TIMEOUT_S, Site, Sites


def assert_timed_out(client: Client) -> None:
    answer = client.read_answer()
    assert answer.status == 408
    assert answer.problem() == {"type": "about:blank", "title": "Request Timeout", "status": 408}
    assert answer.headers["connection"] == "close"
    assert client.read_to_end() == b""


def test_a_silent_connection_is_closed_without_a_word(site: Site) -> None:
    began = time.monotonic()
    with site.connect() as client:
        assert client.read_to_end() == b""
    assert time.monotonic() - began >= RECEIVE_TIMEOUT_S


def test_a_silent_connection_is_not_taken_for_an_idle_one(sites: Sites, http: HttpParser) -> None:
    with sites.get(http, keep_alive_s=600).connect() as client:
        assert client.read_to_end() == b""


@pytest.mark.parametrize("part", [b"G", b"GET /he", b"GET /hello HTTP/1.1\r\n", get()[:-2]])
def test_a_head_that_stops_halfway_is_timed_out(client: Client, part: bytes) -> None:
    began = time.monotonic()
    client.send(part)
    assert_timed_out(client)
    assert time.monotonic() - began >= RECEIVE_TIMEOUT_S


def test_a_dripped_head_is_timed_out(client: Client) -> None:
    client.drip(get("/hello", "X: " + "x" * 1000), 0.02)
    assert_timed_out(client)


def test_a_second_request_has_the_same_deadline(client: Client) -> None:
    assert client.ask(get()).status == 200
    client.drip(get("/hello", "X: " + "x" * 1000), 0.02)
    assert_timed_out(client)


def test_empty_lines_do_not_keep_a_connection(site: Site) -> None:
    said = b"nothing was tried"
    for _ in range(5):
        with site.connect() as client:
            for _ in range(100):
                client.send(b"\r\n")
                if select.select([client.sock], [], [], 0.1)[0]:
                    break
            said = client.read_to_end()
        # Lines that waited for a busy server arrived together, which is another matter: once more.
        if not said.startswith(b"HTTP/1.1 400 "):
            break
    assert said == b""


@pytest.mark.parametrize(
    "part", [post("/echo", b"x" * 100)[:-60], chunked("/echo", b"x" * 100)[:-60]]
)
def test_a_body_that_stops_halfway_is_timed_out(client: Client, part: bytes) -> None:
    client.send(part)
    assert_timed_out(client)


@pytest.mark.parametrize(
    "request_bytes",
    [post("/echo", b"x" * 1000), chunked("/echo", *[b"x"] * 200)],
    ids=["length", "chunks"],
)
def test_a_dripped_body_is_timed_out(client: Client, request_bytes: bytes) -> None:
    head, end, body = request_bytes.partition(b"\r\n\r\n")
    client.send(head + end)
    client.drip(body, 0.02)
    assert_timed_out(client)


def test_a_body_dripped_behind_a_begun_answer_only_closes(client: Client) -> None:
    head = post("/begin-then-read", b"x" * 1000)[:-1000]
    client.send(head)
    assert client.read_answer(to_head=True).status == 200
    client.drip(b"x" * 1000, 0.02)
    assert client.read_to_end() == b"5\r\nbegun\r\n"


def test_a_body_that_nobody_reads_has_a_deadline_too(client: Client) -> None:
    client.send(post("/ignore", b"x" * 1000)[:-900])
    assert client.read_answer().body == b"ignored"
    assert client.read_to_end() == b""


@pytest.mark.parametrize("as_chunks", [False, True])
def test_a_slow_but_steady_upload_survives(client: Client, as_chunks: bool) -> None:
    pieces = [b"x" * 50] * 40  # 1,000 bytes a second, for five deadlines
    request_bytes = chunked("/length", *pieces) if as_chunks else post("/length", b"".join(pieces))
    head, end, body = request_bytes.partition(b"\r\n\r\n")
    client.send(head + end)
    for at in range(0, len(body), 50):
        client.send(body[at : at + 50])
        time.sleep(0.05)
    assert client.read_answer().body == b"2000"


def test_a_large_upload_to_a_slow_application_is_not_cut(client: Client) -> None:
    # The application rests for longer than the deadline, and the client cannot send meanwhile.
    assert client.ask(post("/slow-length", bytes(3_000_000))).body == b"3000000"


def test_a_client_that_waits_until_its_first_half_was_taken_is_not_cut(client: Client) -> None:
    request_bytes = post("/late-length", b"x" * 1000)
    client.send(request_bytes[:-500])
    time.sleep(0.9)
    assert client.ask(request_bytes[-500:]).body == b"1000"


def test_a_client_that_waits_for_100_is_not_cut(client: Client) -> None:
    request_bytes = post("/late-length", b"abc", "Expect: 100-continue")
    assert client.ask(request_bytes[:-3]).status == 100
    assert client.ask(request_bytes[-3:]).body == b"3"


def test_an_application_may_take_its_time(client: Client) -> None:
    assert client.ask(get("/nap")).body == b"slept"
    assert client.ask(post("/nap", b"x")).body == b"slept"


def test_an_idle_connection_is_closed_without_a_word(client: Client) -> None:
    began = time.monotonic()
    assert client.ask(get()).status == 200
    assert client.read_to_end() == b""
    assert time.monotonic() - began >= 0.8


def test_a_connection_may_idle_for_longer_than_a_head_may_take(client: Client) -> None:
    assert client.ask(get()).status == 200
    time.sleep(0.6)
    assert client.ask(get()).status == 200


@pytest.mark.parametrize("path", ["/large", "/stream-of-one-write"])
def test_whoever_takes_nothing_of_an_answer_is_cut_off(
    sites: Sites, http: HttpParser, path: str
) -> None:
    site = sites.get(http, send_timeout_s=0.5, connections_per_client=1)
    with site.connect() as client:
        client.send(get(path))
        time.sleep(1.5)
        assert len(client.read_to_end()) < 40_000_000
    with site.connect() as client:
        assert client.ask(get()).status == 200


def test_whoever_takes_an_answer_slowly_is_not(sites: Sites, http: HttpParser) -> None:
    site = sites.get(http, send_timeout_s=0.5, connections_per_client=1)
    with site.connect() as client:
        client.send(get("/large", "Connection: close"))
        taken = 0
        while piece := client.sock.recv(1_000_000):
            taken += len(piece)
            time.sleep(0.02)
        assert taken > 40_000_000
