"""A proxy that verifies passes itself, set up by the gateway's own commands, and what keeps it fresh."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.proxyconfig import HAProxyFolder, Knowledge, Step, Sync, subject_of
from gateway.proxyconfig.haproxy import Addresses
from gateway.tokens.keyring import KeyRing
from tests.support.command_line import clean_environment
from tests.support.fronted import Door
from tests.support.fronts import GATEWAY, HAPROXY, LISTENING, SITE, Front, Kind, running_front
from tests.support.gateways import Gateway

START_TIMEOUT_S = 20.0
_OFTEN_S = 0.1

HAPROXY_VERIFIES = replace(
    HAPROXY,
    arguments=("-W", "-f", "{folder}/haproxy.cfg", "-f", "{folder}/keys.cfg"),
)


class Syncing:
    """What `gateway config sync` does, often, in a thread of this process.

    Attributes:
        steps: What each round did.
    """

    def __init__(self, gateway: Gateway, event: str, folder: Path, good_for_s: int = 5) -> None:
        self._settings = gateway.settings
        self._event = EventId(event)
        self._sync = Sync(HAProxyFolder(folder), good_for_s=good_for_s)
        self._ring = KeyRing(Path(gateway.settings.keys.dir))
        self._over = threading.Event()
        self.steps: list[Step] = []

    @contextlib.contextmanager
    def running(self) -> Generator["Syncing"]:
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not self.steps and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert self.steps
            yield self
        finally:
            self._over.set()
            thread.join()

    async def _run(self) -> None:
        ledger = RedisLedger(self._settings.ledger.url)
        snapshot = None
        try:
            while not self._over.is_set():
                read_at_s = time.time()
                self._ring.reload_if_changed()
                # What cannot be read is not told: an event that is lost, or deleted.
                with contextlib.suppress(Exception):
                    snapshot = await ledger.read(self._event, snapshot)
                    known = Knowledge.of(snapshot, self._ring.public_keys(), clock_ahead_s=0)
                    self.steps.append(self._sync.tell(known, read_at_s=read_at_s))
                await asyncio.sleep(_OFTEN_S)
        finally:
            await ledger.aclose()


@contextlib.contextmanager
def verifying_front(
    gateway: Gateway, door: Door, folder: Path, event: str, *, more: str = ""
) -> Generator[Front]:
    """Run HAProxy as it is set up for one event, and one `more` line where it listens.

    Nobody keeps it fresh.
    """

    def write(_: Kind, place: Path, ports: dict[str, int], __: Iterable[str]) -> None:
        addresses = Addresses(
            f"127.0.0.1:{ports[LISTENING]}",
            f"127.0.0.1:{ports[GATEWAY]}",
            f"127.0.0.1:{ports[SITE]}",
        )
        ring = KeyRing(Path(gateway.settings.keys.dir))
        subject = subject_of(gateway.settings, EventId(event))
        files = HAProxyFolder(place)
        files.set_up(subject, addresses, ring.public_keys())
        text = files.config.read_text("utf-8")
        bind = f"    bind {addresses.listen}\n"
        files.config.write_text(text.replace(bind, bind + more), "utf-8")

    with running_front(HAPROXY_VERIFIES, gateway, door, folder, write) as front:
        yield front


class SyncCommand:
    """`gateway config sync`, as an operator runs it."""

    def __init__(self, config: Path, event: str, folder: Path, *words: str) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "--config", str(config), "config", "sync"),
                *(event, "--folder", str(folder), "--json", *words),
            ],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def running(self) -> Generator["SyncCommand"]:
        try:
            yield self
        finally:
            self.kill()

    def said(self) -> Mapping[str, Any]:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        document: dict[str, Any] = json.loads(self._process.stdout.readline())
        return document

    def code(self) -> int:
        """Wait for its end."""
        return self._process.wait(START_TIMEOUT_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
