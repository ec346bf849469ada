"""The plain page, for browsers that run no scripts."""

import re

from tests.browser.browsers import Browsers, Tab
from tests.support.staging import Stage

WANTED = "/book?seat=12"


class PlainTab(Tab):
    """A tab whose pages change by navigation alone."""

    def follow(self, role: str, label: str) -> "PlainTab":
        """Press a button, or follow a link, to the next page."""
        with self.page.expect_navigation(wait_until="load"):
            self.page.get_by_role(role, name=label).click()  # type: ignore[arg-type]
        return self

    @property
    def words(self) -> str:
        return self.page.locator("body").inner_text()

    @property
    def refreshes(self) -> bool:
        return self.page.locator('meta[http-equiv="refresh"]').count() > 0


def _tab(browsers: Browsers, stage: Stage) -> PlainTab:
    person = browsers.person(stage, java_script_enabled=False)
    return PlainTab(person.context.new_page(), stage)


def test_a_visitor_joins_checks_and_gets_in_where_they_wanted(
    stage: Stage, browsers: Browsers
) -> None:
    stage.waiting()
    tab = _tab(browsers, stage)
    tab.go(WANTED)
    tab.page.wait_for_url(re.compile("/room/plain"))
    tab.follow("button", "Join the queue")
    assert "1 person" in tab.words
    stage.release()
    assert "None: you are next" in tab.follow("link", "Check now").words
    stage.release()
    tab.follow("link", "Check now").follow("button", "Enter now")
    assert tab.page.url == tab.site + WANTED
    assert tab.words == "the booking site"


def test_it_refreshes_by_itself_only_for_who_asked(stage: Stage, browsers: Browsers) -> None:
    tab = _tab(browsers, stage)
    tab.look("/", path="room/plain")
    assert not tab.follow("button", "Join the queue").refreshes
    assert tab.follow("link", "Check by itself from time to time").refreshes
    assert not tab.follow("link", "Stop checking by itself").refreshes


def test_blocked_cookies_are_told_before_a_place_is_given(stage: Stage, browsers: Browsers) -> None:
    tab = _tab(browsers, stage)
    tab.look("/", path="room/plain")
    tab.page.context.clear_cookies()
    assert "Cookies are blocked" in tab.follow("button", "Join the queue").words
    assert stage.operator.read(stage.event).issued == 0


def test_leaving_gives_the_place_up(stage: Stage, browsers: Browsers) -> None:
    tab = _tab(browsers, stage)
    tab.look("/", path="room/plain")
    tab.follow("button", "Join the queue").follow("button", "Leave the queue")
    assert "Join the queue" in tab.words
