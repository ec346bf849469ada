"""The script on the site's pages: warns before a session ends, offers more time, and disturbs nothing."""

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.browsers import Browsers, Person, Tab
from tests.browser.test_accessibility import LOOKS, faults
from tests.support.eventually import eventually
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# As strict as a site can be that runs any script at all.
STRICT = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Seats</title>
<script src="/queue/{event}/session.js" defer {more}></script></head>
<body><main><h1>Seats</h1><form><label>Name <input id="name"></label></form></main></body></html>"""

WARN_S = 6
SESSION_S = 9


def site_page(
    stage: Stage,
    *,
    path: str = "/shop",
    more: str = f'data-warn-s="{WARN_S}"',
    lang: str = "en",
    event: str | None = None,
    policy: str = STRICT,
) -> str:
    """Let the booking site have a page that includes the script; return its path."""
    target = f"{path}-{stage.event}"
    page = PAGE.format(lang=lang, event=event or stage.event, more=more)
    stage.backend.pages[target] = page.encode()
    stage.backend.says[target] = [
        ("content-type", "text/html"),
        ("content-security-policy", policy),
    ]
    return target


def seated(person: Person, target: str) -> Tab:
    """Return a tab on a page of the site, of somebody whose session has just begun."""
    visitor, tab = person.stage.served(), person.tab()
    person.context.add_cookies(
        [{"name": name, "value": value, "url": tab.site} for name, value in visitor.cookies.items()]
    )
    return tab.go(target)


def beside(tab: Tab) -> Visitor:
    """Return the same browser, past its page."""
    visitor = tab.stage.visitor()
    held = tab.page.context.cookies(tab.site)
    visitor.cookies = {cookie["name"]: cookie["value"] for cookie in held}
    return visitor


def dialog(page: "Page") -> "Locator":
    return page.get_by_role("alertdialog")


def shown(tab: Tab) -> "Locator":
    """Wait for the dialog."""
    found = dialog(tab.page)
    found.wait_for(state="visible")
    return found


def gone(tab: Tab) -> None:
    dialog(tab.page).wait_for(state="hidden")


def seconds_left(tab: Tab) -> int:
    return int(beside(tab).call("position").json()["session_seconds_left"])


def test_it_warns_before_the_end_and_not_at_the_beginning(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=SESSION_S)
    tab = seated(browsers.person(stage), site_page(stage))
    tab.page.locator("#name").fill("Ada")
    tab.page.wait_for_load_state("load")
    assert dialog(tab.page).count() == 0
    warning = shown(tab)
    assert warning.get_by_role("heading").text_content() == "Your time is nearly up"
    assert re.search(rf"Your session ends in [1-{WARN_S}] seconds?\.", warning.inner_text())
    assert tab.page.locator("#name").input_value() == "Ada"


def test_the_default_is_two_minutes(open_stage: OpenStage, browsers: Browsers) -> None:
    stage = open_stage(session_s=123)
    tab = seated(browsers.person(stage), site_page(stage, more=""))
    text = shown(tab).inner_text()
    assert re.search(r"ends in (2 minutes|1 minute 5\d seconds)\.", text), text


def test_a_key_that_was_meant_for_a_form_presses_nothing_and_two_keys_give_more_time(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=SESSION_S, extend_s=900)
    tab = seated(browsers.person(stage), site_page(stage))
    tab.page.locator("#name").focus()
    shown(tab)
    for key in ("Space", "Enter", "x"):
        tab.page.keyboard.press(key)
    assert tab.calls("extend") == 0
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    gone(tab)
    tab.page.get_by_role("status").get_by_text("You have more time now: 14 minutes.").wait_for()
    assert seconds_left(tab) > 800
    assert tab.page.evaluate("document.activeElement.id") == "name"


def test_escape_goes_on_without_and_is_not_asked_twice(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    # Some seconds before the last call, which is made half a minute before the end.
    stage = open_stage(session_s=41)
    tab = seated(browsers.person(stage), site_page(stage, more='data-warn-s="39"'))
    shown(tab)
    tab.page.keyboard.press("Escape")
    gone(tab)
    # Said to who listens, without taking the focus; and the next dialog is the end.
    tab.page.get_by_role("alert").get_by_text("Your session ends in").wait_for(state="attached")
    dialog(tab.page).wait_for(state="visible", timeout=60_000)
    assert dialog(tab.page).get_by_role("heading").text_content() == "Your session has ended"


def test_one_tab_speaks_for_all(open_stage: OpenStage, browsers: Browsers) -> None:
    stage = open_stage(session_s=SESSION_S, extend_s=900)
    person, target = browsers.person(stage), site_page(stage)
    one = seated(person, target)
    other = person.tab().go(target)
    shown(other)
    shown(one).get_by_role("button", name="Give me more time").click()
    gone(one)
    gone(other)
    assert (one.calls("extend"), other.calls("extend")) == (1, 0)


def test_who_has_had_all_extensions_is_told_so(open_stage: OpenStage, browsers: Browsers) -> None:
    stage = open_stage(session_s=SESSION_S, extend_times=0)
    tab = seated(browsers.person(stage), site_page(stage))
    warning = shown(tab)
    assert "It cannot be extended any more." in warning.inner_text()
    assert not warning.get_by_role("button", name="Give me more time").is_visible()
    warning.get_by_role("button", name="Close").click()
    gone(tab)


def test_at_the_end_the_way_leads_back_to_the_queue(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=4)
    target = site_page(stage, more='data-warn-s="2"')
    tab = seated(browsers.person(stage), target)
    tab.page.get_by_role("heading", name="Your session has ended").wait_for()
    tab.page.get_by_role("link", name="Back to the queue").click()
    tab.shows("ended")
    assert tab.page.url == f"{tab.base}/room?return_to={target.replace('/', '%2F')}"


def test_where_a_purchase_may_be_finished_nobody_is_told_that_all_is_over(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=5)
    tab = seated(browsers.person(stage), site_page(stage, more='data-warn-s="3" data-finish'))
    shown(tab)
    gone(tab)
    assert beside(tab).get("/book").status == 410
    assert dialog(tab.page).count() == 0


@pytest.mark.parametrize("off_h", [-7, 30])
def test_a_wrong_clock_changes_nothing(
    open_stage: OpenStage, browsers: Browsers, off_h: int
) -> None:
    stage = open_stage(session_s=SESSION_S, extend_s=900)
    wrong = f"const right = Date.now; Date.now = () => right() + {off_h * 3_600_000};"
    tab = seated(browsers.person(stage, wrong), site_page(stage))
    tab.page.wait_for_load_state("load")
    assert dialog(tab.page).count() == 0
    assert re.search(rf"ends in [1-{WARN_S}] second", shown(tab).inner_text())


def test_a_clock_that_steps_is_a_machine_that_slept_and_asks_anew(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=600)
    tab = seated(browsers.person(stage), site_page(stage))
    tab.comes_to(lambda: tab.calls("position") == 1)
    tab.page.evaluate("{ const right = Date.now; Date.now = () => right() + 90_000; }")
    tab.comes_to(lambda: tab.calls("position") == 2)


def test_whom_an_operator_gave_more_time_is_not_warned_and_goes_on(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=7)
    tab = seated(browsers.person(stage), site_page(stage, more='data-warn-s="4"'))
    tab.comes_to(lambda: tab.calls("position") == 1)
    stage.operator.extend(stage.event, 1, 1200)
    tab.comes_to(lambda: tab.calls("claim") == 1)
    # The call's answer brought the cookie of the longer pass.
    eventually(lambda: seconds_left(tab) > 1000)
    assert tab.page.locator("queue-session").count() == 0


def test_a_session_that_the_site_made_longer_is_known_when_the_page_is_looked_at(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=SESSION_S, extend_times=0)
    stage.backend.says["/longer"] = [("queue-session", "extend=1200")]
    person = browsers.person(stage)
    tab = seated(person, site_page(stage))
    shown(tab)
    person.tab().go("/longer")
    tab.show()
    gone(tab)


def test_a_session_that_was_ended_early_is_announced_when_the_page_is_looked_at(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=600)
    tab = seated(browsers.person(stage), site_page(stage))
    tab.comes_to(lambda: tab.calls("position") == 1)
    stage.operator.end(stage.event, 1)
    stage.settle()
    tab.show()
    assert shown(tab).get_by_role("heading").text_content() == "Your session has ended"


def test_who_is_offline_is_warned_told_that_it_failed_and_may_try_again(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=20, extend_s=900)
    tab = seated(browsers.person(stage), site_page(stage, more='data-warn-s="17"'))
    tab.comes_to(lambda: tab.calls("position") == 1)
    tab.page.context.set_offline(True)
    more = shown(tab).get_by_role("button", name="Give me more time")
    more.click()
    tab.page.get_by_role("alert").get_by_text("That did not work.").wait_for()
    tab.page.context.set_offline(False)
    more.click()
    gone(tab)
    assert seconds_left(tab) > 800


def test_an_extension_whose_answer_was_lost_is_found_by_itself(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(session_s=SESSION_S, extend_s=900, extend_times=1)
    tab = seated(browsers.person(stage), site_page(stage))
    with tab.losing_an_answer("extend"):
        shown(tab).get_by_role("button", name="Give me more time").click()
        gone(tab)
    assert seconds_left(tab) > 800


@pytest.mark.parametrize(
    ("lang", "direction", "words"),
    [
        ("ar-EG", "rtl", "وقتك على وشك الانتهاء"),
        ("de", "ltr", "Ihre Zeit ist fast um"),
        ("ja", "ltr", "まもなく時間切れになります"),
        ("nl", "ltr", "Your time is nearly up"),
    ],
)
def test_it_speaks_the_language_of_the_page(
    open_stage: OpenStage, browsers: Browsers, lang: str, direction: str, words: str
) -> None:
    stage = open_stage(session_s=SESSION_S)
    page = site_page(stage, lang=lang, more='data-warn-s="8"')
    tab = seated(browsers.person(stage), page)
    assert shown(tab).get_by_role("heading").text_content() == words
    host = tab.page.locator("queue-session")
    assert host.evaluate("host => getComputedStyle(host).direction") == direction


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark-small-rtl"])
def test_nothing_keeps_anybody_from_it(
    open_stage: OpenStage, browsers: Browsers, look: dict[str, Any]
) -> None:
    stage = open_stage(session_s=13, extend_times=1)
    lang = str(look.get("locale", "en"))
    # axe-core itself needs what Trusted Types forbid.
    policy = STRICT.partition("; require")[0]
    page = site_page(stage, lang=lang, more='data-warn-s="10"', policy=policy)
    tab = seated(browsers.person(stage, **look), page)
    warning = shown(tab)
    assert faults(tab) == []
    assert warning.evaluate("found => getComputedStyle(found).borderRadius") == "12px"
    warning.get_by_role("button").last.click()
    gone(tab)
    stage.operator.end(stage.event, 1)
    stage.settle()
    tab.show()
    shown(tab)
    assert faults(tab) == []


def test_who_has_no_session_sees_nothing(open_stage: OpenStage, browsers: Browsers) -> None:
    # The page of somebody else's event, of one that is not there, and of this one from an open gate.
    stage, other = open_stage(session_s=600), open_stage()
    for event in (other.event, "nobody"):
        person = browsers.person(stage)
        tab = seated(person, site_page(stage, path=f"/{event}", event=event))
        url = f"{tab.site}/queue/{event}/position"
        tab.comes_to(lambda tab=tab, url=url: ("GET", url) in tab.requests)  # type: ignore[misc]
        tab.page.wait_for_timeout(1200)
        assert dialog(tab.page).count() == 0
        assert all("claim" not in asked for _, asked in tab.requests)


@pytest.mark.parametrize(
    "broken",
    [
        "window.fetch = () => { throw new Error('taken away'); };",
        "window.BroadcastChannel = undefined;",
        "window.CSSStyleSheet = undefined;",
        "Element.prototype.attachShadow = undefined;",
        "HTMLDialogElement.prototype.showModal = undefined;",
    ],
)
def test_nothing_of_it_becomes_an_error_of_the_sites_page(
    open_stage: OpenStage, browsers: Browsers, broken: str
) -> None:
    stage = open_stage(session_s=4)
    tab = seated(browsers.person(stage, broken), site_page(stage, more='data-warn-s="3"'))
    tab.page.wait_for_timeout(3000)
    # The fixture holds that there was no error; the page is there.
    assert tab.page.get_by_role("heading", name="Seats").count() == 1
