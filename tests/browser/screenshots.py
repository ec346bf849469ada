"""Takes pictures of the waiting page in its main states, to be looked at.

In light and dark, wide and small, and from right to left:

    python -m tests.browser.screenshots FOLDER
"""

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from gateway.ports import StateChange
from tests.browser.browsers import FLAGS, Browsers, Tab
from tests.browser.conftest import operator_of
from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.staging import Stage, own_server

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SMALL = {"width": 320, "height": 640}

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "phone": {"color_scheme": "light", "viewport": PHONE, "locale": "de"},
    "small": {"color_scheme": "dark", "viewport": SMALL, "locale": "fr"},
    "rtl": {"color_scheme": "light", "viewport": PHONE, "locale": "ar"},
    "japanese": {"color_scheme": "light", "viewport": PHONE, "locale": "ja"},
}


def _waiting(stage: Stage, tab: Tab) -> None:
    for _ in range(30):
        stage.waiting()
    tab.wait_in()
    for _ in range(3):
        stage.release(5)
        stage.elapse(30)
    stage.release(2)


def _paused(stage: Stage, tab: Tab) -> None:
    _waiting(stage, tab)
    stage.change(StateChange.PAUSE, message="The ticket office takes a short break. Back at 20:15.")
    tab.shows("paused")


def _leaving(stage: Stage, tab: Tab) -> None:
    tab.wait_in().press("leave")


def _turn(stage: Stage, tab: Tab) -> None:
    tab.wait_in()
    stage.release()
    tab.shows("turn")


def _scheduled(stage: Stage, tab: Tab) -> None:
    tab.look("/").shows("scheduled")


def _closed(stage: Stage, tab: Tab) -> None:
    stage.change(StateChange.CLOSE, message="Sold out. Thank you for coming.")
    tab.look("/").shows("closed")


def _not_in(stage: Stage, tab: Tab) -> None:
    tab.look().shows("not_in")


def _anew(stage: Stage, tab: Tab) -> None:
    tab.wait_in()
    stage.begin_new_generation()
    tab.shows("anew")


def _plain(stage: Stage, tab: Tab) -> None:
    _waiting(stage, tab)
    tab.look("/", path="room/plain")


STATES: dict[str, Callable[[Stage, Tab], None]] = {
    "not-in": _not_in,
    "waiting": _waiting,
    "scheduled": _scheduled,
    "paused": _paused,
    "leaving": _leaving,
    "turn": _turn,
    "anew": _anew,
    "closed": _closed,
    "plain": _plain,
}


@contextlib.contextmanager
def _stages(folder: Path) -> Iterator[Callable[[str], Stage]]:
    """Start a gateway, and yield what makes a fresh event in the state that a picture begins with."""
    count = len(LOOKS) * len(STATES)
    names = [f"sale-{number}" for number in range(1, count + 1)]
    with own_server(folder) as server, operator_of(server) as operator:
        mint = Mint(folder / "keys")
        tables: Tables = {
            "keys": {"dir": str(mint.folder)},
            "ledger": {"url": server.url},
            **{f"events.{name}": event_table(f"{name}.localhost") for name in names},
        }
        gateway = Gateway(write_settings(folder / "gateway.toml", tables))
        with gateway.running():
            yield lambda state: _stage(gateway, operator, mint, names.pop(), state)


def _stage(gateway: Gateway, operator: Operator, mint: Mint, event: str, state: str) -> Stage:
    opens_at = int(time.time()) + 5000 if state == "scheduled" else 0
    operator.create(event, opened=not opens_at, opens_at=opens_at)
    eventually(lambda: gateway.knows(event) is not None)
    return Stage(gateway, operator, mint, event)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    binary = shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory(prefix="gws-", dir="/tmp") as place,
        _stages(Path(place)) as new_stage,
        sync_playwright() as driver,
    ):
        browsers = Browsers(driver.chromium.launch(executable_path=binary, args=FLAGS))
        for look, options in LOOKS.items():
            for state, bring in STATES.items():
                stage = new_stage(state)
                tab = browsers.tab(stage, **options)
                bring(stage, tab)
                tab.page.wait_for_timeout(300)
                tab.page.screenshot(path=folder / f"{state}-{look}.png")
                browsers.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
