"""The operator console in a browser: a gateway's process, and what one of its operators sees and does."""

import contextlib
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.operators import file as operator_file
from gateway.operators.keys import Role
from tests.browser.browsers import LIMIT_MS, Browsers
from tests.support.eventually import eventually
from tests.support.gateways import Tables, write_settings
from tests.support.operators import Operator
from tests.support.replies import Reply, ask
from tests.support.running import Running
from tests.support.visitors import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Request


NAMES = {"view": Role.VIEW, "release": Role.RELEASE, "admin": Role.ADMIN, "leaver": Role.ADMIN}


class Venue:
    """A `gateway run` with some operators, most named by their role."""

    def __init__(
        self, running: Running, operators: Path, keys: Mapping[str, str], ledger: Operator
    ) -> None:
        self.port = int(running.document["url"].rpartition(":")[2])
        self.admin = str(running.document["admin_url"])
        self.ledger = ledger
        self._pid = running.process.pid
        self._operators = operators
        self._keys = keys

    def remove(self, name: str) -> None:
        """Take an operator's key away; the gateway follows within a second."""
        operator_file.remove(self._operators, name)

    def key(self, name: str) -> str:
        return self._keys[name]

    def freeze(self) -> None:
        """Let the gateway answer nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def bearer(self, name: str) -> tuple[str, str]:
        """Return the field by which a program shows an operator's key."""
        return "authorization", f"Bearer {self.key(name)}"

    def asks(
        self, method: str, target: str, shown: tuple[str, str], body: bytes | None = None
    ) -> Reply:
        """Ask the admin interface, past the browser; `shown` is the field that says who asks."""
        host = self.admin.removeprefix("http://")
        headers = [("host", host), shown]
        if body is not None:
            headers.append(("content-type", "application/json"))
        return ask(int(host.rpartition(":")[2]), method, target, headers, body)

    def open_event(self, event: str, *, waiting: int = 0, **policy: Any) -> None:
        """Create an event with so many people waiting."""
        self.ledger.create(event, **policy)
        visitor = self.visitor(event)
        eventually(lambda: visitor.call("").status == 200)
        for _ in range(waiting):
            self.visitor(event).join()

    def visitor(self, event: str) -> Visitor:
        return Visitor(self.port, f"{event}.localhost", event=event)

    def pointer(self, event: str) -> Any:
        """Return the document that everybody who waits reads."""
        return self.visitor(event).call("").json()


@contextlib.contextmanager
def running_venue(folder: Path, tables: Tables, ledger: Operator) -> Iterator[Venue]:
    """Run a gateway until the end of the block."""
    place = Path(tempfile.mkdtemp(prefix="console-", dir=folder))
    operators = place / "operators.json"
    write_settings(place / "gateway.toml", {**tables, "admin": {"operators": str(operators)}})
    keys = {
        name: operator_file.add(operators, name, role, now_s=time.time())[1]
        for name, role in NAMES.items()
    }
    words: list[str | Path | int] = ["--config", place / "gateway.toml", "--json"]
    words += ["run", "--port", 0, "--admin-port", 0]
    running = Running(words, place)
    try:
        venue = Venue(running, operators, keys, ledger)
        yield venue
        venue.thaw()
    finally:
        running.end()
        assert running.process.stdout is not None
        running.process.stdout.close()


class Desk:
    """One operator's tab on the console."""

    def __init__(self, venue: Venue, browsers: Browsers, **options: Any) -> None:
        self.venue = venue
        self.context = browsers.open(**options)
        self.page = self.context.new_page()
        self.requests: list[tuple[str, str]] = []
        self.page.on("request", lambda request: self.requests.append((request.method, request.url)))
        self._open: set[Request] = set()
        self.page.on("request", lambda request: self._open.add(request))
        self.page.on("requestfinished", lambda request: self._open.discard(request))
        self.page.on("requestfailed", lambda request: self._open.discard(request))
        self.page.set_default_timeout(LIMIT_MS)

    def go(self, event: str = "") -> "Desk":
        self.page.goto(f"{self.venue.admin}/admin/#/{event}", wait_until="domcontentloaded")
        return self

    def settles(self) -> "Desk":
        """Wait until all that was asked is answered."""
        # Playwright tells of what the browser does while it waits for something, and not else.
        self.page.wait_for_timeout(20)
        deadline = time.monotonic() + LIMIT_MS / 1000
        while self._open:
            assert time.monotonic() < deadline, [request.url for request in self._open]
            self.page.wait_for_timeout(20)
        return self

    def logs_in(self, name: str, event: str = "") -> "Desk":
        """Log in with an operator's key; see the list, or the event."""
        self.go(event).shows("login").types("key", self.venue.key(name)).press("login-button")
        return self.shows("event" if event else "events")

    def shows(self, view: str) -> "Desk":
        self.page.locator(f"#view-{view}").wait_for(state="visible")
        return self

    def types(self, name: str, text: str) -> "Desk":
        self.at(name).fill(text)
        return self

    def press(self, name: str) -> "Desk":
        self.at(name).click()
        return self

    def reads(self, name: str, text: str | re.Pattern[str]) -> "Desk":
        """Wait until the operator reads a text in an element."""
        self.page.locator(f"#{name}", has_text=text).wait_for(state="visible")
        return self

    def hears(self, text: str | re.Pattern[str]) -> "Desk":
        self.page.locator("#live", has_text=text).wait_for(state="attached")
        return self

    def lacks(self, name: str) -> "Desk":
        self.at(name).wait_for(state="hidden")
        return self

    def sees(self, name: str) -> bool:
        return self.at(name).is_visible()

    def at(self, name: str) -> "Locator":
        return self.page.locator(f"#{name}")

    @property
    def is_stale(self) -> bool:
        return self.page.locator("body[data-stale]").count() == 1
