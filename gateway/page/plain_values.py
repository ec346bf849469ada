"""What the template `plain.html` is given: one view, put into one language."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.page.languages import Language
from gateway.page.rendering import Values
from gateway.page.views import View, facts_of, samples

_LABELS = {
    "join": "button.join",
    "claim": "button.enter",
    "leave": "button.leave",
}


@dataclass(frozen=True, slots=True)
class Form:
    """A form of one button.

    Attributes:
        verb: The call that it makes.
        fields: Its hidden fields.
    """

    verb: str
    action: str
    label: str
    fields: tuple[tuple[str, str], ...]


def plain_values(
    view: View,
    language: Language,
    *,
    message: str,
    opens_in_s: int | None,
    checked_s: float,
    here: str,
    switch: str,
    refreshes: bool,
    refresh_to: str | None,
    forms: tuple[Form, ...],
) -> dict[str, object]:
    """Return what the template `plain.html` is given."""
    refresh = None if refresh_to is None else f"{view.again_s};url={refresh_to}"
    return {
        "title": language.say(f"title.{view.name}"),
        "lead": language.say(view.lead or f"lead.{view.name}"),
        "message": message,
        "facts": list(facts_of(view, language)),
        "countdown": ""
        if opens_in_s is None
        else language.say("countdown", time=language.duration(opens_in_s)),
        "problem": language.say(f"problem.{view.problem}") if view.problem else "",
        "cookies_blocked": view.cookies_blocked,
        "checked": language.say("plain.checked", time=language.time_of_day(checked_s)),
        "here": here,
        "checks": (view.again_s is not None or view.cookies_blocked) and not view.enters,
        "waits": view.again_s is not None,
        "refresh": refresh,
        "refreshing": ""
        if refresh is None
        else language.say("plain.refreshing", view.again_s or 0),
        "switch": {
            "href": switch,
            "label": language.say("plain.refresh_off" if refreshes else "plain.refresh_on"),
        },
        "forms": list(forms),
    }


def sample_values(language: Language) -> Iterator[Values]:
    """Return what the template may be given, once for every kind of view."""
    for view in samples():
        for refresh_to in (None, "/"):
            yield plain_values(
                view,
                language,
                message="Back at noon.",
                opens_in_s=3600,
                checked_s=0,
                here="/queue/sample/room/plain",
                switch="/queue/sample/room/plain?refresh=on",
                refreshes=refresh_to is not None,
                refresh_to=None if view.again_s is None else refresh_to,
                forms=tuple(
                    Form(
                        verb,
                        f"/queue/sample/{verb}",
                        label_of(verb, view, language),
                        (("plain", "1"),),
                    )
                    for verb in view.forms
                ),
            )


def label_of(verb: str, view: View, language: Language) -> str:
    """Return what the button of a form says."""
    again = verb == "join" and view.name != "not_in"
    return language.say("button.again" if again else _LABELS[verb])
