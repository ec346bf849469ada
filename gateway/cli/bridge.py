"""From a command to the ledger and back: the one place where the command line turns asynchronous."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.cli.exits import LedgerUnusable
from gateway.cli.session import Session
from gateway.errors import LedgerUnavailable, StateLost
from gateway.ports import Ledger

if TYPE_CHECKING:
    from gateway.settings import LedgerSettings

T = TypeVar("T")

# Causes that pass by themselves; a release that carries an id is asked for again after them.
PASSING_CAUSES = frozenset(
    {
        "timeout",
        "unreachable",
        "loading",
        "busy",
        "fenced",
        "no-replicas",
        "not-durable",
        "healing",
        "circuit-open",
    }
)
# A little longer than gateways that do not answer are waited for.
HEALING_PATIENCE_S = 6.0
RETRY_AFTER_S = (0.2, 0.5, 1.0, 2.0)


def ask_ledger(
    session: Session,
    question: Callable[[Ledger], Awaitable[T]],
    *,
    on_time: Callable[[int, float, float], None] | None = None,
) -> T:
    """Run `question` on the ledger of the settings and return its answer.

    An embedded ledger whose server is not running is started for as long as this takes. `on_time` is told
    the ledger's clock after each read, as `LedgerClock.observe` takes it.
    """
    import asyncio

    settings = session.settings.ledger
    with _ledger_url(settings) as url:
        return asyncio.run(_ask(url, settings.timeout_s, question, on_time))


async def persistently(act: Callable[[], Awaitable[T]]) -> T:
    """Repeat an act that may safely be repeated, a few times, while the ledger is away.

    Raises:
        LedgerUnavailable: It stayed away, or its trouble is not of the passing kind.
    """
    import asyncio

    for pause_s in RETRY_AFTER_S:
        try:
            return await act()
        except StateLost:
            raise
        except LedgerUnavailable as exc:
            if exc.cause not in PASSING_CAUSES:
                raise
        await asyncio.sleep(pause_s)
    return await act()


async def _ask(
    url: str,
    timeout_s: float,
    question: Callable[[Ledger], Awaitable[T]],
    on_time: Callable[[int, float, float], None] | None,
) -> T:
    from gateway.ledger.redis import RedisLedger

    try:
        ledger = RedisLedger(
            url, timeout_s=timeout_s, on_time=on_time, healing_patience_s=HEALING_PATIENCE_S
        )
    except ValueError:
        # The client's message may quote a part of the URL, and there may be a password in it.
        raise LedgerUnusable(
            "[ledger] url in the settings cannot be read; write redis://HOST:PORT/0"
        ) from None
    try:
        return await question(ledger)
    finally:
        await ledger.aclose()


@contextmanager
def _ledger_url(settings: "LedgerSettings") -> Generator[str]:
    from gateway.ledger.embedded import EmbeddedServer, answers, embedded_url, socket_path

    if settings.url:
        yield settings.url
        return
    folder = Path(settings.data_dir)
    if answers(socket_path(folder)):
        # Some gateway owns it, or its owner was killed: it is there, and not ours to stop.
        yield embedded_url(folder)
        return
    server = EmbeddedServer(folder)
    try:
        server.start()
    except OSError as exc:
        where = exc.filename or folder
        raise LedgerUnavailable("embedded", f"{where}: {exc.strerror}") from exc
    try:
        yield server.url
    finally:
        # A gateway that was started meanwhile has joined our server: it is left running for it.
        if not has_other_clients(socket_path(folder)):
            server.stop()


def has_other_clients(path: Path) -> bool:
    """Say whether anybody else is connected to the server at a Unix socket."""
    import re
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"INFO clients\r\n")
            count = re.search(rb"connected_clients:(\d+)", connection.recv(4096))
    except OSError:
        return False
    return count is not None and int(count[1]) > 1
