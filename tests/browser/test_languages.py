"""The page in the visitor's language, with its plurals and numbers, in its direction."""

import re

from tests.browser.browsers import Browsers
from tests.support.staging import Stage

# What a language says of one, two and five people ahead.
AHEAD = {
    "en": ("1 person", "2 people", "5 people"),
    "de": ("1 Person", "2 Personen", "5 Personen"),
    "es": ("1 persona", "2 personas", "5 personas"),
    "fr": ("1 personne", "2 personnes", "5 personnes"),
    "pt": ("1 pessoa", "2 pessoas", "5 pessoas"),
    "ja": ("1人", "2人", "5人"),
}


def test_people_are_counted_by_the_rules_of_each_language(stage: Stage, browsers: Browsers) -> None:
    for _ in range(5):
        stage.waiting()
    tab = browsers.tab(stage).wait_in()
    for after, release in enumerate((0, 3, 1)):
        if release:
            stage.release(release)
        for language, counted in AHEAD.items():
            tab.look("/", language=language).reads("ahead", counted[-1 - after])
            assert tab.page.locator("html").get_attribute("lang") == language


def test_arabic_is_read_from_the_right_with_its_six_plurals(
    stage: Stage, browsers: Browsers
) -> None:
    for _ in range(3):
        stage.waiting()
    tab = browsers.tab(stage, locale="ar").look("/").shows("waiting")
    assert tab.page.locator("html").get_attribute("dir") == "rtl"
    seen = [tab.text("ahead")]
    for _ in range(2):
        before = tab.text("ahead")
        stage.release()
        tab.page.locator("#ahead").filter(has_not_text=before).wait_for()
        seen.append(tab.text("ahead"))
    # Few, two and one, each with a noun of its own.
    assert len({re.sub(r"[\d\s]", "", text) for text in seen}) == 3, seen


def test_changing_the_language_keeps_the_place_and_the_way(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).wait_in("/book?seat=1")
    tab.page.locator("#languages").get_by_role("link", name="Deutsch").click()
    tab.page.locator('html[lang="de"]').wait_for()
    tab.shows("waiting").reads("position", "1")
    assert tab.calls("join") == 1
    stage.release()
    tab.shows("turn").press("enter").lands_on("/book?seat=1")
