"""A sale: a crowd arrives, joins, waits for the pointer, gets in, books, and leaves.

    gateway demo --json --port 8080 --data-dir /tmp/sale &
    locust -f loadtests/sale.py --headless --host http://127.0.0.1:8080 -u 300 -r 50 -t 60s \\
        --gateway-config /tmp/sale/gateway.toml --release 20 --release-every 2

Everyone comes once; the run ends when the last one has left, or with `-t`. The exit status is 1 when
a position was given twice, somebody got in out of turn, or somebody's turn did not let them in, and
when an answer was not one that a sale may see.
"""

import json
import random
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events
from locust.exception import StopUser

_OWN_GATEWAY = Path(__file__).parent.parent / ".venv" / "bin" / "gateway"

# The numbers in a gateway's memory are at most about a second old; another worker's may be older
# than the one that answered just before.
LAG_S = 2.0

# A person looks at a page before the next click.
LOOKS_S = (0.1, 0.5)

SEATS = [f"{row}{column}" for row in "ABCD" for column in range(1, 9)]


@dataclass(slots=True)
class Sale:
    """What came of the sale; every visitor writes into it."""

    arrived: int = 0
    joined: int = 0
    positions: Counter[int] = field(default_factory=Counter[int])
    turned_back_early: int = 0
    admitted: int = 0
    left: int = 0
    out_of_turn: list[str] = field(default_factory=list[str])
    refused_in_turn: list[str] = field(default_factory=list[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    released: int = 0

    @property
    def repeated(self) -> list[int]:
        return [position for position, times in self.positions.items() if times > 1]

    @property
    def is_good(self) -> bool:
        return not (self.repeated or self.out_of_turn or self.refused_in_turn or self.errors)

    def report(self) -> str:
        lines = {
            "arrived": self.arrived,
            "joined": self.joined,
            "unique positions": len(self.positions),
            "positions given twice": self.repeated or 0,
            "released": self.released,
            "admitted": self.admitted,
            "left": self.left,
            "turned back before their turn, as is right": self.turned_back_early,
            "got in out of turn (must be 0)": self.out_of_turn or 0,
            "refused in their turn (must be 0)": self.refused_in_turn or 0,
            "errors": dict(self.errors) or 0,
        }
        return "\n".join(f"{name + ':':45} {value}" for name, value in lines.items())


SALE = Sale()


class Unexpected(Exception):
    """An answer that a sale must not see; ends the visit."""


# `unused-ignore`, as the first one is needed only where locust is not installed.
class Visitor(FastHttpUser):  # type: ignore[misc, unused-ignore]
    """One person, who comes once."""

    def visit(self) -> None:
        # While the crowd is still growing, locust sends somebody new for each one who has left.
        if SALE.arrived >= self._options.num_users:
            raise StopUser
        try:
            self._come_and_go()
        except Unexpected as exc:
            SALE.errors[str(exc)] += 1
        raise StopUser

    tasks = [visit]  # noqa: RUF012 - how locust wants it

    def _come_and_go(self) -> None:
        SALE.arrived += 1
        self._arrive()
        turn = self._join()
        self._wait(turn)
        self._enter(turn)
        self._book()
        self._leave()

    def _arrive(self) -> None:
        """Go to the page on sale, and be sent to the waiting page."""
        page = self._ask("GET", self._page, (303,), "arrive", headers={"Accept": "text/html"})
        self._ask("GET", page.headers["location"], (200,), "waiting page")

    def _join(self) -> int:
        """Return the turn. The event must have no draw to come."""
        joined = self._ask("POST", f"/queue/{self._event}/join", (201,), "join").json()
        SALE.joined += 1
        SALE.positions[joined["position"]] += 1
        self._retry_after_s = float(joined["retry_after"] or 1)
        return int(joined["turn"])

    def _wait(self, turn: int) -> None:
        """Poll the public document until the pointer has come; some try the door meanwhile."""
        while not self._is_served(turn):
            if random.random() < self._options.impatience:
                self._try_the_door(turn)
            gevent.sleep(self._retry_after_s * random.uniform(0.8, 1.2))

    def _try_the_door(self, turn: int) -> None:
        answer = self._ask("GET", self._page, (200, 429), "door, too early")
        if answer.status_code == 429:
            SALE.turned_back_early += 1
            self._retry_after_s = float(answer.headers["retry-after"])
            return
        if not self._is_served_soon(turn):
            SALE.out_of_turn.append(f"turn {turn}")

    def _enter(self, turn: int) -> None:
        """Go in; a full site is waited for, any other refusal must pass within the lag."""
        deadline = time.monotonic() + LAG_S
        while True:
            answer = self._ask("GET", self._page, (200, 429), "door")
            if answer.status_code == 200:
                break
            problem = answer.json()["type"]
            if problem != "backend-full" and time.monotonic() > deadline:
                SALE.refused_in_turn.append(f"turn {turn}: {problem}")
                raise StopUser
            gevent.sleep(float(answer.headers["retry-after"]) if problem == "backend-full" else 0.5)
        SALE.admitted += 1
        if not self._is_served_soon(turn):
            SALE.out_of_turn.append(f"turn {turn}")

    def _book(self) -> None:
        for _ in range(self._options.pages):
            self._look()
            self._ask("GET", self._page, (200,), "page")
        if self._options.book:
            self._look()
            seat = random.choice(SEATS)
            # 409: the seat went to somebody else, which is the site's own affair.
            self._ask("POST", self._page, (303, 409), "book", data={"seat": seat})
            self._look()

    def _leave(self) -> None:
        left = self._ask("POST", f"/queue/{self._event}/leave", (200,), "leave").json()
        if left["left"] != "session":
            raise Unexpected("leave: there was no session")
        SALE.left += 1

    def _is_served(self, turn: int) -> bool:
        document = self._ask("GET", f"/queue/{self._event}", (200,), "pointer document").json()
        return int(document["served_up_to"]) >= turn

    def _is_served_soon(self, turn: int) -> bool:
        deadline = time.monotonic() + LAG_S
        while not (served := self._is_served(turn)) and time.monotonic() < deadline:
            gevent.sleep(0.2)
        return served

    def _ask(
        self, method: str, path: str, expected: tuple[int, ...], name: str, **more: Any
    ) -> Any:
        with self.client.request(
            method, path, name=name, allow_redirects=False, catch_response=True, **more
        ) as answer:
            if answer.status_code in expected:
                answer.success()
                return answer
            # 0: no answer at all.
            answer.failure(f"status {answer.status_code}")
        raise Unexpected(f"{name}: status {answer.status_code}")

    def _look(self) -> None:
        gevent.sleep(random.uniform(*LOOKS_S))

    @property
    def _options(self) -> Any:
        return self.environment.parsed_options

    @property
    def _event(self) -> str:
        return str(self._options.event)

    @property
    def _page(self) -> str:
        return str(self._options.page)


def add_options(parser: Any) -> None:
    group = parser.add_argument_group("sale")
    group.add_argument("--event", default="demo", help="its name")
    group.add_argument("--page", default="/book", help="a protected page of the site")
    group.add_argument("--pages", type=int, default=3, help="that each visitor looks at")
    group.add_argument(
        "--no-booking", dest="book", action="store_false", help="the site is not the sample"
    )
    group.add_argument("--impatience", type=float, default=0.3, help="tries at the door per poll")
    group.add_argument("--gateway-config", default="", help="settings file, to release with")
    group.add_argument(
        "--gateway-command",
        default=str(_OWN_GATEWAY) if _OWN_GATEWAY.exists() else "gateway",
        help="the CLI",
    )
    group.add_argument("--release", type=int, default=20, help="people at a time")
    group.add_argument("--release-every", type=float, default=2.0, help="seconds")


def start_releasing(environment: Any, **_: Any) -> None:
    """Release as an operator does, by the CLI, and end the run with the last visit."""
    options = environment.parsed_options
    if options.gateway_config:
        gevent.spawn(_release, options)
    else:
        print("no --gateway-config: somebody else must release")
    gevent.spawn(_end_with_the_last, environment)


def _release(options: Any) -> None:
    command = [
        *shlex.split(options.gateway_command),
        *("--config", options.gateway_config, "--json"),
        *("release", options.event, str(options.release)),
    ]
    while True:
        gevent.sleep(options.release_every)
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            SALE.errors[f"release: exit status {done.returncode}"] += 1
            print(done.stderr)
        else:
            answer: Mapping[str, Any] = json.loads(done.stdout)
            SALE.released += int(answer["people"])


def _end_with_the_last(environment: Any) -> None:
    wanted = environment.parsed_options.num_users or 1
    while SALE.arrived < wanted or environment.runner.user_count:
        gevent.sleep(0.5)
    environment.runner.quit()


def report(environment: Any, **_: Any) -> None:
    print(f"\n{SALE.report()}\n")
    environment.process_exit_code = 0 if SALE.is_good and SALE.joined else 1


for hook, listener in (
    (events.init_command_line_parser, add_options),
    (events.test_start, start_releasing),
    (events.quitting, report),
):
    hook.add_listener(listener)  # type: ignore[no-untyped-call, unused-ignore]
