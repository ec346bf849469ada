"""The waiting page: one document for everyone who reads a language; its script does the rest.

Nothing of a visitor is in its bytes, neither a place nor where they are going: a CDN may answer for us.
"""

from collections import OrderedDict

from gateway.addresses import home_authority, room_path
from gateway.answers import Answer, RawHeader, redirect
from gateway.calls import Call
from gateway.domain.return_to import ReturnTo
from gateway.page.headers import HTML, security_headers
from gateway.page.languages import Language, Languages
from gateway.page.rendering import Renderer, links_of
from gateway.queue import Room
from gateway.representations import Prepared, prepare_tagged

HOME_PAGE = ReturnTo("/")

_SHARED: tuple[RawHeader, ...] = (
    HTML,
    # Changes to the page, such as another script's name, show within a minute.
    (b"cache-control", b"public, max-age=60"),
    (b"vary", b"Accept-Language, Accept-Encoding"),
)

# Before the first read of the ledger every name might be an event's: what is kept for names is bounded.
_MOST_KEPT = 512


class Shell:
    def __init__(self, room: Room, languages: Languages, renderer: Renderer) -> None:
        self._room = room
        self._languages = languages
        self._renderer = renderer
        self._kept: OrderedDict[tuple[str, str], Prepared] = OrderedDict()

    async def show(self, call: Call) -> Answer:
        """Return the page, or send to the host of the event where it lives.

        Raises:
            UnknownEvent: There is no such event.
        """
        if (elsewhere := sent_home(call, "room")) is not None:
            return elsewhere
        self._room.snapshot(call.event)
        language = self._languages.choose(call.query("lang"), call.listed(b"accept-language"))
        document = self._document(call, language)
        known = call.header(b"if-none-match")
        answer = document.unless_known(call.listed(b"accept-encoding"), known)
        return answer.with_headers(security_headers(call, scripts=True))

    def _document(self, call: Call, language: Language) -> Prepared:
        key = (call.event, language.tag)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        base = f"/queue/{call.event}/"
        links = links_of(self._languages)
        body = self._renderer.room(language, call.event, base, links).encode()
        document = prepare_tagged(body, [*_SHARED, (b"content-language", language.tag.encode())])
        self._kept[key] = document
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return document


def sent_home(call: Call, page: str) -> Answer | None:
    """Send to the event's home host, where its cookies live; None where this is it.

    Where the visitor is going is told by its whole address, for it counts from this host.
    """
    home = home_authority(call.route, call.authority)
    if home is None:
        return None
    here = call.return_to(call.query("return_to")) or HOME_PAGE
    back = ReturnTo(here.target, here.authority or call.authority)
    path = room_path(call.event, back, call.scheme, page=page)
    return redirect(f"{call.scheme}://{home}{path}")
