"""The sample site's HTML. No script, no third party; everything from outside is escaped."""

from collections.abc import Collection, Mapping
from html import escape

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · The Little Theatre</title>
<link rel="stylesheet" href="/assets/style.css">
</head>
<body>
<nav><a href="/">The Little Theatre</a><a href="/book">Book a seat</a><a href="/about">About</a></nav>
<main>
<h1>{title}</h1>
{body}
</main>
<footer>{footer}</footer>
</body>
</html>
"""


def page(title: str, body: str, queue: Mapping[str, str]) -> str:
    """Return a whole page; its foot shows what the gateway said about the visitor."""
    return _PAGE.format(title=escape(title), body=body, footer=_admission(queue))


def _admission(queue: Mapping[str, str]) -> str:
    if not queue:
        return "This page is open: no place in the queue is needed for it."
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value) or '(none)'}</dd>"
        for name, value in queue.items()
    )
    return f"The gateway let this request in and told the site:<dl>{rows}</dl>"


def start(free: int) -> str:
    return (
        f"<p>Tonight: <em>Waiting for Everyone</em>. {free} seats are left.</p>"
        '<p><a href="/book">Choose your seat</a></p>'
    )


def seats(rows: str, columns: int, taken: Collection[str], yours: str | None) -> str:
    """Return the form with one button for each free seat."""
    items: list[str] = []
    for row in rows:
        for column in range(1, columns + 1):
            seat = f"{row}{column}"
            if seat == yours:
                items.append(f'<li><span class="yours">{seat}<br>yours</span></li>')
            elif seat in taken:
                items.append(f'<li><span class="taken">{seat}</span></li>')
            else:
                items.append(f'<li><button name="seat" value="{seat}">{seat}</button></li>')
    return (
        "<p>Choose a seat. Another choice gives the first one back.</p>"
        f'<form method="post" action="/book"><ul class="seats">{"".join(items)}</ul></form>'
    )


def booked(seat: str) -> str:
    return (
        f"<p>Seat <strong>{escape(seat)}</strong> is yours. Enjoy the evening.</p>"
        '<form method="post" action="/done"><button class="plain">I am done: let the next one in'
        "</button></form>"
    )


def about() -> str:
    return (
        "<p>This site is a sample. It belongs to <code>gateway demo</code>, keeps its bookings in memory "
        "and forgets them when it stops.</p>"
        "<p>Everything but this page and <code>/assets/</code> is behind the queue: whoever opens "
        '<a href="/book">the seats</a> is given a place and let in when their turn comes.</p>'
    )


def note(text: str) -> str:
    return f'<p>{escape(text)}</p><p><a href="/book">To the seats</a></p>'
