"""What one document tells everybody does not make all pages act in the same second."""

import re
from typing import Any

from tests.browser.browsers import Browsers, Tab
from tests.support.replies import ask
from tests.support.staging import Stage

# Whose pages spread what they do over 40 seconds, and so this one, half way, over 20.
CROWD = 40_000
_HALF_WAY = "Math.random = () => 0.5;"

# Together less than what the page takes for a stream's silence: nothing else is heard meanwhile.
NOT_YET_MS = 15_000
THEN_MS = 10_000

RELEASED = 10_000_000


def _tell(tab: Tab, **changes: Any) -> None:
    """Let the page hear a document, as from another tab of its browser."""
    stage = tab.stage
    asked = ask(stage.gateway.port, "GET", f"/queue/{stage.event}", [("host", stage.host)])
    tab.page.evaluate(
        """([name, pointer]) => {
          const channel = new BroadcastChannel(name);
          channel.postMessage({pointer});
        }""",
        [f"queue:{stage.event}", asked.json() | changes],
    )


def _waiting(stage: Stage, browsers: Browsers) -> Tab:
    tab = browsers.tab(stage, _HALF_WAY)
    tab.page.clock.install()
    tab.wait_in().listens_to("stream")
    # Soon after a join, the page asks once more.
    tab.page.clock.run_for(6_000)
    return tab.comes_to(lambda: tab.calls("position") >= 2)


def test_a_new_generation_is_asked_about_by_a_crowd_one_after_another(
    stage: Stage, browsers: Browsers
) -> None:
    tab = _waiting(stage, browsers)
    asked = tab.calls("position")
    _tell(tab, generation=stage.generation + 1, issued=CROWD)
    tab.listens_to("another tab").page.clock.run_for(NOT_YET_MS)
    assert tab.calls("position") == asked
    tab.page.clock.run_for(THEN_MS)
    tab.comes_to(lambda: tab.calls("position") > asked)


def test_a_bypass_is_taken_by_a_crowd_one_after_another(stage: Stage, browsers: Browsers) -> None:
    tab = _waiting(stage, browsers)
    _tell(tab, state="bypass", issued=CROWD)
    tab.listens_to("another tab").page.clock.run_for(NOT_YET_MS)
    assert tab.calls("onward") == 0
    tab.page.clock.run_for(THEN_MS)
    tab.comes_to(lambda: tab.calls("onward") == 1)


def test_a_large_release_is_entered_in_the_order_of_the_turns(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.page.route(
        "**/position",
        lambda route, request: route.fulfill(
            status=200, json=tab.answer(request).json() | {"turn": RELEASED // 2}
        ),
    )
    tab.wait_in().listens_to("stream")
    tab.page.clock.run_for(6_000)
    tab.reads("ahead", re.compile("people"))
    _tell(tab, served_up_to=RELEASED, issued=RELEASED)
    tab.shows("turn").reads("lead", re.compile("in (2|3)[0-9] seconds"))
