"""What is nginx's own: files that its script reads at each request, TLS, its reload, what it keeps."""

import os
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from gateway.proxyconfig import Knowledge, NginxFolder, ProxyFolder
from gateway.proxyconfig.known_files import KnownFiles
from gateway.tokens.keyring import KeyRing
from tests.support import known_faults
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.fronted import Door
from tests.support.fronts import Front
from tests.support.gateways import BACKEND_BODY, Gateway
from tests.support.line_speed import NGINX_VERIFIES, Asked, Syncing, Verifier, verifying_front
from tests.support.minting import Mint, now_s
from tests.support.replies import ask
from tests.support.servers import free_port
from tests.support.staging import Stage

A_WHILE_S = 12.0


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return NGINX_VERIFIES


@pytest.fixture(scope="module")
def common_lone(
    gateway: Gateway, common_stage: Stage, door: Door, short_folder: Path
) -> Iterator[tuple[Front, NginxFolder]]:
    """A proxy that tests share, which nobody keeps fresh."""
    place = Path(tempfile.mkdtemp(prefix="line-", dir=short_folder)) / "h"
    with verifying_front(NGINX_VERIFIES, gateway, door, place, common_stage.event) as running:
        yield running, NginxFolder(place)


@pytest.fixture
def files(
    common_lone: tuple[Front, NginxFolder], common_stage: Stage, mint: Mint
) -> Iterator[KnownFiles]:
    """The files of the proxy that tests share: it was told all once, and knows it for minutes."""
    _, folder = common_lone
    files = KnownFiles(folder.folder)
    known = Knowledge(common_stage.generation, {}, KeyRing.load(mint.folder).public_keys())
    folder.sync(good_for_s=300).tell(known, read_at_s=time.time())
    yield files
    if files.known.is_dir():
        files.known.rmdir()
    files.known.unlink(missing_ok=True)
    files.ended.mkdir(exist_ok=True)
    files.ended.chmod(0o755)


@pytest.fixture
def told(common_lone: tuple[Front, NginxFolder], common_stage: Stage, files: KnownFiles) -> Asked:
    return Asked(common_lone[0], common_stage)


@pytest.fixture
def told_held(common_stage: Stage) -> str:
    return common_stage.mint.held(common_stage.event, common_stage.generation)


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
    trust = ssl.create_default_context(cafile=str(place / "ca.pem"))
    name = f"pass-{stage.event}"

    def was_asked(cookie: str) -> bool:
        before = door.count("/auth")
        connection = HTTPSConnection("localhost", port, context=trust, timeout=20)
        connection.request("GET", "/book", headers={"host": stage.host, "cookie": cookie})
        connection.getresponse().read()
        connection.close()
        return door.count("/auth") > before

    with (
        verifying_front(NGINX_VERIFIES, gateway, door, folder.folder, stage.event, more=listen),
        Syncing(gateway, stage.event, folder).running(),
    ):
        assert was_asked(f"__Host-{name}={held}") is False
        assert was_asked(f"{name}={held}") is True
        assert was_asked(f"__Host-{name}={held}; {name}={held}") is True


def test_a_new_key_counts_at_once_and_a_removed_one_no_longer_without_a_reload(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder, held: str, short_folder: Path
) -> None:
    asked = Asked(lone_front, stage)
    later = Mint(Path(tempfile.mkdtemp(prefix="later-", dir=short_folder)) / "keys")
    old, new = (KeyRing.load(place.folder).public_keys() for place in (mint, later))
    by_new = later.held(stage.event, stage.generation)
    sync = folder.sync(good_for_s=300)
    for keys, of_old, of_new in (
        (old, False, True),
        ({**old, **new}, False, False),
        (new, True, False),
    ):
        step = sync.tell(Knowledge(stage.generation, {}, keys), read_at_s=time.time())
        assert step.reload is False
        assert (asked(held)[0], asked(by_new)[0]) == (of_old, of_new)


def test_many_ended_sessions_are_told_and_forgotten(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder
) -> None:
    asked, keys = Asked(lone_front, stage), KeyRing.load(mint.folder).public_keys()
    sync = folder.sync(good_for_s=300)

    def refused(*positions: int) -> list[bool]:
        return [asked(mint.held(stage.event, stage.generation, at))[0] for at in positions]

    def tell(ended: range, at_s: float) -> None:
        known = Knowledge(stage.generation, dict.fromkeys(ended, now_s() + 600), keys)
        sync.tell(known, read_at_s=at_s)

    start_s = time.time()
    tell(range(1, 2001), start_s - 120)
    assert refused(1, 1000, 2000, 2001) == [True, True, True, False]
    # Their passes have died by themselves; a minute later so have their files.
    tell(range(1990, 2001), start_s - 90)
    tell(range(1990, 2001), start_s)
    assert refused(1, 1989, 1990, 2000) == [False, False, True, True]


# nginx's workers are not who writes.
NOT_TO_BE_READ: dict[str, Callable[[KnownFiles], object]] = {
    "known cannot be read": lambda files: files.known.chmod(0),
    "ended cannot be looked at": lambda files: files.ended.chmod(0),
}
FAULTS = {**known_faults.FAULTS, **NOT_TO_BE_READ}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_read_or_understood_means_asking(
    fault: str, told: Asked, files: KnownFiles, told_held: str
) -> None:
    assert told(told_held)[0] is False
    FAULTS[fault](files)
    was_asked, reply = told(told_held)
    assert (was_asked, reply.status, reply.body) == (True, 200, BACKEND_BODY)


def test_what_cannot_be_read_while_the_gateway_is_away_lets_nobody_in(
    common_lone: tuple[Front, NginxFolder], told: Asked, files: KnownFiles, told_held: str
) -> None:
    front, _ = common_lone
    with front.wire.refusing():
        assert told(told_held)[1].status == 200
        reached = len(front.site.seen)
        files.known.unlink()
        away = told(told_held)[1]
        assert (away.status, away.header("retry-after")) == (503, "5")
        assert len(front.site.seen) == reached


def test_the_host_must_be_the_events(
    common_lone: tuple[Front, NginxFolder], common_stage: Stage, files: KnownFiles, told_held: str
) -> None:
    front, _ = common_lone
    own = common_stage.host
    for host, expected in (
        (own, False),
        (own.upper(), False),
        (f"{own}:80", False),
        (f"{own}.", True),
        (f"www.{own}", True),
        (f"{own}:", True),
        ("sale-219.example", True),
    ):
        before = front.door.count("/auth")
        cookie = f"to={host}; pass-{common_stage.event}={told_held}"
        ask(front.port, "GET", "/book", [("host", host), ("cookie", cookie)])
        assert (front.door.count("/auth") > before) is expected, host


def test_the_scripts_own_address_is_no_visitors(
    common_lone: tuple[Front, NginxFolder], common_stage: Stage, files: KnownFiles, told_held: str
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
    coming: list[int], common_lone: tuple[Front, NginxFolder]
) -> None:
    master = common_lone[0].pid

    def workers() -> set[str]:
        return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())

    def reload() -> None:
        before = workers()
        os.kill(master, signal.SIGHUP)
        eventually(lambda: not before & workers(), A_WHILE_S)

    eventually(lambda: bool(coming), A_WHILE_S)
    for _ in range(2):
        reload()
    seen = len(coming)
    eventually(lambda: len(coming) > seen + 3, A_WHILE_S)
    assert set(coming) == {200}
