"""Nothing leads off the site, nothing is lost on a browser that keeps no cookies, and the page is small."""

import gzip
import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.browsers import Browsers
from tests.support.staging import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Request, Response, Route

LARGEST_PAGE = 40 * 1024
MOST_REQUESTS = 4

_NO_COOKIES = """
Object.defineProperty(Document.prototype, "cookie", {get() { return ""; }, set() {}});
"""

# As Firefox does where cookies are blocked.
_NOTHING_SHARED = """
const refusal = () => new DOMException("not allowed", "SecurityError");
window.BroadcastChannel = class { constructor() { throw refusal(); } };
const locks = {request: async () => { throw refusal(); }};
Object.defineProperty(Navigator.prototype, "locks", {value: locks});
Object.defineProperty(window, "localStorage", {get() { throw refusal(); }});
"""


@pytest.mark.parametrize(
    "hostile", ["https://evil.example/book", "//evil.example", "javascript:alert(1)"]
)
def test_a_hostile_destination_is_not_followed(
    stage: Stage, browsers: Browsers, hostile: str
) -> None:
    tab = browsers.tab(stage).wait_in(hostile)
    stage.release()
    tab.shows("turn").press("enter").lands_on("/")
    assert all(url.startswith(tab.site) for _, url in tab.requests)


def test_blocked_cookies_are_told_before_a_place_is_given(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage, _NO_COOKIES).look("/").shows("cookies")
    tab.reads("cookies", re.compile("Cookies are blocked"))
    assert stage.operator.read(stage.event).issued == 0


def test_a_browser_that_refuses_everything_with_the_cookies_is_told_so(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage, _NO_COOKIES + _NOTHING_SHARED).look("/").shows("cookies")
    tab.reads("cookies", re.compile("Cookies are blocked"))


def test_locks_and_channels_that_are_refused_break_nothing(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage, _NOTHING_SHARED).look("/").shows("waiting").listens_to("stream")
    tab.reads("position", "1")


def test_a_visit_to_the_plain_page_does_not_make_cookies_look_blocked(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).look("/", path="room/plain")
    tab.look("/").shows("waiting")


def test_a_browser_that_drops_the_token_is_told_and_joins_once(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)

    def strip(route: "Route", request: "Request") -> None:
        reply = tab.answer(request)
        route.fulfill(status=reply.status, body=reply.body, content_type="application/json")

    tab.page.route("**/join", strip)
    tab.look("/").shows("cookies")
    assert tab.calls("join") == 1


def test_a_browser_that_drops_the_pass_is_not_sent_round_in_circles(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)

    def strip(route: "Route", request: "Request") -> None:
        reply = tab.answer(request)
        route.fulfill(status=reply.status, body=reply.body, content_type="application/json")

    tab.page.route("**/claim", strip)
    tab.page.clock.install()
    tab.wait_in()
    stage.release()

    def is_told() -> bool:
        tab.page.clock.fast_forward(1000)
        return tab.sees("cookies")

    tab.comes_to(is_told)
    assert tab.calls("onward") == 3


def test_the_page_is_small_and_asks_nobody_else(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage)
    sizes: dict[str, int] = {}

    def weigh(response: "Response") -> None:
        if response.request.resource_type in ("document", "stylesheet", "script", "image", "font"):
            sizes[response.url] = len(gzip.compress(response.body(), 9))

    tab.page.on("response", weigh)
    tab.look().shows("not_in")
    tab.page.wait_for_load_state("load")
    page_parts = {url: size for url, size in sizes.items() if "favicon" not in url}
    assert len(page_parts) <= MOST_REQUESTS, page_parts
    assert sum(page_parts.values()) <= LARGEST_PAGE, page_parts
    assert all(url.startswith(tab.site) for _, url in tab.requests)


def test_the_page_without_a_script_runs_none(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).look("/", path="room/plain")
    assert tab.page.locator("script").count() == 0
