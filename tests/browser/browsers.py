"""Visitors' browsers: what a person does and sees on the waiting page."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from tests.support.replies import Reply, ask
from tests.support.staging import Stage

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Page,
        Request,
        Route,
    )

# Chromium runs as root in a container, and must not call home.
FLAGS: Sequence[str] = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# For a busy machine; nothing is measured with it.
LIMIT_MS = 20_000

_NOTE_VIOLATIONS = """
addEventListener("securitypolicyviolation", (seen) => {
  console.error(`Content Security Policy: ${seen.violatedDirective} ${seen.blockedURI}`);
});
"""


def become(page: "Page", visibility: str) -> None:
    """Let a page believe that it is `hidden` or `visible`: a headless browser shows all its tabs."""
    page.evaluate(
        """(visibility) => {
          Object.defineProperty(document, "visibilityState", {value: visibility, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        visibility,
    )


class Tab:
    """One tab on an event's waiting page.

    Attributes:
        page: Playwright's.
        requests: Method and URL of everything that the tab asked for.
    """

    def __init__(self, page: "Page", stage: Stage) -> None:
        self.page = page
        self.stage = stage
        self.requests: list[tuple[str, str]] = []
        page.set_default_timeout(LIMIT_MS)
        page.on("request", self._note)

    def _note(self, request: "Request") -> None:
        self.requests.append((request.method, request.url))

    @property
    def site(self) -> str:
        return f"http://{self.stage.host}:{self.stage.gateway.port}"

    @property
    def base(self) -> str:
        return f"{self.site}/queue/{self.stage.event}"

    def go(self, target: str) -> "Tab":
        """Go to a page of the site."""
        self.page.goto(self.site + target, wait_until="domcontentloaded")
        return self

    def look(
        self, return_to: str | None = None, *, language: str = "", path: str = "room"
    ) -> "Tab":
        """Open the waiting page; without `return_to` as somebody who only looks."""
        query = [f"return_to={quote(return_to, safe='')}"] if return_to is not None else []
        query += [f"lang={language}"] if language else []
        return self.go(
            f"/queue/{self.stage.event}/{path}" + ("?" + "&".join(query) if query else "")
        )

    def wait_in(self, return_to: str = "/") -> "Tab":
        """Join, and wait."""
        return self.look(return_to).shows("waiting")

    def shows(self, phase: str) -> "Tab":
        """Wait until the page shows a phase (the last part of the texts' keys)."""
        self.page.locator(f'body[data-phase="{phase}"]').wait_for(state="attached")
        return self

    def reads(self, name: str, text: str | re.Pattern[str]) -> "Tab":
        """Wait until the visitor reads a text in an element."""
        wanted = re.compile(f"^\\s*{re.escape(text)}\\s*$") if isinstance(text, str) else text
        self.page.locator(f"#{name}", has_text=wanted).wait_for(state="visible")
        return self

    def hears(self, text: str | re.Pattern[str]) -> "Tab":
        """Wait until a screen reader is told a text."""
        self.page.locator("#live", has_text=text).wait_for(state="attached")
        return self

    def listens_to(self, feed: str) -> "Tab":
        """Wait until the page has its documents from `stream`, `poll` or `another tab`."""
        self.page.locator(f'body[data-feed="{feed}"]').wait_for(state="attached")
        return self

    @property
    def feed(self) -> str | None:
        """Return where the page had its last document from."""
        return self.page.locator("body").get_attribute("data-feed")

    def text(self, name: str) -> str:
        return self.page.locator(f"#{name}").text_content() or ""

    def sees(self, name: str) -> bool:
        return self.page.locator(f"#{name}").is_visible()

    def press(self, name: str) -> "Tab":
        self.page.locator(f"#{name}").click()
        return self

    def lands_on(self, target: str) -> "Tab":
        """Wait until the browser is at a page of the booking site."""
        self.page.wait_for_url(self.site + target, wait_until="commit")
        self.page.get_by_text("the booking site").wait_for()
        return self

    def calls(self, verb: str) -> int:
        """Count what the tab asked of `/queue/{event}/{verb}`; without a verb, of the document itself."""
        url = f"{self.base}/{verb}" if verb else self.base
        return sum(asked.partition("?")[0] == url for _, asked in self.requests)

    def loaded(self, script: str) -> bool:
        """Whether the tab has asked for one of the page's scripts."""
        return any(f"/room/{script}." in url for _, url in self.requests)

    def comes_to(self, happened: Callable[[], bool]) -> "Tab":
        """Wait until something that the browser does has happened."""
        deadline = time.monotonic() + LIMIT_MS / 1000
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            # Playwright tells of what the browser does while it waits for something, and not else.
            self.page.wait_for_timeout(20)
        return self

    def answer(self, request: "Request") -> Reply:
        """Ask the gateway what the browser asked, past the browser."""
        return ask(
            self.stage.gateway.port,
            request.method,
            urlsplit(request.url).path,
            [("host", urlsplit(request.url).netloc), *request.all_headers().items()],
        )

    @contextlib.contextmanager
    def losing_an_answer(self, verb: str) -> Iterator[None]:
        """Let one call arrive whose answer never does, nor its cookie."""
        lost: list[Reply] = []

        def lose(route: "Route", request: "Request") -> None:
            if lost:
                route.continue_()
                return
            lost.append(self.answer(request))
            route.abort()

        self.page.route(f"**/{verb}", lose)
        yield
        assert [reply.status for reply in lost] in ([200], [201])

    def hide(self) -> None:
        """Look at another tab."""
        become(self.page, "hidden")

    def show(self) -> None:
        become(self.page, "visible")


class Person:
    """One browser of one visitor: its tabs share cookies and storage."""

    def __init__(self, context: "BrowserContext", stage: Stage) -> None:
        self.context = context
        self.stage = stage

    def tab(self) -> Tab:
        return Tab(self.context.new_page(), self.stage)

    @property
    def position(self) -> int:
        """Return the position that the browser holds, as the gateway tells it."""
        tab = self.context.request
        site = f"http://{self.stage.host}:{self.stage.gateway.port}"
        return int(tab.get(f"{site}/queue/{self.stage.event}/position").json()["position"])


class Browsers:
    """Opens browsers, and collects what went wrong in them."""

    def __init__(self, chromium: "Browser") -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self.errors: list[str] = []

    def person(self, stage: Stage, script: str = "", **options: Any) -> Person:
        """Open a visitor's browser."""
        return Person(self.open(script, **options), stage)

    def open(self, script: str = "", **options: Any) -> "BrowserContext":
        """Open a browser without a history.

        Args:
            script: Run in every page before its own.
            options: Of Playwright's `new_context`.
        """
        options.setdefault("locale", "en-GB")
        context = self._chromium.new_context(**options)
        context.add_init_script(_NOTE_VIOLATIONS + script)
        context.on("console", self._note)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self._contexts.append(context)
        return context

    def tab(self, stage: Stage, script: str = "", **options: Any) -> Tab:
        """Open a browser with one tab."""
        return self.person(stage, script, **options).tab()

    def _note(self, message: "ConsoleMessage") -> None:
        if "Content Security Policy" in message.text:
            self.errors.append(message.text)

    def close(self) -> None:
        for context in self._contexts:
            context.close()
