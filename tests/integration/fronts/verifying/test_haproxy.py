"""What is HAProxy's own: keys that it read at its start, its reload, maps over its runtime socket, TLS."""

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.proxyconfig import Knowledge, ProxyFolder
from gateway.tokens.keyring import KeyRing
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.fronted import Door
from tests.support.fronts import Front
from tests.support.gateways import Gateway, Tables, write_settings
from tests.support.line_speed import (
    HAPROXY_VERIFIES,
    Asked,
    AskedOverTls,
    SyncCommand,
    Syncing,
    Verifier,
    verifying_front,
)
from tests.support.minting import Mint, now_s
from tests.support.servers import free_port
from tests.support.staging import Stage

A_WHILE_S = 12.0


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return HAPROXY_VERIFIES


def test_over_tls_the_cookie_is_the_one_with_the_prefix(
    gateway: Gateway, stage: Stage, door: Door, folder: ProxyFolder, short_folder: Path, held: str
) -> None:
    place = Path(tempfile.mkdtemp(prefix="tls-", dir=short_folder))
    certificate, private = Authority(place).sign("localhost")
    both = place / "both.pem"
    both.write_bytes(certificate.read_bytes() + private.read_bytes())
    port = free_port()
    bind = f"    bind 127.0.0.1:{port} ssl crt {both}\n"
    name = f"pass-{stage.event}"
    was_asked = AskedOverTls(door, stage, port, place / "ca.pem")

    with (
        verifying_front(HAPROXY_VERIFIES, gateway, door, folder.folder, stage.event, more=bind),
        Syncing(gateway, stage.event, folder).running(),
    ):
        assert was_asked(f"__Host-{name}={held}") is False
        assert was_asked(f"{name}={held}") is True
        assert was_asked(f"__Host-{name}={held}; {name}={held}") is True


def reload(front: Front, folder: ProxyFolder, asked: Asked, held: str) -> None:
    """Reload as `systemctl reload haproxy` does, while somebody keeps coming, whom nobody turns away."""
    log = folder.folder / "output.log"
    # The first process hears of it once it has started.
    eventually(lambda: "Loading success" in log.read_text("utf-8"), A_WHILE_S)
    os.kill(front.pid, signal.SIGUSR2)

    def is_reloaded() -> bool:
        assert asked(held)[1].status == 200
        return log.read_text("utf-8").count("Loading success") > 1

    eventually(is_reloaded, A_WHILE_S)


def test_a_new_key_counts_from_the_reload_and_a_removed_one_no_longer_at_once(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder, held: str, short_folder: Path
) -> None:
    asked = Asked(lone_front, stage)
    later = Mint(Path(tempfile.mkdtemp(prefix="later-", dir=short_folder)) / "keys")
    old, new = (KeyRing.load(place.folder).public_keys() for place in (mint, later))
    by_new = later.held(stage.event, stage.generation)
    sync = folder.sync(good_for_s=300)

    def tell(keys: Any, ended: dict[int, int] | None = None) -> tuple[bool, bool]:
        known = Knowledge(stage.generation, ended or {}, keys)
        step = sync.tell(known, read_at_s=time.time())
        return step.reload, step.whole

    assert tell(old) == (False, True)
    assert tell(old) == (False, False)
    assert asked(held)[0] is False
    assert tell({**old, **new}, {7: now_s() + 600}) == (True, False)
    assert (asked(held)[0], asked(by_new)[0]) == (False, True)
    reload(lone_front, folder, asked, held)
    # The process that is new reads what was told to the one before it.

    eventually(lambda: not asked(by_new)[0], A_WHILE_S)
    assert asked(held)[0] is False
    assert asked(stage.mint.held(stage.event, stage.generation, 7))[0] is True
    eventually(lambda: tell({**old, **new}, {7: now_s() + 600}) == (False, True), A_WHILE_S)
    assert tell(new)[0] is True
    assert (asked(held)[0], asked(by_new)[0]) == (True, False)


def test_many_ended_sessions_are_told_and_forgotten(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder
) -> None:
    asked, keys = Asked(lone_front, stage), KeyRing.load(mint.folder).public_keys()
    sync = folder.sync(good_for_s=300)

    def refused(*positions: int) -> list[bool]:
        return [asked(mint.held(stage.event, stage.generation, at))[0] for at in positions]

    def tell(ended: range) -> None:
        known = Knowledge(stage.generation, dict.fromkeys(ended, now_s() + 600), keys)
        sync.tell(known, read_at_s=time.time())

    tell(range(1, 5001))
    assert refused(1, 2500, 5000, 5001) == [True, True, True, False]
    tell(range(1, 5101))
    assert refused(1, 5001, 5100, 5101) == [True, True, True, False]
    # Their passes have died by themselves, so there are far more in the map than are needed.
    tell(range(5090, 5101))
    assert refused(1, 5089, 5090, 5100) == [False, False, True, True]


def test_the_command_reloads_haproxy_for_a_new_key(
    tables: Tables, stage: Stage, lone_front: Front, folder: ProxyFolder, short_folder: Path
) -> None:
    asked = Asked(lone_front, stage)
    place = Path(tempfile.mkdtemp(prefix="config-", dir=short_folder))
    later = Mint(place / "later")
    write_settings(place / "gateway.toml", {**tables, "keys": {"dir": str(later.folder)}})
    log = folder.folder / "output.log"
    eventually(lambda: "Loading success" in log.read_text("utf-8"), A_WHILE_S)
    words = ("--every", "0.2", "--reload", f"kill -USR2 {lone_front.pid}")
    with SyncCommand(
        place / "gateway.toml", stage.event, folder.folder, *words
    ).running() as command:
        said = command.said()
        assert (said["keys"], said["reloaded"]) == (1, True)
        token = later.held(stage.event, stage.generation)
        eventually(lambda: not asked(token)[0], A_WHILE_S)
        # What started since has read its maps from files, so it is told everything.
        assert command.said()["whole"] is True
