"""The script that a booking site includes: it warns before a session ends, and offers more time.

One document for everyone and every event, in all languages: the site names it once, under an address
that stays, and the script finds by itself which event it is for and which language the page has.
"""

import json
import re

from gateway.answers import Answer, RawHeader
from gateway.calls import Call
from gateway.hashed_files import KINDS
from gateway.page.languages import Languages
from gateway.page.statics import built_in
from gateway.representations import prepare_tagged

SESSION_SCRIPT = "session.js"
"""Below `/queue/{event}/`."""

PREFIX = "session."
"""What the names of its texts begin with."""

_PLACEHOLDER = b"__LANGUAGES__"

# Comments that have lines of their own, and indents: what a browser need not load.
_NOT_NEEDED = re.compile(rb"^[ \t]*(?://[^\n]*\n|/?\*[^\n]*\n|\n)?", re.MULTILINE)

_SHARED: tuple[RawHeader, ...] = (
    (b"content-type", KINDS["js"]),
    # Its address stays while it changes; it is asked about anew every few minutes.
    (b"cache-control", b"public, max-age=600"),
    (b"vary", b"Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class SessionScript:
    """Answers `GET /queue/{event}/session.js`, the same bytes while this process lives."""

    def __init__(self, languages: Languages) -> None:
        self._prepared = prepare_tagged(script_body(languages), _SHARED)

    async def answer(self, call: Call) -> Answer:
        known = call.header(b"if-none-match")
        return self._prepared.unless_known(call.listed(b"accept-encoding"), known)


def script_body(languages: Languages) -> bytes:
    """Return the script with the texts of all languages in it."""
    texts = {
        language.tag: {
            "dir": language.direction,
            **{
                key.removeprefix(PREFIX): text
                for key, text in language.texts.items()
                if key.startswith(PREFIX)
            },
        }
        for language in languages.all
    }
    held = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    source = _NOT_NEEDED.sub(b"", built_in(SESSION_SCRIPT))
    return source.replace(_PLACEHOLDER, held)
