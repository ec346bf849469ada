"""The languages of the waiting page: texts, plural forms, numbers and times.

Texts are flat JSON, one file a language, with placeholders like `{n}`. A text that depends on a number is
an object with one text for each of the language's plural categories (Unicode TR 35, part 3, section 5; the
rules are CLDR's, by Babel here and by `Intl.PluralRules` in the browser).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TypeAlias, cast

from babel import Locale
from babel.dates import format_time
from babel.numbers import format_decimal

from gateway.domain.waiting import Wait
from gateway.preferences import preferred_language

Text: TypeAlias = str | Mapping[str, str]

TAGS: tuple[str, ...] = ("en", "es", "fr", "de", "pt", "ja", "ar")
"""In the order in which the page offers them; the first is for whoever asks for none of them."""

_NOT_OF_THE_PAGES_SCRIPT = ("language.", "noscript.", "languages.", "plain.", "session.")
_MINUTE_S = 60
_HOUR_S = 3600

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True)
class Language:
    """One language, ready to speak.

    Attributes:
        tag: As in `lang` (RFC 5646).
        direction: `ltr` or `rtl`.
        name: Its own name for itself.
    """

    tag: str
    direction: str
    name: str
    locale: Locale
    texts: Mapping[str, Text]

    def say(self, key: str, number: int | None = None, **values: str) -> str:
        """Return a text with its placeholders filled.

        Args:
            number: What a plural text depends on; also its `{n}`, unless `values` has one.

        Raises:
            KeyError: There is no such text.
        """
        text = self.texts[key]
        if not isinstance(text, str):
            text = text[self.locale.plural_form(number or 0)]
        if number is not None:
            values.setdefault("n", self.number(number))
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)

    def number(self, number: int) -> str:
        # In the digits that the language uses, as the browser's Intl does.
        return format_decimal(number, locale=self.locale, numbering_system="default")

    def time_of_day(self, unix_s: float) -> str:
        """Return a time with its zone: the server does not know the visitor's."""
        moment = datetime.fromtimestamp(unix_s, UTC)
        return f"{format_time(moment, 'medium', locale=self.locale)} UTC"

    def duration(self, seconds: int) -> str:
        """Return hours and minutes in words; at least one minute."""
        hours, minutes = divmod(max(-(-seconds // _MINUTE_S), 1), 60)
        if not hours:
            return self.say("time.minutes", minutes)
        if not minutes:
            return self.say("time.hours", hours)
        return self.say(
            "time.both",
            hours=self.say("time.hours", hours),
            minutes=self.say("time.minutes", minutes),
        )

    def ahead(self, people: int) -> str:
        return self.say("ahead", people) if people else self.say("ahead.none")

    def wait(self, shown: Wait | None) -> str:
        """Return a waiting time in words, as the page's script says it.

        Args:
            shown: Rounded as `domain/shown_wait.py` does; None while nothing is known.
        """
        if shown is None:
            return self.say("wait.unknown")
        low_s = max(shown.low_s, _MINUTE_S)
        if shown.high_s >= _HOUR_S:
            soonest, latest = self.duration(low_s), self.duration(shown.high_s)
            if soonest == latest:
                return self.say("wait.hours_same", time=latest)
            return self.say("wait.hours", low=soonest, high=latest)
        low, high = low_s // _MINUTE_S, -(-shown.high_s // _MINUTE_S)
        if high <= 1:
            return self.say("wait.soon")
        if low >= high:
            return self.say("wait.minutes_same", high)
        return self.say("wait.minutes", high, low=self.number(low), high=self.number(high))

    def script_texts(self) -> str:
        """Return the texts that the script needs, as JSON that may stand inside `<script>`.

        `<` is written as an escape, so that no text can end the element (HTML, section 4.12.1.3).
        """
        needed = {
            key: text
            for key, text in self.texts.items()
            if not key.startswith(_NOT_OF_THE_PAGES_SCRIPT)
        }
        return json.dumps(needed, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


class Languages:
    """All languages that a site offers."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._by_tag = {language.tag: language for language in languages}

    @property
    def all(self) -> Sequence[Language]:
        return tuple(self._by_tag.values())

    def get(self, tag: str) -> Language | None:
        return self._by_tag.get(tag)

    def choose(self, asked: str, accepted: str) -> Language:
        """Return the language for one request.

        Args:
            asked: What the address says (`?lang=`); it wins, where it is one of ours.
            accepted: `Accept-Language`.
        """
        if (language := self._by_tag.get(asked)) is not None:
            return language
        tag = preferred_language(accepted, tuple(self._by_tag)) or TAGS[0]
        return self._by_tag[tag]


def built_in_texts(tag: str) -> dict[str, Text]:
    source = files("gateway.page") / "languages" / f"{tag}.json"
    texts: dict[str, Text] = json.loads(source.read_text("utf-8"))
    return texts


def load_languages(overrides: Mapping[str, Mapping[str, Text]]) -> Languages:
    """Return all languages.

    Args:
        overrides: The site's own texts by language and key, already checked.
    """
    return Languages(
        [_language(tag, {**built_in_texts(tag), **overrides.get(tag, {})}) for tag in TAGS]
    )


def _language(tag: str, texts: dict[str, Text]) -> Language:
    locale = Locale.parse(tag)
    return Language(
        tag=tag,
        direction=locale.text_direction,
        name=str(texts["language.name"]),
        locale=locale,
        texts=texts,
    )


def plural_categories(tag: str) -> frozenset[str]:
    """Return the categories that a language's plural texts must have: CLDR's, `other` included."""
    return Locale.parse(tag).plural_form.tags | {"other"}


def placeholders(text: str) -> frozenset[str]:
    return frozenset(_PLACEHOLDER.findall(text))


def fault_of(tag: str, key: str, text: object, model: Text) -> str | None:
    """Say what is wrong with a text, compared to the English one of the same key; None for nothing."""
    if isinstance(model, str):
        return _fault_of_part(key, text, model, True)
    wanted = plural_categories(tag)
    parts: Mapping[str, object] = {}
    if isinstance(text, Mapping):
        parts = cast("Mapping[str, object]", text)
    if frozenset(parts) != wanted:
        return f"{key}: must be an object with exactly {', '.join(sorted(wanted))}"
    faults = (
        # "One person" needs no number, but nothing may stand there that nobody fills.
        _fault_of_part(f"{key}.{category}", parts[category], model["other"], category == "other")
        for category in sorted(wanted)
    )
    return next((fault for fault in faults if fault is not None), None)


def _fault_of_part(where: str, text: object, model: str, exactly: bool) -> str | None:
    if not isinstance(text, str) or not text.strip():
        return f"{where}: must be a text that is not empty"
    held, known = placeholders(text), placeholders(model)
    if held != known if exactly else not held <= known:
        named = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
        return f"{where}: the placeholders are {named}"
    return None
