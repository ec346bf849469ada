"""Renders the pages: the site's own templates where they are good, ours else.

A template of the site is tried in every language, and the plain page in all that it may have to say, before
the first visitor comes; one that fails is left out whole and told.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from gateway.hashed_files import HashedFile, Scripts
from gateway.page.brand import Brand
from gateway.page.languages import Language, Languages
from gateway.page.statics import ENTRY

logger = logging.getLogger(__name__)

ROOM = "room.html"
PLAIN = "plain.html"

# What the script fills in or listens to.
SCRIPT_IDS = frozenset(
    {
        "title",
        "lead",
        "message",
        "live",
        "facts",
        "position",
        "ahead",
        "wait",
        "row-position",
        "row-ahead",
        "row-wait",
        "progress",
        "progress-label",
        "countdown",
        "updated",
        "join",
        "enter",
        "leave",
        "again",
        "leave-dialog",
        "leave-yes",
        "leave-no",
        "notify",
        "notify-state",
        "languages",
        "cookies",
        "problem",
        "problem-text",
        "queue-texts",
    }
)

Values = Mapping[str, Any]


class MissingAsset(TemplateError):
    """A template asks for an image that is not in the folder."""


class Lacking(TemplateError):
    """A template leaves out what a page cannot do without."""


@dataclass(frozen=True, slots=True)
class Link:
    """A language as the page offers it."""

    tag: str
    direction: str
    name: str
    href: str


def links_of(languages: Languages) -> list[Link]:
    """Return how the page for everyone leads to itself in each language."""
    return [
        Link(language.tag, language.direction, language.name, f"?lang={language.tag}")
        for language in languages.all
    ]


class Renderer:
    """Makes HTML of templates.

    Args:
        style: The one style sheet.
        scripts: The page's scripts.
    """

    def __init__(
        self,
        brand: Brand,
        languages: Languages,
        style: HashedFile,
        scripts: Scripts,
    ) -> None:
        self._brand = brand
        self._languages = languages
        self._style = style
        self._scripts = scripts
        built_in = PackageLoader("gateway.page", "templates")
        self._own = _environment(built_in, PrefixLoader({"built-in": built_in}))
        self._branded = _environment(
            DictLoader(brand.templates), built_in, PrefixLoader({"built-in": built_in})
        )
        self._is_branded: dict[str, bool] = dict.fromkeys((ROOM, PLAIN), bool(brand.templates))

    def room(self, language: Language, event: str, base: str, links: Iterable[Link]) -> str:
        """Return the shell of the waiting page: the same for everyone who reads this language."""
        values = {"script_texts": Markup(language.script_texts())}  # noqa: S704 - escaped there
        return self._render(ROOM, language, event, base, links, values)

    def plain(
        self, language: Language, event: str, base: str, links: Iterable[Link], values: Values
    ) -> str:
        """Return the page without JavaScript.

        Args:
            values: What it says; see `page/views.py`.
        """
        return self._render(PLAIN, language, event, base, links, values)

    def try_brand(self, plain_samples: Callable[[Language], Iterable[Values]]) -> list[str]:
        """Leave out the site's templates that fail; return what is wrong with them."""
        return [
            *self._try(ROOM, lambda _: [{"script_texts": ""}], _check_room),
            *self._try(PLAIN, plain_samples, _check_plain),
        ]

    def _try(
        self,
        name: str,
        samples: Callable[[Language], Iterable[Values]],
        check: Callable[[str, Values], None],
    ) -> list[str]:
        if not self._is_branded[name]:
            return []
        try:
            template = self._branded.get_template(name)
            links = links_of(self._languages)
            for language in self._languages.all:
                for values in samples(language):
                    html = template.render(
                        self._values(language, "sample", "/queue/sample/", links, values)
                    )
                    check(html, values)
        except Exception as exc:
            # A template may raise whatever Python can.
            self._is_branded[name] = False
            return [_fallen_back(name, exc)]
        return []

    def _render(
        self,
        name: str,
        language: Language,
        event: str,
        base: str,
        links: Iterable[Link],
        values: Values,
    ) -> str:
        held = self._values(language, event, base, links, values)
        if self._is_branded[name]:
            try:
                return self._branded.get_template(name).render(held)
            except Exception as exc:
                # What was tried at the start did not come to this case.
                self._is_branded[name] = False
                logger.warning(
                    "the brand has a mistake", extra={"trouble": _fallen_back(name, exc)}
                )
        return self._own.get_template(name).render(held)

    def _values(
        self, language: Language, event: str, base: str, links: Iterable[Link], values: Values
    ) -> dict[str, Any]:
        def asset(name: str) -> str:
            image = self._brand.images.get(name)
            if image is None:
                raise MissingAsset(f"there is no image {name!r} in the brand's folder")
            return base + image.path

        return {
            "language": language,
            "t": language.say,
            "event": event,
            "base": base,
            "style": self._style.path,
            "script": self._scripts.entry.path,
            "modules": [module.path for module in self._scripts.modules],
            "languages": list(links),
            "asset": asset,
            **values,
        }


def _environment(*loaders: BaseLoader) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _fallen_back(name: str, exc: Exception) -> str:
    line = getattr(exc, "lineno", None)
    where = f" ({getattr(exc, 'name', None) or name}, line {line})" if line else ""
    return f"{name}: {type(exc).__name__}: {exc}{where}; the built-in page is served instead"


class _Elements(HTMLParser):
    """What the page's script, and its visitors, cannot do without."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.actions: set[str] = set()
        self.scripts: set[str] = set()
        self.base = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        self.ids.add(held.get("id", ""))
        match tag:
            case "form":
                self.actions.add(held.get("action", "").rpartition("/")[2])
            case "script":
                self.scripts.add(held.get("src", "").rpartition("/")[2].partition(".")[0])
            case "body":
                self.base = held.get("data-base", "")
            case _:
                pass


def _check_room(html: str, _: Values) -> None:
    found = _Elements(html)
    if missing := SCRIPT_IDS - found.ids:
        raise Lacking(f"lacks the id {', '.join(sorted(missing))}")
    if ENTRY.partition(".")[0] not in found.scripts:
        raise Lacking("lacks the page's script")
    if not found.base:
        raise Lacking("lacks data-base at <body>")


def _check_plain(html: str, values: Values) -> None:
    wanted = {form.verb for form in values["forms"]}
    if missing := wanted - _Elements(html).actions:
        raise Lacking(f"lacks the form for {', '.join(sorted(missing))}")
