"""A proxy that verifies passes itself, set up by the gateway's own commands, and what keeps it fresh."""

import asyncio
import contextlib
import itertools
import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.proxyconfig import (
    Addresses,
    EnvoyFolder,
    HAProxyFolder,
    Knowledge,
    NginxFolder,
    ProxyFolder,
    Step,
    subject_of,
)
from gateway.tokens.keyring import KeyRing
from tests.support.command_line import clean_environment
from tests.support.fronted import Door
from tests.support.fronts import (
    ENVOY,
    GATEWAY,
    HAPROXY,
    LISTENING,
    NGINX,
    SITE,
    Front,
    Kind,
    running_front,
)
from tests.support.gateways import Gateway
from tests.support.replies import Reply, ask
from tests.support.staging import Stage

START_TIMEOUT_S = 20.0
_OFTEN_S = 0.1


@dataclass(frozen=True, slots=True)
class Verifier:
    """A proxy that verifies passes.

    Attributes:
        folder: What its command writes.
        listens: The line of its configuration that says where it listens, with `@LISTEN@`;
            empty where none can follow it.
        needs: A file without which it cannot, and what installs that.
        joins_fields: Whether two fields of a name are one for the gateway, in which no token is genuine.
    """

    kind: Kind
    folder: type[ProxyFolder]
    listens: str
    needs: tuple[Path, str] | None = None
    joins_fields: bool = False

    def skip_where_it_cannot(self) -> None:
        """Skip the test where the proxy is there, and what it needs is not."""
        if self.needs is not None and not self.needs[0].exists():
            pytest.skip(f"there is no {self.needs[0]} on this machine: {self.needs[1]}")


HAPROXY_VERIFIES = Verifier(
    replace(HAPROXY, arguments=("-W", "-f", "{folder}/haproxy.cfg", "-f", "{folder}/keys.cfg")),
    HAProxyFolder,
    "    bind @LISTEN@\n",
)

NGINX_VERIFIES = Verifier(
    replace(
        NGINX,
        arguments=("-c", "{folder}/nginx.conf", "-e", "{folder}/error.log", "-g", "daemon off;"),
        written=(),
    ),
    NginxFolder,
    "        listen @LISTEN@;\n",
    (
        Path("/usr/lib/nginx/modules/ngx_http_js_module.so"),
        "apt-get install libnginx-mod-http-js",
    ),
)

ENVOY_VERIFIES = Verifier(ENVOY, EnvoyFolder, "", joins_fields=True)

VERIFIERS = (HAPROXY_VERIFIES, NGINX_VERIFIES, ENVOY_VERIFIES)

SCRIPTED = (NGINX_VERIFIES, ENVOY_VERIFIES)
"""Those whose own script reads plain files."""


class Syncing:
    """What `gateway config sync` does, often, in a thread of this process.

    Attributes:
        steps: What each round did.
    """

    def __init__(
        self, gateway: Gateway, event: str, folder: ProxyFolder, good_for_s: int = 5
    ) -> None:
        self._settings = gateway.settings
        self._event = EventId(event)
        self._sync = folder.sync(good_for_s=good_for_s)
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
    verifier: Verifier, gateway: Gateway, door: Door, folder: Path, event: str, *, more: str = ""
) -> Generator[Front]:
    """Run a proxy as it is set up for one event, and one `more` line where it listens.

    Nobody keeps it fresh.
    """

    verifier.skip_where_it_cannot()

    def write(_: Kind, place: Path, ports: dict[str, int], __: Iterable[str]) -> None:
        addresses = Addresses(
            f"127.0.0.1:{ports[LISTENING]}",
            f"127.0.0.1:{ports[GATEWAY]}",
            f"127.0.0.1:{ports[SITE]}",
        )
        ring = KeyRing(Path(gateway.settings.keys.dir))
        subject = subject_of(gateway.settings, EventId(event))
        files = verifier.folder(place)
        files.set_up(subject, addresses, ring.public_keys())
        text = files.config.read_text("utf-8")
        listens = verifier.listens.replace("@LISTEN@", addresses.listen)
        assert listens in text
        files.config.write_text(text.replace(listens, listens + more), "utf-8")
        # What a proxy keeps in memory for the system, it keeps in the folder here.
        for file in place.glob("*.conf"):
            file.write_text(file.read_text("utf-8").replace("/run/nginx-", f"{place}/"), "utf-8")
        # Started by root, a proxy's workers may be somebody else, who must find the way to their files.
        for way in place.parents[:2]:
            way.chmod(0o711)

    with running_front(verifier.kind, gateway, door, folder, write) as front:
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


class Asked:
    """Sends a token to a front, and sees whether the gateway was asked about it.

    Each time among cookies that never came before: no proxy has kept the gateway's answer to them.
    """

    def __init__(self, front: Front, stage: Stage) -> None:
        self._front = front
        self._stage = stage
        self._times = itertools.count(1)

    def __call__(self, token: str, target: str = "/book/7") -> tuple[bool, Reply]:
        cookie = f"nth={next(self._times)}; pass-{self._stage.event}={token}"
        return self.of([("cookie", cookie)], target)

    def of(self, fields: list[tuple[str, str]], target: str = "/book/7") -> tuple[bool, Reply]:
        before = self._front.door.count("/auth")
        reply = ask(self._front.port, "GET", target, [("host", self._stage.host), *fields])
        return self._front.door.count("/auth") > before, reply


class AskedOverTls:
    """Comes over TLS, and sees whether the gateway was asked.

    Args:
        trusted: The file of the authority's certificate.
    """

    def __init__(self, door: Door, stage: Stage, port: int, trusted: Path) -> None:
        self._door = door
        self._host = stage.host
        self._port = port
        self._trust = ssl.create_default_context(cafile=str(trusted))

    def __call__(self, cookie: str, *fields: tuple[str, str]) -> bool:
        before = self._door.count("/auth")
        connection = HTTPSConnection("localhost", self._port, context=self._trust, timeout=20)
        headers = {"host": self._host, "cookie": cookie, **dict(fields)}
        connection.request("GET", "/book", headers=headers)
        connection.getresponse().read()
        connection.close()
        return self._door.count("/auth") > before
