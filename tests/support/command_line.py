"""An operator at a terminal: commands typed in a folder, and what they leave behind."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gateway.cli.root import run_command_line
from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest

COMMAND_TIMEOUT_S = 30

CONFIG = """\
[keys]
dir = "keys"
[ledger]
data_dir = "ledger"
[events.sale]
hosts = ["shop.example"]
"""


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


class Operator:
    """Types commands in `folder`, as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gateway.toml"

    def __call__(
        self, *words: str | Path | int, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *map(str, words)],
            cwd=self.folder,
            env=clean_environment(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


class Typist(Operator):
    """Types them in this process: many short cases, or what has to be there before a test, quickly."""

    def __call__(
        self, *words: str | Path | int, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with (
            chdir(self.folder),
            patch.object(sys, "stdin", io.StringIO(stdin)),
            patch.dict(os.environ),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
                del os.environ[name]
            os.environ.update(env or {})
            code = run_command_line([str(word) for word in words])
        return Ran(code, out.getvalue(), err.getvalue())


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**kept, "TZ": "Europe/Paris", **(extra or {})}


class Sale:
    """One event of the shared ledger, seen from behind the command line."""

    def __init__(self, url: str, event: str) -> None:
        self.url = url
        self.event = event

    def ask(self, question: Callable[[RedisLedger], Any]) -> Any:
        async def run() -> Any:
            ledger = RedisLedger(self.url)
            try:
                return await question(ledger)
            finally:
                await ledger.aclose()

        return asyncio.run(run())

    def join(self, people: int) -> None:
        async def join_all(ledger: RedisLedger) -> None:
            joins = (ledger.join(EventId(self.event), JoinRequest("v")) for _ in range(people))
            await asyncio.gather(*joins)

        self.ask(join_all)

    def snapshot(self) -> EventSnapshot:
        snapshot = self.ask(lambda ledger: ledger.read(EventId(self.event)))
        assert isinstance(snapshot, EventSnapshot)
        return snapshot
