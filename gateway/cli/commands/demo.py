"""`gateway demo`: everything in one process, with a sample site, on this machine only."""

import errno
import shlex
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from gateway.cli import demo_folder
from gateway.cli.event_loop import run_loop
from gateway.cli.exits import Failed
from gateway.cli.output import note, to_json
from gateway.cli.parameters import PORT
from gateway.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from gateway.settings import Settings

_LOOPBACK = "127.0.0.1"


@click.command(
    "demo",
    cls=Command,
    epilog="""\b
Examples:
  gateway demo
  gateway demo --json --port 0 --admin-port 0 --data-dir /tmp/demo

\b
With --json one line is printed once everything answers:
  {"url", "admin_url", "event", "protected_url", "config", "operator_key"}
""",
)
@click.option("--port", type=PORT, help="For visitors; 0 picks a free one. [default: 8080 or free]")
@click.option("--admin-port", type=PORT, help="For metrics and admin. [default: 8081 or free]")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-data"),
    show_default=True,
    help="Where settings, keys and positions are kept.",
)
@pass_session
def demo(session: Session, port: int | None, admin_port: int | None, data_dir: Path) -> None:
    """Run a gateway with one open event in front of a sample site, until interrupted.

    Started again on the same folder it goes on where it was, also after a crash. It needs nothing
    else: the ledger is an embedded Valkey.
    """
    from gateway.settings import load_settings

    folder = data_dir.resolve()
    with demo_folder.owned(folder) as lock:
        config = demo_folder.write_config(folder)
        settings = load_settings(config)
        demo_folder.ensure_key(Path(settings.keys.dir))
        settings = _with_ports(session, settings, port, admin_port)
        key = demo_folder.operator_key(Path(settings.admin.operators))
        run_loop(_run(settings, _announcer(session, config, lock, key)))


def _announcer(
    session: Session, config: Path, lock: IO[str], operator_key: str
) -> Callable[[str, str], None]:
    def announce(url: str, admin_url: str) -> None:
        protected_url = f"{url}/book"
        demo_folder.say_where(lock, url)
        if session.json:
            document = {
                "url": url,
                "admin_url": admin_url,
                "event": demo_folder.EVENT,
                "protected_url": protected_url,
                "config": str(config),
                "operator_key": operator_key,
            }
            # Flushed by click: whoever waits for this line reads a pipe.
            click.echo(to_json(document, one_line=True))
        else:
            click.echo(
                _WELCOME.format(
                    url=url,
                    protected_url=protected_url,
                    config=config,
                    command=_own_command(),
                    admin_url=admin_url,
                    operator_key=operator_key,
                )
            )

    return announce


def _own_command() -> str:
    """Return how this very program was called: it need not be on the PATH."""
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.name == "gateway" else "gateway"


_WELCOME = """\
The gateway runs in front of a sample site. Visitors wait until you let them in.

  1. Open {protected_url} in two browsers (a private window is a second one):
     both are queued.
  2. In another terminal, let the first one in, and watch:
       {command} --config {config} release demo 1
       {command} --config {config} status demo
  3. Then the next one; pause, and see what the page says:
       {command} --config {config} event pause demo --message "Back in a minute"
       {command} --config {config} event resume demo

All this in the browser: {admin_url}/admin/
  with the key (a new one each time): {operator_key}
Open without a place: {url}/about
Settings, keys and positions: {config}
Ctrl-C ends it; started again, everybody keeps their place.\
"""


async def _run(settings: "Settings", announce: Callable[[str, str], None]) -> None:
    import asyncio
    import signal

    import msgspec

    from gateway.run import run_gateway

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(interrupt, stop.set)
    async with _ledger(settings) as url, _site(settings) as backend:
        await _create_event(url, settings.ledger.timeout_s)
        settings = msgspec.structs.replace(
            settings,
            ledger=msgspec.structs.replace(settings.ledger, url=url),
            proxy=msgspec.structs.replace(settings.proxy, backend=backend),
        )
        if not stop.is_set():
            await run_gateway(settings, on_ready=announce, stop=stop)


@asynccontextmanager
async def _ledger(settings: "Settings") -> AsyncGenerator[str]:
    """Run the embedded server, unless the settings name another one."""
    import asyncio

    from gateway.ledger.embedded import EmbeddedServer

    if settings.ledger.url:
        yield settings.ledger.url
        return
    server = EmbeddedServer(Path(settings.ledger.data_dir))
    await asyncio.to_thread(server.start)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def _site(settings: "Settings") -> AsyncGenerator[str]:
    """Run the sample site on a free port, unless the settings name another backend."""
    if settings.proxy.backend:
        yield settings.proxy.backend
        return
    from gateway.sample.server import serve_sample

    async with serve_sample(_LOOPBACK) as url:
        yield url


async def _create_event(url: str, timeout_s: float) -> None:
    from gateway.ledger.redis import RedisLedger

    ledger = RedisLedger(url, timeout_s=timeout_s)
    try:
        # On a later run it is there, with everybody's positions, and stays as it is.
        await ledger.create(demo_folder.EVENT, demo_folder.POLICY, opened=True)
    finally:
        await ledger.aclose()


def _with_ports(
    session: Session, settings: "Settings", port: int | None, admin_port: int | None
) -> "Settings":
    import msgspec

    server = settings.server
    server = msgspec.structs.replace(
        server,
        workers=1,
        port=_usable_port(session, server.host, port, server.port, "--port"),
        admin_port=_usable_port(
            session, server.admin_host, admin_port, server.admin_port, "--admin-port"
        ),
    )
    return msgspec.structs.replace(settings, server=server)


def _usable_port(session: Session, host: str, asked: int | None, usual: int, flag: str) -> int:
    """Return the port to listen on; 0, a free one, when only the usual one is taken."""
    port = usual if asked is None else asked
    if port == 0 or not _is_taken(host, port):
        return port
    if asked is not None:
        raise Failed(f"port {port} is taken: stop what listens there, or choose another {flag}")
    note(session, f"Port {port} is taken; a free one is used instead (or choose one: {flag}).")
    return 0


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # What a server sets too: a connection that is closing down does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            return exc.errno == errno.EADDRINUSE
    return False
