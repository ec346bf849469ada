"""Gateways as an operator runs them: `gateway run` in processes of their own, which may be killed."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from pathlib import Path

from aiohttp import web

from tests.support.gateways import Tables, write_settings
from tests.support.running import Running

POSITION_FIELD = "Queue-Position"

# Python runs it before anything else of a process.
_WRONG_CLOCK = """\
import time
_right = time.time
time.time = lambda: _right() + {off_s}
"""


class FleetGateway:
    """One gateway of a fleet, with a folder, a settings file and floors of its own.

    Args:
        clock_off_s: By how much its wall clock is wrong.

    Attributes:
        name: Stays the same through all its lives.
    """

    def __init__(
        self, name: str, folder: Path, tables: Tables, *, clock_off_s: float = 0.0
    ) -> None:
        self.name = name
        self._lives = 0
        self._url = ""
        self._folder = folder
        self._running: Running | None = None
        folder.mkdir()
        self._config = folder / "gateway.toml"
        ledger: Mapping[str, object] = tables.get("ledger", {})
        own = {**tables, "ledger": {**ledger, "floor_dir": str(folder / "floors")}}
        write_settings(self._config, own)
        self._env: dict[str, str] = {}
        if clock_off_s:
            site = folder / "site"
            site.mkdir()
            (site / "sitecustomize.py").write_text(_WRONG_CLOCK.format(off_s=clock_off_s))
            self._env["PYTHONPATH"] = str(site)

    @property
    def life(self) -> str:
        """Names this life: a process that was started anew remembers nothing of the one before."""
        return f"{self.name}.{self._lives}"

    @property
    def url(self) -> str:
        """Where it answers, or did in its last life: visitors knock there while it is down."""
        return self._url

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.process.poll() is None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.process.pid

    @property
    def log(self) -> str:
        return (self._folder / "errors.log").read_text()

    async def start(self) -> None:
        """Return once it answers."""
        words: list[str | Path | int] = ["--config", self._config, "--json", "run"]
        words += ["--port", 0, "--admin-port", 0]
        self._running = await asyncio.to_thread(Running, words, self._folder, self._env)
        self._lives += 1
        self._url = str(self._running.document["url"])

    async def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit status."""
        running, self._running = self._running, None
        if running is None:
            return 0
        status = await asyncio.to_thread(running.end, by)
        assert running.process.stdout is not None
        running.process.stdout.close()
        return status

    async def restart(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default without a chance to do anything, and start it anew."""
        await self.end(by)
        await self.start()


@asynccontextmanager
async def running_fleet(
    folder: Path, names: str, tables: Tables, *, clocks_off_s: Sequence[float] = ()
) -> AsyncIterator[list[FleetGateway]]:
    """Run one gateway for each letter of `names`, all with the same keys, ledger and backend."""
    fleet = [
        FleetGateway(name, folder / name, tables, clock_off_s=off_s)
        for name, off_s in zip_longest(names, clocks_off_s, fillvalue=0.0)
        if isinstance(name, str)
    ]
    try:
        await asyncio.gather(*(gateway.start() for gateway in fleet))
        yield fleet
    finally:
        await asyncio.gather(*(gateway.end() for gateway in fleet))


@asynccontextmanager
async def running_site() -> AsyncIterator[str]:
    """Run a booking site that says what it was told of who comes; yield its URL."""

    async def page(request: web.Request) -> web.Response:
        return web.json_response({"position": request.headers.get(POSITION_FIELD)})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
