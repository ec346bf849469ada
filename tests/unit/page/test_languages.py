"""The texts are complete in every language, and numbers are said as each language says them."""

import json
from importlib.resources import files

import pytest
from babel import Locale

from gateway.domain.waiting import Wait
from gateway.page.languages import (
    TAGS,
    Language,
    built_in_texts,
    fault_of,
    load_languages,
    placeholders,
    plural_categories,
)

ENGLISH = built_in_texts("en")
LANGUAGES = load_languages({})

# CLDR 46, supplemental/plurals.xml.
CATEGORIES = {
    "en": {"one", "other"},
    "es": {"one", "many", "other"},
    "fr": {"one", "many", "other"},
    "de": {"one", "other"},
    "pt": {"one", "many", "other"},
    "ja": {"other"},
    "ar": {"zero", "one", "two", "few", "many", "other"},
}


def language(tag: str) -> Language:
    found = LANGUAGES.get(tag)
    assert found is not None
    return found


@pytest.mark.parametrize("tag", TAGS)
def test_every_language_has_the_same_texts_and_nothing_is_wrong_with_them(tag: str) -> None:
    texts = built_in_texts(tag)
    assert list(texts) == list(ENGLISH)
    faults = [fault_of(tag, key, text, ENGLISH[key]) for key, text in texts.items()]
    assert [fault for fault in faults if fault is not None] == []


@pytest.mark.parametrize("tag", TAGS)
def test_no_file_says_a_text_twice(tag: str) -> None:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in found}) == len(found)
        return dict(found)

    source = files("gateway.page") / "languages" / f"{tag}.json"
    json.loads(source.read_text("utf-8"), object_pairs_hook=pairs)


@pytest.mark.parametrize("tag", TAGS)
def test_plural_texts_have_exactly_the_categories_of_cldr(tag: str) -> None:
    assert plural_categories(tag) == CATEGORIES[tag]
    plurals = [text for text in built_in_texts(tag).values() if not isinstance(text, str)]
    assert len(plurals) >= 8
    assert all(set(text) == CATEGORIES[tag] for text in plurals)


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag != "en"])
def test_no_text_was_left_in_english(tag: str) -> None:
    # What is made of placeholders alone is alike in many languages.
    same = {
        key
        for key, text in built_in_texts(tag).items()
        if isinstance(text, str) and text == ENGLISH[key] and placeholders(text) == frozenset()
    }
    assert same == set()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("title.turn", ""),
        ("title.turn", " "),
        ("title.turn", 3),
        ("title.turn", {"one": "x", "other": "x"}),
        ("title.turn", "Hello {name}"),
        ("updated.at", "now"),
        ("ahead", "people"),
        ("ahead", {"other": "{n} people"}),
        ("ahead", {"one": "x", "other": "{n}", "many": "{n}"}),
        ("ahead", {"one": "", "other": "{n}"}),
        ("ahead", {"one": "{who}", "other": "{n}"}),
        ("ahead", {"one": "one", "other": "people"}),
        ("ahead", None),
    ],
)
def test_a_text_that_is_wrong_is_found(key: str, text: object) -> None:
    fault = fault_of("en", key, text, ENGLISH[key])
    assert fault is not None
    assert fault.startswith(key)


def test_one_person_may_go_without_a_number() -> None:
    assert fault_of(
        "en", "ahead", {"one": "one person", "other": "{n} people"}, ENGLISH["ahead"]
    ) is (None)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("number", [0, 1, 2, 3, 11, 99, 100, 101, 1_000_000, 1_234_567])
def test_a_number_is_said_by_the_rules_of_the_language(tag: str, number: int) -> None:
    spoken = language(tag)
    text = built_in_texts(tag)["ahead"]
    assert not isinstance(text, str)
    category = Locale.parse(tag).plural_form(number)
    assert spoken.say("ahead", number) == text[category].replace("{n}", spoken.number(number))


@pytest.mark.parametrize(
    ("tag", "people", "said"),
    [
        ("en", 1, "1 person"),
        ("en", 1204, "1,204 people"),
        ("de", 1204, "1.204 Personen"),
        ("fr", 0, "Aucune : vous êtes la prochaine personne"),
        ("fr", 1, "1 personne"),
        ("fr", 1204, "1\N{NARROW NO-BREAK SPACE}204 personnes"),
        ("es", 1_000_000, "1.000.000 de personas"),
        ("ja", 1204, "1,204人"),
        ("ar", 2, "شخصان"),
        ("ar", 5, "5 أشخاص"),
        ("ar", 15, "15 شخصًا"),
        ("ar", 100, "100 شخص"),
    ],
)
def test_how_many_are_ahead(tag: str, people: int, said: str) -> None:
    assert language(tag).ahead(people) == said


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (None, "not known yet"),
        (Wait(0, 60), "about a minute"),
        (Wait(0, 120), "1 to 2 minutes"),
        (Wait(600, 600), "about 10 minutes"),
        (Wait(1200, 2100), "20 to 35 minutes"),
        (Wait(2700, 4500), "45 minutes to 1 hour 15 minutes"),
        (Wait(7200, 7200), "about 2 hours"),
        (Wait(7200, 18000), "2 hours to 5 hours"),
    ],
)
def test_a_waiting_time_is_a_range(wait: Wait | None, said: str) -> None:
    assert language("en").wait(wait) == said


def test_hours_are_put_together_as_the_language_does() -> None:
    assert [language(tag).duration(8100) for tag in TAGS] == [
        "2 hours 15 minutes",
        "2 horas y 15 minutos",
        "2 heures 15 minutes",
        "2 Stunden 15 Minuten",
        "2 horas e 15 minutos",
        "2時間15分",
        "ساعتين و15 دقيقة",
    ]


def test_a_text_of_the_site_goes_before_ours() -> None:
    languages = load_languages({"de": {"title.turn": "Hereinspaziert"}})
    found = {spoken.tag: spoken.say("title.turn") for spoken in languages.all}
    assert found["de"] == "Hereinspaziert"
    assert found["en"] == "It is your turn"


def test_what_is_filled_in_is_not_read_again() -> None:
    assert language("en").say("problem.other", detail="{detail} {n}") == (
        "That did not work: {detail} {n}"
    )


def test_only_what_the_script_says_goes_to_it() -> None:
    held = json.loads(language("en").script_texts())
    assert {"title.turn", "ahead", "live.entering"} <= held.keys()
    assert not [key for key in held if key.startswith(("plain.", "language.", "noscript."))]
