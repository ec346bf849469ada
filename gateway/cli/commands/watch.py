"""`gateway watch`: how an event moves, as it happens."""

import os
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.live_view import ASCII_BLOCKS, BLOCKS, line, screen, what_changes
from gateway.cli.output import to_json
from gateway.cli.parameters import EVENT
from gateway.cli.session import Command, Session, mode_of, pass_session
from gateway.domain.positions import EventId
from gateway.errors import EventGone, LedgerUnavailable
from gateway.operating.documents import STATUS_HELP
from gateway.operating.picture import PICTURE_HELP, Picture, Watching
from gateway.ports import Ledger

# Control sequences of ECMA-48 and xterm: another screen and back, the cursor away and back.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"


@click.command(
    "watch",
    cls=Command,
    epilog=f"""\b
Examples:
  gateway watch sale
  gateway watch sale --once
  gateway watch sale --json | jq .waiting

{PICTURE_HELP}
{STATUS_HELP}
""",
)
@click.argument("event", type=EVENT)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.2, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--once", is_flag=True, help="Look once.")
@pass_session
def watch(session: Session, event: EventId, every_s: float, once: bool) -> None:
    """Show live how an event moves; Ctrl-C ends it.

    At a terminal it is a screen that is drawn anew. Elsewhere, and with --json, it is one line for each
    change. The numbers are those of gateway status.
    """
    mode = mode_of(session, event)
    is_screen = not (session.json or once) and has_screen()
    show = _Shown(as_json=session.json, once=once, is_screen=is_screen)
    try:
        with _own_screen(is_screen):
            ask_ledger(session, lambda ledger: _follow(ledger, event, mode, every_s, once, show))
    except KeyboardInterrupt:
        return


async def _follow(
    ledger: Ledger,
    event: EventId,
    mode: str | None,
    every_s: float,
    once: bool,
    show: Callable[[Picture | None, str | None], None],
) -> None:
    """Look again and again. The first look must succeed; later ones may fail, and it goes on.

    Raises:
        GatewayError: There is no such event, or it went; or the first look failed.
    """
    import asyncio

    picture, watching = None, None
    while True:
        trouble = None
        try:
            if watching is None:
                watching = Watching(await ledger.samples(event), mode)
            picture = watching.look(await ledger.read(event), await ledger.gateways(event))
        except EventGone:
            raise
        except LedgerUnavailable as exc:
            if picture is None:
                raise
            trouble = (
                f"The ledger cannot be read ({exc.cause}): what is above is the last that was."
            )
        show(picture, trouble)
        if once:
            return
        await asyncio.sleep(every_s)


class _Shown:
    """Prints pictures in the form that was asked for."""

    def __init__(self, *, as_json: bool, once: bool, is_screen: bool) -> None:
        self._as_json = as_json
        self._once = once
        self._is_screen = is_screen
        self._last: object = None

    def __call__(self, picture: Picture | None, trouble: str | None) -> None:
        if picture is None:
            return
        if self._is_screen:
            _draw(screen(picture, trouble, blocks=_blocks()))
        elif self._once and not self._as_json:
            click.echo(screen(picture, trouble, blocks=_blocks()))
        elif trouble is not None:
            # Once for as long as it lasts, however its cause changes.
            text = to_json({"error": trouble}, one_line=True) if self._as_json else trouble
            self._news("trouble", text)
        else:
            text = to_json(picture.document, one_line=True) if self._as_json else line(picture)
            self._news(what_changes(picture), text)

    def _news(self, what: object, text: str) -> None:
        if what != self._last:
            self._last = what
            click.echo(text)
            # A program that reads along must not wait for a buffer to fill.
            sys.stdout.flush()


def has_screen() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _blocks() -> str:
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BLOCKS
    return BLOCKS


def _draw(text: str) -> None:
    # click takes all control sequences out where no colour is wanted; those that move the cursor stay.
    if click.get_current_context().color is False:
        text = click.unstyle(text)
    sys.stdout.write(_fitted(text))
    sys.stdout.flush()


def _fitted(text: str) -> str:
    """Fit the view into the terminal's window, and draw it over the one before."""
    columns, rows = shutil.get_terminal_size()
    lines = [
        shown if len(click.unstyle(shown)) <= columns else click.unstyle(shown)[:columns]
        for shown in text.splitlines()[:rows]
    ]
    return _HOME + f"{_END_OF_LINE}\r\n".join(lines) + _END_OF_LINE + _REST_OF_SCREEN


@contextmanager
def _own_screen(is_screen: bool) -> Generator[None]:
    """Leave the terminal as it was found, whatever happens."""
    if not is_screen:
        yield
        return
    sys.stdout.write(_ENTER)
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
