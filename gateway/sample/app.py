"""The sample site: a start page, seats to book, a confirmation.

It trusts `Queue-Visitor` to tell its visitors apart, as a booking site behind the gateway may: the
gateway removes whatever a client sends under that name.
"""

from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.sample import pages

ROWS = "ABCD"
COLUMNS = 8
SEATS = frozenset(f"{row}{column}" for row in ROWS for column in range(1, COLUMNS + 1))

# A seat's name and its field; nobody has to send more.
_MAX_FORM_BYTES = 1024

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = Path(__file__).parent / "style.css"


class Theatre:
    """One evening's seats, in memory: a visitor holds at most one."""

    def __init__(self) -> None:
        self._seat_of: dict[str, str] = {}

    @property
    def taken(self) -> frozenset[str]:
        return frozenset(self._seat_of.values())

    def seat_of(self, visitor: str) -> str | None:
        return self._seat_of.get(visitor)

    def book(self, visitor: str, seat: str) -> bool:
        """Give a visitor a seat in place of the one held before; False when it is not free."""
        if seat not in SEATS or (seat in self.taken and self.seat_of(visitor) != seat):
            return False
        self._seat_of[visitor] = seat
        return True


def sample_app() -> Starlette:
    """Return the site with all seats free."""
    theatre = Theatre()

    async def start(request: Request) -> Response:
        return _page(request, "Welcome", pages.start(len(SEATS) - len(theatre.taken)))

    async def about(request: Request) -> Response:
        return _page(request, "About", pages.about())

    async def book(request: Request) -> Response:
        visitor = _visitor(request)
        if request.method != "POST":
            body = pages.seats(ROWS, COLUMNS, theatre.taken, theatre.seat_of(visitor))
            return _page(request, "Book a seat", body)
        seat = await _field(request, "seat")
        if not theatre.book(visitor, seat):
            text = "That seat has just gone to somebody else. Choose another one."
            return _page(request, "Too late", pages.note(text), status=409)
        return RedirectResponse("/booked", 303, headers=_HEADERS)

    async def booked(request: Request) -> Response:
        seat = theatre.seat_of(_visitor(request))
        body = pages.note("You have no seat yet.") if seat is None else pages.booked(seat)
        return _page(request, "Your seat", body)

    async def done(request: Request) -> Response:
        # The gateway ends the session and takes this header away before the visitor sees it.
        response = _page(
            request, "Goodbye", "<p>Your session has ended; the next one may come in.</p>"
        )
        response.headers["Queue-Session"] = "end"
        return response

    async def style(_: Request) -> Response:
        return FileResponse(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})

    return Starlette(
        routes=[
            Route("/", start),
            Route("/about", about),
            Route("/book", book, methods=["GET", "POST"]),
            Route("/booked", booked),
            Route("/done", done, methods=["POST"]),
            Route("/assets/style.css", style),
        ]
    )


def _page(request: Request, title: str, body: str, *, status: int = 200) -> Response:
    queue = {
        name.title(): value
        for name, value in request.headers.items()
        if name in {"queue-event", "queue-position", "queue-visitor"}
    }
    return HTMLResponse(pages.page(title, body, queue), status, headers=_HEADERS)


def _visitor(request: Request) -> str:
    return request.headers.get("queue-visitor") or "somebody"


async def _field(request: Request, name: str) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            return ""
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    return fields.get(name, [""])[0]
