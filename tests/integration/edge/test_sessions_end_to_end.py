"""Sessions as a sale has them: two gateways as an operator runs them, a booking site behind their proxy,
and browsers that forget a cookie when its time is over."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.ports import StateChange
from tests.support.command_line import Operator as Terminal
from tests.support.eventually import eventually
from tests.support.gateways import Backend, Server, Tables, event_table, let_through, write_settings
from tests.support.operators import Operator
from tests.support.replies import Reply
from tests.support.running import Running
from tests.support.servers import RealServer
from tests.support.visitors import NAVIGATION, Headers, Visitor

BOUND_S = 1.0
EVENTS = [f"sale-{number}" for number in range(1, 17)]
OVER = (410, "window-missed")
FULL = (429, "backend-full")
WAITS = (429, "not-yet")

# What a browser sends with a form of the bank's page: no cookie, since ours are SameSite=Lax.
FROM_THE_BANK = {
    **NAVIGATION,
    "origin": "https://bank.example",
    "sec-fetch-site": "cross-site",
    "content-type": "application/x-www-form-urlencoded",
}


class Browser(Visitor):
    """A visitor whose jar keeps no cookie beyond its `Max-Age`."""

    def __init__(self, port: int, host: str, *, event: str = "") -> None:
        super().__init__(port, host, event=event)
        self._ends: dict[str, float] = {}

    def ask(
        self,
        method: str,
        target: str,
        headers: Headers | None = None,
        body: bytes | str | None = None,
    ) -> Reply:
        for name, ends_at in list(self._ends.items()):
            if time.monotonic() >= ends_at:
                self.cookies.pop(name, None)
                del self._ends[name]
        reply = super().ask(method, target, headers, body)
        for cookie in reply.cookies.values():
            self._ends[cookie.name] = time.monotonic() + int(cookie.attributes["max-age"])
        return reply

    def at(self, port: int) -> "Browser":
        """Return the same browser, led to another gateway."""
        other = Browser(port, self.host, event=self.event)
        other.cookies, other._ends = self.cookies, self._ends
        return other


class Night:
    """One event in front of the shop, at two gateways."""

    def __init__(
        self, event: str, ports: list[int], operator: Operator, terminal: Terminal, shop: Backend
    ) -> None:
        self.event = event
        self.ports = ports
        self.operator = operator
        self.terminal = terminal
        self.shop = shop

    def browser(self, index: int = 0) -> Browser:
        return Browser(self.ports[index], f"{self.event}.example", event=self.event)

    def everywhere(self, browser: Browser) -> list[Browser]:
        return [browser.at(port) for port in self.ports]

    def inside(self) -> Browser:
        """Return a browser that has been let through."""
        browser = self.browser()
        browser.join()
        self.operator.release(self.event)
        within_bound(lambda: let_through(browser.get("/book")))
        return browser

    @property
    def active(self) -> int:
        return self.operator.read(self.event).active_sessions


OpenNight = Callable[..., Night]


def within_bound(predicate: Callable[[], object]) -> None:
    eventually(predicate, BOUND_S)


def meets(
    visitor: Visitor, verdict: tuple[int, str], headers: dict[str, str] | None = None
) -> Callable[[], bool]:
    """Return whether the visitor is refused so."""

    def is_met() -> bool:
        reply = visitor.get("/book", headers)
        return reply.status == verdict[0] and reply.verdict == verdict

    return is_met


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Backend, int]]:
    backend = Backend()
    server = Server(backend)
    server.start()
    yield backend, server.port
    server.stop()


@pytest.fixture(scope="module")
def folder(common_tables: Tables, short_folder: Path, shop: tuple[Backend, int]) -> Path:
    made = short_folder / "end-to-end"
    made.mkdir()
    tables = {
        f"events.{name}": event_table(
            f"{name}.example", open=["POST /paid"], finish=["/pay", "/done/"]
        )
        for name in EVENTS
    }
    proxy: Tables = {"proxy": {"backend": f"http://127.0.0.1:{shop[1]}"}, "joins": {"burst": 0}}
    write_settings(made / "gateway.toml", {**common_tables, **proxy, **tables})
    return made


@pytest.fixture(scope="module")
def ports(valkey: RealServer, folder: Path) -> Iterator[list[int]]:
    valkey.reset()
    words: list[str | Path | int] = [
        "--config",
        folder / "gateway.toml",
        "--json",
        "run",
        "--port",
        0,
        "--admin-port",
        0,
    ]
    started: list[Running] = []
    try:
        for _ in range(2):
            started.append(Running(words, folder))
        yield [int(running.document["url"].rpartition(":")[2]) for running in started]
    finally:
        for running in started:
            running.end()
            assert running.process.stdout is not None
            running.process.stdout.close()


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter(EVENTS)


@pytest.fixture
def open_night(
    ports: list[int],
    operator: Operator,
    folder: Path,
    names: Iterator[str],
    shop: tuple[Backend, int],
) -> OpenNight:
    """Create an open event that both gateways have read; keywords are its policy."""

    def create(**policy: Any) -> Night:
        night = Night(next(names), ports, operator, Terminal(folder), shop[0])
        operator.create(night.event, **policy)
        for index in range(len(ports)):
            browser = night.browser(index)
            eventually(partial(_is_known, browser))
        return night

    return create


def _is_known(browser: Browser) -> bool:
    return browser.call("").status == 200


def _lets_in_somebody(browsers: Sequence[Browser]) -> bool:
    return any(let_through(browser.get("/book")) for browser in browsers)


def _knows_pointer(browser: Browser, served_up_to: int) -> bool:
    return bool(browser.call("").json()["served_up_to"] == served_up_to)


# --- The end while somebody pays ------------------------------------------------------------------


def test_whose_session_ends_on_the_payment_page_finishes_the_purchase(
    open_night: OpenNight,
) -> None:
    night = open_night(session_s=2, finish_grace_s=60, max_sessions=1)
    buyer = night.inside()
    standing = buyer.call("position").json()
    assert let_through(buyer.get("/pay"))
    eventually(meets(buyer, OVER))
    # Cookies count whole seconds from their arrival: by now one that ended with the pass is gone.
    eventually(lambda: time.time() > standing["session_ends_at"] + 2)
    # The place is free for the next one; who is paying pays.
    assert night.active == 0
    follower = night.inside()
    for browser in night.everywhere(buyer):
        reply = browser.ask(
            "POST", "/pay", {"content-type": "application/x-www-form-urlencoded"}, "card=4111"
        )
        assert let_through(reply)
        assert night.shop.last.queue_headers["queue-position"] == str(standing["position"])
        assert let_through(browser.get("/done/receipt"))
        assert browser.get("/book").verdict == OVER
    assert let_through(follower.get("/book"))


def test_who_comes_back_from_the_bank_is_not_sent_to_the_queue(open_night: OpenNight) -> None:
    night = open_night()
    buyer = night.inside()
    for port in night.ports:
        bank = Visitor(port, buyer.host)
        assert let_through(bank.ask("POST", "/paid", FROM_THE_BANK, "order=7&state=ok"))
        seen = night.shop.last
        assert (seen.method, seen.target, seen.all("content-length")) == ("POST", "/paid", ["16"])
        assert seen.queue_headers == {}
        # Anything else from there is.
        assert bank.ask("POST", "/pay", FROM_THE_BANK, "order=7").status == 303
    # The bank's page sends on by a GET, and with that the cookies come along.
    back = {**NAVIGATION, "sec-fetch-site": "cross-site"}
    assert let_through(buyer.get("/done/receipt", back))


# --- Ended early ----------------------------------------------------------------------------------


def _by_the_site(night: Night, browser: Browser) -> None:
    night.shop.says["/goodbye"] = [("Queue-Session", "end")]
    assert let_through(browser.get("/goodbye"))


def _by_the_interface(night: Night, browser: Browser) -> None:
    caller = night.browser(1)
    assert caller.call("leave", {"queue-token": browser.held}).json()["left"] == "session"


def _by_the_visitor(night: Night, browser: Browser) -> None:
    form = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}
    leave = f"/queue/{night.event}/leave"
    assert browser.ask("POST", leave, {**form, "sec-fetch-site": "same-origin"}).status == 303


def _by_an_operator(night: Night, browser: Browser) -> None:
    position = browser.call("position").json()["position"]
    ended = night.terminal("session", "end", night.event, position, "--yes", "--reason", "a bot")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("end", [_by_the_site, _by_the_interface, _by_the_visitor, _by_an_operator])
def test_a_session_that_is_ended_early_is_over_at_every_edge_and_its_place_is_free(
    open_night: OpenNight, end: Callable[[Night, Browser], None]
) -> None:
    night = open_night(max_sessions=1)
    first, second = night.inside(), night.browser(1)
    second.join()
    night.operator.release(night.event)
    within_bound(meets(second, FULL))
    held = {"queue-token": first.held}
    end(night, first)
    assert night.active == 0
    for port in night.ports:
        somebody = Visitor(port, first.host)
        within_bound(meets(somebody, OVER, held))
        assert somebody.get("/pay", held).verdict == OVER
    assert let_through(second.get("/book"))
    assert night.active == 1


# --- Made longer by an operator -------------------------------------------------------------------


def test_what_an_operator_adds_reaches_the_visitor_when_the_pass_ends(
    open_night: OpenNight,
) -> None:
    night = open_night(session_s=8, extend_times=0)
    visitor = night.inside()
    held = visitor.held
    words = ("session", "extend", night.event, 1, "--for", "10m", "--json")
    assert night.terminal(*words).document["extended"]

    def has_a_longer_pass() -> bool:
        for browser in night.everywhere(visitor):
            assert let_through(browser.get("/book"))
        return visitor.held != held

    eventually(has_a_longer_pass, 30)
    left_s = visitor.call("position").json()["session_seconds_left"]
    assert left_s > 500
    assert night.operator.read(night.event).claims == 1


# --- Released by mistake --------------------------------------------------------------------------


def test_a_hundred_times_too_many_flood_nothing_and_nobody_loses_the_turn(
    open_night: OpenNight,
) -> None:
    limit, people = 4, 24
    night = open_night(max_sessions=limit)
    crowd = [night.browser(index % 2) for index in range(people)]
    for browser in crowd:
        browser.join()
    assert night.operator.release(night.event, 100 * people) == people
    for browser in night.everywhere(crowd[-1]):
        within_bound(partial(_knows_pointer, browser, people))
    inside = [browser for browser in crowd if let_through(browser.get("/book"))]
    assert len(inside) == night.active == limit

    night.operator.change(night.event, StateChange.PAUSE)
    outside = [browser for browser in crowd if browser not in inside]
    assert all(meets(browser, FULL)() or meets(browser, WAITS)() for browser in outside)
    for browser in night.everywhere(outside[0]):
        within_bound(meets(browser, WAITS))
    assert inside.pop().call("leave").json()["left"] == "session"
    assert all(meets(browser, WAITS)() for browser in outside)
    assert all(let_through(browser.get("/book")) for browser in inside)
    assert night.active == limit - 1

    night.operator.change(night.event, StateChange.RESUME)
    been_in = people - len(outside)
    while outside:
        eventually(partial(_lets_in_somebody, outside))
        seated = [browser for browser in outside if let_through(browser.get("/book"))]
        assert night.active <= limit
        been_in += len(seated)
        outside = [browser for browser in outside if browser not in seated]
        for browser in (*inside, *seated):
            assert browser.call("leave").json()["left"] == "session"
        inside = []
    assert been_in == people == night.operator.read(night.event).claims
