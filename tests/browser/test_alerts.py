"""A turn that comes while nobody looks: told by title, notification and sound, and held."""

from tests.browser.browsers import Browsers
from tests.support.staging import OpenStage, Stage

# Watches what the page makes of the browser's means, which a headless one shows nobody.
_WATCH = """
window.notes = [];
window.tones = 0;
window.Notification = class extends EventTarget {
  static permission = PERMISSION;
  static async requestPermission() { return (this.permission = ANSWER); }
  constructor(title, options) { super(); window.notes.push({title, ...options}); }
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };
const AudioContextBefore = window.AudioContext;
window.contexts = 0;
window.AudioContext = class extends AudioContextBefore {
  constructor() { super(); window.contexts += 1; }
};
"""


def _watching(permission: str, answer: str) -> str:
    return _WATCH.replace("PERMISSION", f"'{permission}'").replace("ANSWER", f"'{answer}'")


def test_nothing_rings_that_was_not_asked_for(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage, _watching("granted", "granted")).wait_in()
    stage.release()
    tab.shows("turn")
    assert tab.page.evaluate("[notes.length, tones, contexts]") == [0, 0, 0]


def test_the_turn_is_told_by_a_notification_and_a_tone_to_whoever_allowed_it(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage, _watching("default", "granted")).wait_in()
    tab.reads("notify-state", "Notifications are off.").press("notify")
    tab.reads("notify-state", "You will get a notification and a sound when it is your turn.")
    tab.hide()
    stage.release()
    tab.shows("turn").reads("lead", "Your turn is being held. Come back to this tab to enter.")
    notes = tab.page.evaluate("notes")
    assert [note["title"] for note in notes] == ["It is your turn"]
    assert tab.page.evaluate("tones") > 0


def test_a_refused_permission_leaves_the_tone(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage, _watching("default", "denied")).wait_in().press("notify")
    tab.reads("notify-state", "Your browser does not allow notifications from this site."
              " You will hear a sound if this page stays open.")  # fmt: skip
    stage.release()
    tab.shows("turn")
    assert tab.page.evaluate("[notes.length, tones > 0]") == [0, True]


def test_alerts_can_be_switched_off_again(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage, _watching("granted", "granted")).wait_in()
    tab.press("notify").reads("notify", "Do not tell me").press("notify")
    tab.reads("notify", "Tell me when it is my turn")
    stage.release()
    tab.shows("turn")
    assert tab.page.evaluate("[notes.length, tones]") == [0, 0]


def test_a_hidden_tab_holds_the_turn_until_it_is_seen(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.wait_in("/book").hide()
    stage.release()
    tab.shows("turn")
    tab.page.clock.run_for(60_000)
    assert tab.calls("claim") == 0
    tab.show()
    tab.page.clock.run_for(7_000)
    tab.lands_on("/book")


def test_a_hidden_tab_claims_when_two_minutes_are_left(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(window_s=300)
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.wait_in("/book").hide()
    stage.release()
    tab.shows("turn")
    tab.page.clock.run_for(170_000)
    assert tab.calls("claim") == 0
    tab.page.clock.run_for(15_000)
    tab.lands_on("/book")


def test_a_hidden_tab_is_called_when_a_full_site_has_room_and_does_not_enter_alone(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(max_sessions=1)
    inside = stage.admitted()
    tab = browsers.tab(stage, _watching("granted", "granted"))
    tab.page.clock.install()
    tab.wait_in("/book").press("notify")
    stage.release()
    tab.shows("turn").press("enter").shows("full").hide()
    inside.call("leave")

    def is_called() -> bool:
        tab.page.clock.fast_forward(1000)
        return bool(tab.page.evaluate("notes.length") == 2)

    tab.comes_to(is_called)
    tab.shows("turn").hears("It is your turn")
    tab.page.clock.run_for(30_000)
    assert tab.calls("claim") == 1
    tab.show()
    tab.page.clock.run_for(7_000)
    tab.lands_on("/book")


def test_a_claim_that_was_not_answered_is_not_repeated_on_a_hidden_tab(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    tab.page.route("**/claim", lambda route: route.abort())
    tab.page.clock.install()
    tab.wait_in("/book")
    stage.release()
    tab.shows("turn").press("enter").comes_to(lambda: tab.calls("claim") == 1).hide()
    tab.page.clock.run_for(30_000)
    assert tab.calls("claim") == 1
    tab.page.unroute("**/claim")
    tab.show()
    tab.page.clock.run_for(7_000)
    tab.lands_on("/book")
