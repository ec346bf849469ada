"""What is nginx's own: files that its script reads at each request, TLS, its reload, what it keeps."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.proxyconfig import Knowledge, ProxyFolder
from gateway.proxyconfig.known_files import KnownFiles
from gateway.tokens.keyring import KeyRing
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.fronted import Door
from tests.support.fronts import Front
from tests.support.gateways import BACKEND_BODY, Gateway
from tests.support.line_speed import (
    NGINX_VERIFIES,
    Asked,
    AskedOverTls,
    Syncing,
    Verifier,
    verifying_front,
)
from tests.support.minting import Mint, now_s
from tests.support.replies import ask
from tests.support.servers import free_port
from tests.support.staging import Stage

A_WHILE_S = 12.0
VERDICTS = "verdicts.log"


def reload(front: Front) -> None:
    """Let nginx read its configuration again; who worked by the old one has gone."""
    children = Path(f"/proc/{front.pid}/task/{front.pid}/children")
    before = set(children.read_text().split())
    os.kill(front.pid, signal.SIGHUP)
    eventually(lambda: not before & set(children.read_text().split()), A_WHILE_S)


def change(front: Front, folder: ProxyFolder, old: str, new: str) -> None:
    """Change how nginx asks its own script."""
    file = folder.folder / "admission-verdicts.conf"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
    reload(front)


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return NGINX_VERIFIES


@pytest.fixture(scope="module")
def common_lone(common_lone: tuple[Front, ProxyFolder]) -> tuple[Front, ProxyFolder]:
    """The proxy that tests share, which also writes down what its script is asked."""
    running, folder = common_lone
    log = f"    access_log {folder.folder / VERDICTS};\n"
    change(running, folder, "    location / {", f"{log}    location / {{")
    return running, folder


def test_over_tls_the_cookie_is_the_one_with_the_prefix(
    gateway: Gateway, stage: Stage, door: Door, folder: ProxyFolder, short_folder: Path, held: str
) -> None:
    place = Path(tempfile.mkdtemp(prefix="tls-", dir=short_folder))
    certificate, private = Authority(place).sign("localhost")
    port = free_port()
    listen = (
        f"listen 127.0.0.1:{port} ssl http2; "
        f"ssl_certificate {certificate}; ssl_certificate_key {private};\n"
    )
    name = f"pass-{stage.event}"
    was_asked = AskedOverTls(door, stage, port, place / "ca.pem")
    front = verifying_front(NGINX_VERIFIES, gateway, door, folder.folder, stage.event, more=listen)
    with front as running, Syncing(gateway, stage.event, folder).running():
        assert was_asked(f"__Host-{name}={held}") is False
        # Kept for those who come without TLS, to whom it is the right one.
        plain = [("host", stage.host), ("cookie", f"{name}={held}")]
        before = door.count("/auth")
        assert ask(running.port, "GET", "/book", plain).status == 200
        assert door.count("/auth") == before
        assert was_asked(f"{name}={held}") is True
        assert was_asked(f"__Host-{name}={held}; {name}={held}") is True


# nginx's workers are not who writes.
NOT_TO_BE_READ: dict[str, Callable[[KnownFiles], object]] = {
    "known cannot be read": lambda files: files.known.chmod(0),
    "ended cannot be looked at": lambda files: files.ended.chmod(0),
}


@pytest.mark.parametrize("fault", NOT_TO_BE_READ)
def test_what_its_workers_may_not_read_means_asking(
    fault: str, told: Asked, files: KnownFiles, told_held: str
) -> None:
    assert told(told_held)[0] is False
    NOT_TO_BE_READ[fault](files)
    was_asked, reply = told(told_held)
    assert (was_asked, reply.status, reply.body) == (True, 200, BACKEND_BODY)


def test_the_scripts_own_address_is_no_visitors(
    common_lone: tuple[Front, ProxyFolder], common_stage: Stage, files: KnownFiles, told_held: str
) -> None:
    fields = [("host", common_stage.host), ("queue-token", told_held)]
    for target in ("/_verified", "/_admission"):
        assert ask(common_lone[0].port, "GET", target, fields).status == 404


@pytest.fixture
def coming(told: Asked, told_held: str) -> Iterator[list[int]]:
    """Somebody with a pass who keeps coming, and what was answered."""
    statuses: list[int] = []
    over = threading.Event()

    def come() -> None:
        while not over.is_set():
            try:
                statuses.append(told(told_held)[1].status)
            except OSError:
                statuses.append(0)

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


def test_a_reload_turns_nobody_away(
    coming: list[int], common_lone: tuple[Front, ProxyFolder]
) -> None:
    eventually(lambda: bool(coming), A_WHILE_S)
    for _ in range(2):
        reload(common_lone[0])
    seen = len(coming)
    eventually(lambda: len(coming) > seen + 3, A_WHILE_S)
    assert set(coming) == {200}


# --- what the script found is kept until the second is over


def next_second() -> None:
    """Wait until this machine's clock says another second than now."""
    now = now_s()
    eventually(lambda: now_s() > now, A_WHILE_S)


def test_a_pass_is_verified_once_a_second_however_often_it_comes(
    common_lone: tuple[Front, ProxyFolder], told: Asked, common_stage: Stage, told_held: str
) -> None:
    front, folder = common_lone
    log = folder.folder / VERDICTS

    def verified() -> int:
        return len(log.read_text().splitlines())

    fields = [("host", common_stage.host), ("cookie", f"pass-{common_stage.event}={told_held}")]
    first, before, came = now_s(), verified(), 0
    asked = front.door.count("/auth")
    while now_s() < first + 3 or came < 20:
        for target in ("/book", f"/book/{came}?seat={came}"):
            assert ask(front.port, "GET", target, fields).status == 200
            assert front.site.last.queue_headers["queue-position"] == "1"
            came += 1
    assert front.door.count("/auth") == asked
    assert 3 <= verified() - before <= now_s() - first + 1


def test_what_was_kept_is_kept_no_longer_when_the_second_is_over(
    common_lone: tuple[Front, ProxyFolder],
    common_stage: Stage,
    files: KnownFiles,
    mint: Mint,
    told_held: str,
) -> None:
    front, folder = common_lone
    fields = [("host", common_stage.host), ("queue-token", told_held)]

    def was_asked() -> bool:
        before = front.door.count("/auth")
        ask(front.port, "GET", "/book", fields)
        return front.door.count("/auth") > before

    keys = KeyRing.load(mint.folder).public_keys()
    assert was_asked() is False
    ended = Knowledge(common_stage.generation, {1: now_s() + 600}, keys)
    folder.sync(good_for_s=300).tell(ended, read_at_s=time.time())
    next_second()
    assert was_asked() is True


def test_a_pass_that_ends_is_kept_to_its_end_and_no_longer(
    common_lone: tuple[Front, ProxyFolder], common_stage: Stage, told: Asked
) -> None:
    front, _ = common_lone
    ends = now_s() + 3
    held = common_stage.mint.held(common_stage.event, common_stage.generation, expires_at=ends)
    fields = [("host", common_stage.host), ("queue-token", held)]

    def came_in() -> tuple[bool, int]:
        before, at = front.door.count("/auth"), now_s()
        ask(front.port, "GET", "/book", fields)
        return front.door.count("/auth") == before, at

    assert came_in()[0] is True
    late: list[int] = []

    def is_over() -> bool:
        by_itself, at = came_in()
        if by_itself and at >= ends:
            late.append(at)
        return at > ends

    eventually(is_over, A_WHILE_S)
    assert late == []


Fields = list[tuple[str, str]]

# What comes right behind a request that was let in, and its own fields: the cookies of that one are given.
BEHIND_A_GOOD_ONE: dict[str, Callable[[str, str, str], tuple[str, str, Fields]]] = {
    "a preflight": lambda nth, held, _: ("OPTIONS", "/book", [("cookie", nth + held)]),
    "an encoded path": lambda nth, held, _: ("GET", "/b%C3%BCcher", [("cookie", nth + held)]),
    "an address": lambda nth, held, _: (
        "GET",
        "http://sale-219.example/book",
        [("cookie", nth + held)],
    ),
    "a bearer token": lambda nth, held, _: (
        "GET",
        "/book",
        [("cookie", nth + held), ("authorization", "Bearer x")],
    ),
    "two Cookie fields, together the same": lambda nth, held, _: (
        "GET",
        "/book",
        [("cookie", nth.removesuffix("; ")), ("cookie", held)],
    ),
    "a second Cookie field": lambda nth, held, other: (
        "GET",
        "/book",
        [("cookie", nth + held), ("cookie", other)],
    ),
    "a second pass": lambda nth, held, other: (
        "GET",
        "/book",
        [("cookie", f"{nth}{held}; {other}")],
    ),
    "a queue token beside it": lambda nth, held, other: (
        "GET",
        "/book",
        [("cookie", nth + held), ("queue-token", other.partition("=")[2])],
    ),
    "another pass": lambda nth, _, other: ("GET", "/book", [("cookie", nth + other)]),
    "no pass": lambda nth, _, __: ("GET", "/book", [("cookie", nth)]),
    "no pass, and the script's own field": lambda nth, held, _: (
        "GET",
        "/book",
        [
            ("cookie", nth),
            ("admission-shown", f"{now_s()}|{held.partition('=')[2]}|"),
            ("x-original-uri", "/book"),
        ],
    ),
}


@pytest.mark.parametrize("behind", BEHIND_A_GOOD_ONE)
def test_what_is_kept_serves_no_other_request(
    behind: str,
    common_lone: tuple[Front, ProxyFolder],
    common_stage: Stage,
    files: KnownFiles,
    told_held: str,
) -> None:
    front, _ = common_lone
    name, stage = f"pass-{common_stage.event}", common_stage
    held, other = f"{name}={told_held}", f"{name}={told_held[:-8]}AAAAAAAA"
    nth = f"behind={behind.replace(' ', '-').replace(',', '')}; "
    method, target, fields = BEHIND_A_GOOD_ONE[behind](nth, held, other)
    before = front.door.count("/auth")
    good = [("host", stage.host), ("cookie", nth + held)]
    assert ask(front.port, "GET", "/book", good).status == 200
    assert front.door.count("/auth") == before
    ask(front.port, method, target, [("host", stage.host), *fields])
    assert front.door.count("/auth") == before + 1


def test_what_is_kept_serves_no_other_host(
    common_lone: tuple[Front, ProxyFolder], common_stage: Stage, told: Asked, told_held: str
) -> None:
    front, _ = common_lone
    token = ("queue-token", told_held)
    assert told.of([token, ("cookie", "to=hosts")])[0] is False
    before = front.door.count("/auth")
    reached = len(front.site.seen)
    other = ask(front.port, "GET", "/book", [("host", "sale-219.example"), token])
    assert other.status != 200
    assert (front.door.count("/auth"), len(front.site.seen)) == (before + 1, reached)


def test_where_nginx_does_not_reach_its_own_script_everything_is_asked(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    asked = Asked(lone_front, stage)
    known = Knowledge(stage.generation, {}, KeyRing.load(mint.folder).public_keys())
    folder.sync(good_for_s=300).tell(known, read_at_s=time.time())
    assert asked(held)[0] is False
    change(
        lone_front,
        folder,
        "upstream admission_verifier {\n    server ",
        f"upstream admission_verifier {{\n    server 127.0.0.1:{free_port()}; #",
    )
    was_asked, reply = asked(held)
    assert (was_asked, reply.status, reply.body) == (True, 200, BACKEND_BODY)


def test_a_proxy_that_was_killed_starts_again(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    asked = Asked(lone_front, stage)
    known = Knowledge(stage.generation, {}, KeyRing.load(mint.folder).public_keys())
    folder.sync(good_for_s=300).tell(known, read_at_s=time.time())
    assert asked(held)[0] is False
    master = lone_front.pid
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for pid in (master, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)

    def nobody_listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", lone_front.port)) != 0

    eventually(nobody_listens, A_WHILE_S)
    program = NGINX_VERIFIES.kind.program
    assert program is not None
    words = (word.format(folder=folder.folder) for word in NGINX_VERIFIES.kind.arguments)
    again = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: again.poll() is not None or not nobody_listens(), A_WHILE_S)
        assert again.poll() is None
        assert (asked(held)[0], asked(held)[1].status) == (False, 200)
    finally:
        again.terminate()
        again.wait()
