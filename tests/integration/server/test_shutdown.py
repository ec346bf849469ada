"""The end of a server: nobody new, everybody in flight served, no stream waited for."""

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from gateway.server.serve import bind_sockets
from tests.integration.server.client import Client, get, post
from tests.integration.server.running import Program, until


@pytest.fixture(params=["httptools", "h11"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with Program("server", "--http", request.param) as program:
        yield program


def is_refusing(program: Program) -> bool:
    try:
        program.connect().sock.close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_well(program: Program, number: signal.Signals) -> None:
    with program.connect() as client:
        assert client.ask(get()).status == 200
        program.signal(number)
        assert client.read_to_end() == b""
    assert program.end() == 0


def test_a_request_in_flight_is_served_to_its_end(program: Program) -> None:
    with program.connect() as client, program.connect() as uploading:
        client.send(get("/nap"))
        uploading.send(post("/length", b"x" * 10)[:-5])
        time.sleep(0.2)
        program.signal(signal.SIGTERM)
        until(lambda: is_refusing(program))
        uploading.send(b"x" * 5)
        for answer in (client.read_answer(), uploading.read_answer()):
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
        assert client.read_to_end() == uploading.read_to_end() == b""
    assert program.end() == 0


def test_a_request_that_was_on_its_way_is_served(program: Program) -> None:
    with program.connect() as idle, program.connect() as fresh:
        assert idle.ask(get()).status == 200
        program.signal(signal.SIGTERM)
        until(lambda: is_refusing(program))
        for client in (idle, fresh):
            answer = client.ask(get())
            assert answer.body == b"hello"
            assert answer.headers["connection"] == "close"
            assert client.read_to_end() == b""
    assert program.end() == 0


def test_a_stream_that_waits_for_the_shutdown_ends_itself(program: Program) -> None:
    with program.connect() as client:
        client.send(get("/stream"))
        client.read_answer(to_head=True)
        program.signal(signal.SIGTERM)
        assert client.read_to_end().endswith(b"data: bye\n\n\r\n0\r\n\r\n")
    assert program.next_line() == {"ended_streams": 1, "forced": False}
    assert program.end() == 0


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_stream_that_knows_nothing_is_cut_off_in_the_end(http: str) -> None:
    with (
        Program("server", "--http", http, "--drain", "0.5") as program,
        program.connect() as client,
    ):
        client.send(get("/endless"))
        client.read_answer(to_head=True)
        program.signal(signal.SIGTERM)
        assert client.read_to_end().endswith(b"begun\r\n")
        assert program.end() == 0


def test_a_second_signal_ends_at_once() -> None:
    with Program("server", "--drain", "600") as program, program.connect() as client:
        client.send(get("/endless"))
        client.read_answer(to_head=True)
        program.signal(signal.SIGTERM)
        until(lambda: is_refusing(program))
        program.signal(signal.SIGTERM)
        assert program.end() == 3


def test_the_admin_port_answers_to_the_last(program: Program) -> None:
    with program.connect() as client:
        client.send(get("/nap"))
        time.sleep(0.2)
        program.signal(signal.SIGTERM)
        until(lambda: is_refusing(program))
        with Client.connect(program.admin_port) as admin:
            assert admin.ask(get("/hello", "Connection: close")).status == 200
        assert client.read_answer().body == b"slept"
    assert program.end() == 0


def test_an_application_that_does_not_start_is_an_error() -> None:
    with Program("server", "--fails", "lifespan", waits=False) as program:
        assert program.end() == 1
        assert "StartupFailed" in program.process.communicate()[1]


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Program("server", "--port", str(port), waits=False) as program:
            assert program.end() == 1
            assert (
                f"127.0.0.1 port {port}: Address already in use" in program.process.communicate()[1]
            )


def test_every_address_of_a_name_has_the_same_port() -> None:
    sockets = bind_sockets("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        for sock in sockets:
            sock.close()


def test_what_the_server_adds_to_an_answer_is_nothing(program: Program) -> None:
    with program.connect() as client:
        answer = client.ask(get())
    assert set(answer.headers) == {"content-length"}
