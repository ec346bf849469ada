"""`gateway watch`: the numbers of `gateway status`, as they move."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import CONFIG, Operator, Sale, clean_environment
from tests.support.running import Running
from tests.support.staging import own_server

LIMIT_S = 30


class Screen:
    """A terminal with `gateway watch` in it."""

    def __init__(self, folder: Path, words: list[str], **env: str) -> None:
        self._main, far = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *words],
            cwd=folder,
            env=clean_environment({"TERM": "xterm-256color", "PYTHONUTF8": "1", **env}),
            stdin=far,
            stdout=far,
            stderr=far,
        )
        os.close(far)
        self.text = ""

    def shows(self, words: str) -> None:
        """Wait until it has written `words`."""
        deadline = time.monotonic() + LIMIT_S
        while words not in self.text:
            assert time.monotonic() < deadline, f"not shown: {words!r} in {self.text!r}"
            if select.select([self._main], [], [], 0.1)[0]:
                self.text += self._read()

    def end(self) -> int:
        """Interrupt it, as Ctrl-C does, and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(LIMIT_S)
        while select.select([self._main], [], [], 0)[0] and (text := self._read()):
            self.text += text
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)

    def _read(self) -> str:
        try:
            return os.read(self._main, 65_536).decode("utf-8", "replace")
        except OSError:
            # Linux says so when nobody holds the other end any more.
            return ""


@contextmanager
def terminal(folder: Path, *words: str, **env: str) -> Iterator[Screen]:
    screen = Screen(folder, list(words), **env)
    try:
        yield screen
    finally:
        screen.close()


def test_one_look_has_the_numbers_of_status(operator: Operator, sale: Sale) -> None:
    sale.join(7)
    operator("release", sale.event, 2)

    status = operator("status", sale.event, "--json").document
    watched = operator("watch", sale.event, "--once", "--json").document

    moving = {"event_clock_s"}
    same = {name: value for name, value in status.items() if name not in moving}
    assert same.items() <= watched.items()
    assert "waiting          5" in operator("watch", sale.event, "--once").out


def test_away_from_a_terminal_each_change_is_a_line(operator: Operator, sale: Sale) -> None:
    words = ("watch", sale.event, "--json", "--every", "0.2")
    running = Running(words, operator.folder)
    try:
        assert running.document["issued"] == 0
        sale.join(3)
        assert running.process.stdout is not None
        seen: list[int] = []
        while not seen or seen[-1] != 3:
            seen.append(json.loads(running.process.stdout.readline())["issued"])
        assert seen == sorted(set(seen))
        assert running.end(signal.SIGINT) == 0
        running.process.stdout.close()
    finally:
        running.close()


def test_an_event_that_only_observes_is_said_to(empty_folder: Path) -> None:
    operator = Operator(empty_folder)
    operator.config.write_text(CONFIG + 'mode = "observe"\n')
    assert operator("event", "create", "sale", "--open").code == 0
    assert operator("watch", "sale", "--once", "--json").document["mode"] == "observe"
    assert "EVERYBODY IS LET THROUGH" in operator("watch", "sale", "--once").out


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_ledger_that_goes_away_is_told_of_once_and_in_the_form_asked_for(
    empty_folder: Path, words: list[str]
) -> None:
    with own_server(empty_folder) as server:
        (empty_folder / "gateway.toml").write_text(f'[ledger]\nurl = "{server.url}"\n')
        assert Operator(empty_folder)("event", "create", "sale", "--open").code == 0
        running = Running(["watch", "sale", "--every", "0.2", *words], empty_folder)
        try:
            assert running.process.stdout is not None
            server.kill()
            told = running.process.stdout.readline()
            trouble = json.loads(told)["error"] if words else told
            assert trouble.startswith("The ledger cannot be read")
            server.start()
            # However long it was away, and whatever its causes, the next line is news of the event.
            back = running.process.stdout.readline()
            assert (json.loads(back)["state"] if words else back.split()[4]) == "open"
            assert running.end(signal.SIGINT) == 0
            running.process.stdout.close()
        finally:
            running.close()


def test_a_terminal_gets_a_screen_of_its_own_and_is_left_as_it_was(
    operator: Operator, sale: Sale
) -> None:
    with terminal(operator.folder, "watch", sale.event, "--every", "0.2") as screen:
        screen.shows("waiting          0")
        sale.join(4)
        screen.shows("waiting          4")
        assert screen.text.startswith("\x1b[?1049h\x1b[?25l")
        assert "\x1b[32mopen\x1b[0m" in screen.text
        assert screen.end() == 0
        assert screen.text.endswith("\x1b[?25h\x1b[?1049l")


def test_without_colour_the_screen_is_drawn_all_the_same(operator: Operator, sale: Sale) -> None:
    with terminal(operator.folder, "watch", sale.event, NO_COLOR="1") as screen:
        screen.shows("served up to")
        assert screen.end() == 0
        assert "\x1b[?1049h" in screen.text
        assert "\x1b[32m" not in screen.text


def test_a_dumb_terminal_gets_lines(operator: Operator, sale: Sale) -> None:
    with terminal(operator.folder, "watch", sale.event, TERM="dumb") as screen:
        screen.shows("waiting 0  served 0")
        assert screen.end() == 0
        assert "\x1b" not in screen.text


def test_what_is_not_there_cannot_be_watched(typed: Operator) -> None:
    assert typed("watch", "nowhere", "--once").code == 3


def test_a_lost_event_is_said_and_watched_on(operator: Operator, sale: Sale) -> None:
    with terminal(operator.folder, "watch", sale.event, "--every", "0.2") as screen:
        screen.shows("waiting          0")
        sale.ask(lambda ledger: ledger.redis.delete(f"q:{{{sale.event}}}:state"))
        screen.shows("The ledger cannot be read")
        assert screen.end() == 0
