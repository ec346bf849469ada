"""The JavaScript client in a real browser, at the event's own origin: the network cut, its page crashed."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browser.browsers import Browsers, Person, Tab
from tests.support.eventually import eventually
from tests.support.gateways import let_through
from tests.support.staging import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Route

CLIENT = Path(__file__).parents[2] / "clients" / "js"
VECTORS = Path(__file__).parents[1] / "vectors"

APP = """<!doctype html><title>app</title><script type="module">
import { QueueClient, inLocalStorage } from "/app/index.js";
const event = "%s";
window.views = [];
window.client = new QueueClient({ url: location.origin, event, storage: inLocalStorage() });
client.subscribe((view) => views.push(view));
views.push(await client.start());
window.ready = true;
</script>"""


class App(Tab):
    """A page of the site that uses the client."""

    @classmethod
    def of(cls, person: Person) -> "App":
        app = cls(person.context.new_page(), person.stage)
        app.page.route("**/app/**", app._serve)
        return app

    def _serve(self, route: "Route") -> None:
        name = urlsplit(route.request.url).path.removeprefix("/app/")
        if name == "page.html":
            route.fulfill(content_type="text/html", body=APP % self.stage.event)
        else:
            route.fulfill(content_type="text/javascript", body=(CLIENT / name).read_text("utf-8"))

    def open(self) -> "App":
        self.go("/app/page.html")
        self.page.wait_for_function("window.ready")
        return self

    def join(self) -> "App":
        self.page.evaluate("client.join().then(() => undefined)")
        return self

    def shown(self, condition: str) -> dict[str, Any]:
        """Return the first view, of those still to come and the latest, for which a condition holds."""
        self.page.wait_for_function(f"((view) => {condition})(client.view)")
        return dict(self.page.evaluate("client.view"))

    def crash(self) -> None:
        """End the page's process, as a system does that needs its memory."""
        with contextlib.suppress(Exception):
            self.page.goto("chrome://crash", timeout=2_000)
        self.page.close()


@pytest.fixture
def person(stage: Stage, browsers: Browsers) -> Person:
    return browsers.person(stage)


def test_a_place_is_joined_waited_for_and_claimed(stage: Stage, person: Person) -> None:
    for _ in range(2):
        stage.waiting()
    app = App.of(person).open().join()
    waiting = app.shown("view.ahead === 2")
    assert (waiting["status"], waiting["position"]) == ("waiting", 3)
    app.shown("view.connection === 'push'")
    stage.release(3)
    admitted = app.shown("view.status === 'admitted'")
    assert let_through(stage.visitor().get("/", {"queue-token": admitted["pass"]}))
    # No cookie came of it: the token travelled as a header.
    assert person.context.cookies() == []


def test_news_come_over_a_websocket_too(stage: Stage, person: Person) -> None:
    # A page that came over the network: one made by a test is no neighbour of this machine's sockets.
    app = App.of(person)
    app.go("/openapi.json")
    app.page.evaluate(
        """async (event) => {
          const { QueueClient } = await import("/app/index.js");
          window.client = new QueueClient({ url: location.origin, event, push: "websocket" });
          await client.start();
          await client.join();
        }""",
        stage.event,
    )
    app.shown("view.connection === 'push' && view.ahead === 0")
    stage.release()
    app.shown("view.status === 'admitted'")


def test_a_page_that_crashes_while_it_joins_has_one_place(stage: Stage, person: Person) -> None:
    for _ in range(4):
        app = App.of(person).open().join()
        app.crash()
    app = App.of(person).open()
    if app.page.evaluate("client.view.status") == "idle":
        app.join()
    assert app.shown("view.status === 'waiting'")["position"] == 1
    assert stage.operator.read(stage.event).issued == 1
    app.crash()
    stage.release()
    app = App.of(person).open()
    assert app.shown("view.status === 'admitted'")["position"] == 1
    assert stage.operator.read(stage.event).claims == 1


def test_a_join_whose_answer_is_lost_is_the_same_join(stage: Stage, person: Person) -> None:
    app = App.of(person).open()
    with app.losing_an_answer("join"):
        app.join()
        app.comes_to(lambda: stage.operator.read(stage.event).issued == 1)
        app.shown("view.connection === 'offline'")
        app.crash()
    app = App.of(person).open()
    assert app.shown("view.status === 'waiting'")["position"] == 1
    assert stage.operator.read(stage.event).issued == 1


def test_without_a_network_the_place_is_known_and_kept(stage: Stage, person: Person) -> None:
    stage.waiting()
    app = App.of(person).open().join()
    app.shown("view.ahead === 1")
    app.crash()
    # The page itself is at hand, and nothing else is.
    app = App.of(person)
    app.page.route("**/queue/**", lambda route: route.abort())
    app.page.route("**/.well-known/**", lambda route: route.abort())
    app.open()
    cold = app.page.evaluate("views[0]")
    assert (cold["status"], cold["position"], cold["ahead"]) == ("waiting", 2, 1)
    assert cold["age"] is None
    app.shown("view.connection === 'offline'")
    stage.release(2)
    app.page.unroute("**/queue/**")
    app.shown("view.status === 'admitted'")


def test_a_cut_network_is_told_and_gone_on_from(stage: Stage, person: Person) -> None:
    app = App.of(person).open().join()
    app.shown("view.connection === 'push'")
    person.context.set_offline(True)
    assert app.shown("view.connection === 'offline'")["position"] == 1
    stage.release()
    person.context.set_offline(False)
    app.shown("view.status === 'admitted'")


def test_a_browser_checks_signatures_as_the_vectors_say(stage: Stage, person: Person) -> None:
    app = App.of(person).open()
    check: Callable[..., Any] = app.page.evaluate
    keys = json.loads((VECTORS / "keys.json").read_text("utf-8"))["keys"]
    for name, reader, text in (
        ("tokens", "readToken", "token"),
        ("pointers", "readPointer", "statement"),
    ):
        vectors = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
        faults = check(
            """async ([reader, texts, keys, event, issuer]) => {
              const read = (await import("/app/index.js"))[reader];
              const expected = { keys, event, issuer, subtle: crypto.subtle };
              const faults = [];
              for (const text of texts) {
                faults.push(await read(text, expected).then(() => null, (failure) => failure.fault));
              }
              return faults;
            }""",
            [
                reader,
                [entry[text] for entry in (*vectors["genuine"], *vectors["refused"])],
                keys,
                vectors["event"],
                vectors["issuer"],
            ],
        )
        wanted = [None for _ in vectors["genuine"]] + [each["fault"] for each in vectors["refused"]]
        assert faults == wanted


def test_a_full_storage_moves_nothing(stage: Stage, person: Person) -> None:
    app = App.of(person).open()
    app.page.evaluate(
        """void (Storage.prototype.setItem = () => {
          throw new DOMException("full", "QuotaExceededError");
        })"""
    )
    refused = app.page.evaluate("client.join().then(() => '', (failure) => failure.name)")
    assert refused == "QuotaExceededError"
    assert app.page.evaluate("client.view.status") == "idle"
    eventually(lambda: stage.operator.read(stage.event).issued == 0)
