"""A real nginx with auth_request in front of a real backend, set up by `nginx.conf.template`."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.gateways import BACKEND_BODY, Backend, Gateway, Server
from tests.support.replies import ask_raw
from tests.support.servers import free_port
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import Visitor

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
DATA = Path(__file__).parents[2] / "data"
TEMPLATE = Path(__file__).with_name("nginx.conf.template")

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")


@dataclass(frozen=True)
class Nginx:
    """nginx as it runs, and the backend behind it."""

    port: int
    caching_port: int
    lonely_port: int
    backend: Backend


@pytest.fixture(scope="module")
def nginx(gateway: Gateway, short_folder: Path) -> Iterator[Nginx]:
    folder = short_folder / "nginx"
    folder.mkdir()
    # Started by root, its workers are somebody else, who must find the way to their files.
    for place in (short_folder, folder):
        place.chmod(0o711)
    backend = Backend()
    behind = Server(backend)
    behind.start()
    port, caching_port, lonely_port, nobody = (free_port() for _ in range(4))
    config = folder / "nginx.conf"
    # nginx has `$names` of its own: only those of the test are replaced.
    text = Template(TEMPLATE.read_text("utf-8")).safe_substitute(
        FOLDER=folder,
        PORT=port,
        CACHING_PORT=caching_port,
        LONELY_PORT=lonely_port,
        NOBODY=nobody,
        GATEWAY=gateway.port,
        BACKEND=behind.port,
    )
    config.write_text(text, "utf-8")
    assert NGINX is not None
    process = subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text("utf-8")
        yield Nginx(port, caching_port, lonely_port, backend)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait()
        behind.stop()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Front:
    """One event as visitors see it through nginx."""

    def __init__(self, stage: Stage, nginx: Nginx) -> None:
        self.stage = stage
        self.nginx = nginx

    def visitor(self) -> Visitor:
        return Visitor(self.nginx.port, self.stage.host, event=self.stage.event)

    def waiting(self) -> Visitor:
        visitor = self.visitor()
        visitor.join()
        return visitor

    def served(self) -> Visitor:
        visitor = self.waiting()
        self.stage.release(1 + int(visitor.call("position").json()["ahead"]))
        return visitor

    @property
    def reached(self) -> int:
        return len(self.nginx.backend.seen)


@pytest.fixture
def front(stage: Stage, nginx: Nginx) -> Front:
    return Front(stage, nginx)


def test_the_whole_way_through_nginx(front: Front) -> None:
    visitor = front.visitor()
    sent = visitor.navigate("/book/7?seat=1&x=%2F")
    assert sent.status == 303
    assert sent.location == (
        f"http://{front.stage.host}/queue/{front.stage.event}/room"
        "?return_to=/book/7%3Fseat%3D1%26x%3D%252F"
    )
    room = sent.location.removeprefix(f"http://{front.stage.host}")
    assert b"Join the queue" in visitor.navigate(room).body
    visitor.join()
    assert visitor.navigate("/book/7").status == 303
    front.stage.release()
    let_in = visitor.navigate("/book/7?seat=1&x=%2F")
    assert (let_in.status, let_in.body) == (200, BACKEND_BODY)
    assert set(let_in.cookies) == {f"pass-{front.stage.event}"}
    assert front.nginx.backend.last.target == "/book/7?seat=1&x=%2F"
    again = visitor.ask("POST", "/book/7", body=b"seat=1")
    assert (again.status, again.cookies) == (200, {})
    assert front.nginx.backend.last.method == "POST"
    assert front.stage.operator.read(front.stage.event).claims == 1


def test_an_app_gets_the_status_that_is_meant(front: Front) -> None:
    stage = front.stage
    assert front.visitor().get("/book").status == 401
    waiting = front.waiting()
    reply = waiting.get("/book")
    assert reply.status == 429
    assert int(reply.header("retry-after") or "") >= 1
    admitted = front.served()
    assert admitted.get("/book").status == 200
    held = {"queue-token": admitted.held}
    admitted.call("leave")
    stage.settle()
    assert front.visitor().get("/book", held).status == 410
    assert front.visitor().get("/book;x").status == 400
    stage.change(StateChange.CLOSE)
    assert front.visitor().get("/book").status == 410
    stage.lose()
    reply = front.visitor().get("/book")
    assert (reply.status, reply.header("retry-after")) == (503, "5")


def test_at_the_limit_whose_turn_has_come_waits_for_room(
    open_stage: OpenStage, nginx: Nginx
) -> None:
    front = Front(open_stage(max_sessions=1), nginx)
    first, second = front.waiting(), front.waiting()
    front.stage.release(2)
    assert first.get("/book").status == 200
    assert second.get("/book").status == 429


def test_the_backend_is_told_who_comes_and_by_the_gateway_alone(front: Front) -> None:
    visitor = front.served()
    forged = {
        "queue-event": "another",
        "queue-position": "999",
        "Queue-Visitor": "me",
        "queue_position": "999",
        "Queue.Position": "999",
        "QUEUE_VISITOR": "me",
        "queue-token": visitor.place,
    }
    assert visitor.get("/book", forged).status == 200
    said = front.nginx.backend.last.queue_headers
    assert set(said) == {"queue-event", "queue-position", "queue-visitor"}
    assert (said["queue-event"], said["queue-position"]) == (front.stage.event, "1")
    assert said["queue-visitor"] != "me"
    del forged["queue-token"]
    for target in ("/assets/x.css", "/about"):
        assert front.visitor().get(target, forged).status == 200
        assert set(front.nginx.backend.last.queue_headers) <= {"queue-event"}
        assert front.nginx.backend.last.queue_headers.get("queue-event") != "another"


def test_no_field_of_a_client_is_taken_for_nginxs(front: Front) -> None:
    before = front.reached
    for headers in (
        {"x-original-uri": "/assets/x"},
        {"x-original-host": "static.example"},
        {"x-original-method": "OPTIONS", "origin": "x", "access-control-request-method": "GET"},
        {"x-forwarded-uri": "/assets/x", "x-forwarded-host": "static.example"},
        {"x-forwarded-method": "OPTIONS", "origin": "x", "access-control-request-method": "GET"},
        {"x-original-url": "/assets/x", "x-rewrite-url": "/assets/x"},
        {"connection": "x-original-uri, x-original-host"},
        {"queue-status": "admitted"},
        {"authorization": "Bearer x"},
        {"user-agent": "nginx"},
    ):
        assert front.visitor().get("/book", headers).status == 401, headers
    assert front.visitor().get("/_may_it_pass").status == 404
    # The gateway's own questions are not for visitors.
    request = f"GET /auth?profile=nginx HTTP/1.1\r\nHost: {front.stage.host}\r\n\r\n"
    reply = ask_raw(front.nginx.port, request.encode())
    assert reply is not None
    assert reply.status == 401
    assert front.reached == before


def test_no_spelling_of_a_protected_path_reaches_the_backend(front: Front) -> None:
    before = front.reached
    for case in json.loads((DATA / "bypass_targets.json").read_text("utf-8")):
        request = f"GET {case['target']} HTTP/1.1\r\nHost: {front.stage.host}\r\nConnection: close\r\n\r\n"
        ask_raw(front.nginx.port, request.encode("latin-1"))
    assert [seen.target for seen in front.nginx.backend.seen[before:]] == []


def test_no_spelling_of_a_host_reaches_the_backend(front: Front) -> None:
    before = front.reached
    for case in json.loads((DATA / "hosts.json").read_text("utf-8")):
        hosts = "".join(f"Host: {host}\r\n" for host in case["hosts"])
        hosts = hosts.replace("booking.example", front.stage.host)
        request = f"GET /book/seat HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"
        ask_raw(front.nginx.port, request.encode("latin-1"))
        # The address of the request line is not the Host that is judged.
        request = (
            f"GET http://static.example/book/seat HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"
        )
        ask_raw(front.nginx.port, request.encode("latin-1"))
    assert front.reached == before


def test_what_is_open_goes_through(front: Front) -> None:
    for target in ("/assets/x.css?v=1", "/assets/b%C3%BCcher", "/about"):
        reply = front.visitor().get(target)
        assert (reply.status, reply.body) == (200, BACKEND_BODY)
        assert front.nginx.backend.last.target == target
    assert front.visitor().ask("POST", "/about", body=b"").status == 401


def test_nobody_passes_while_the_gateway_does_not_answer(front: Front) -> None:
    before = front.reached
    lonely = Visitor(front.nginx.lonely_port, front.stage.host)
    held = front.stage.mint.held(front.stage.event, front.stage.generation)
    for target in ("/book", "/assets/x.css"):
        assert lonely.get(target, {"queue-token": held}).status == 500
    assert front.reached == before


def test_an_admission_that_is_kept_is_kept_for_its_visitor_alone(front: Front) -> None:
    visitor = front.served()
    assert visitor.get("/book").status == 200
    held, place = visitor.held, visitor.place
    kept = Visitor(front.nginx.caching_port, front.stage.host)
    metrics = front.stage.gateway.opened.metrics
    row = f'gateway_decisions_total{{event="{front.stage.event}",outcome="admitted"}}'

    def decisions() -> float:
        lines = metrics.exposition().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(row))

    before = decisions()
    for number in range(10):
        reply = kept.get(f"/book/{number}", {"queue-token": held})
        assert (reply.status, reply.body) == (200, BACKEND_BODY)
        assert front.nginx.backend.last.queue_headers["queue-position"] == "1"
    assert 1 <= decisions() - before <= 3
    for headers in (
        {},
        {"queue-token": place[:-8] + "AAAAAAAA"},
        {"cookie": f"pass-{front.stage.event}={held[:-8]}AAAAAAAA"},
        {"authorization": "Bearer x"},
        {"queue-token": held, "host": "sale-119.example"},
    ):
        assert kept.get("/book/1", headers).status != 200, headers


def test_an_admission_that_is_kept_ends_within_the_bound_of_a_revocation(front: Front) -> None:
    visitor = front.served()
    visitor.get("/book")
    held = {"queue-token": visitor.held}
    kept = Visitor(front.nginx.caching_port, front.stage.host)
    assert kept.get("/book", held).status == 200
    visitor.call("leave")
    eventually(lambda: kept.get("/book", held).status == 403, 6.5)
