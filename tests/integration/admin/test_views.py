"""What operators are shown is what the command line shows."""

import time
from typing import Any

import pytest
from openapi_spec_validator import validate

from gateway.admin.openapi import SAID
from gateway.admin.views import SHORT
from gateway.ledger.embedded import embedded_url
from tests.support.admin import AdminPort, House, open_house, patiently
from tests.support.command_line import Sale
from tests.support.running import ask

# What goes on by itself between two looks.
MOVING = {"event_clock_s", "at", "gateways", "oldest_wait", "arrivals_per_min", "let_in_per_min"}


def still(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in MOVING}


def sale(house: House, event: str) -> Sale:
    return Sale(embedded_url(house.folder / "ledger"), event)


def test_an_event_is_what_status_and_watch_say(house: House, port: AdminPort, event: str) -> None:
    sale(house, event).join(7)
    port.ask("POST", f"/events/{event}/release", {"by": 3})

    shown = port.ask("GET", f"/events/{event}", role="view").json()

    assert (shown["issued"], shown["served_up_to"], shown["waiting"]) == (7, 3, 4)
    status = house.operator("status", event, "--json").document
    watched = house.operator("watch", event, "--once", "--json").document
    assert still(status).items() <= still(shown).items()
    assert shown.keys() == watched.keys()
    assert still(watched) == still(shown)


def test_the_series_are_asked_for(port: AdminPort, event: str) -> None:
    shown = port.ask("GET", f"/events/{event}?series=1").json()

    assert shown["series"].keys() == {"waiting", "active_sessions", "arrivals", "let_in"}
    assert all(len(values) == 40 for values in shown["series"].values())
    assert "series" not in port.ask("GET", f"/events/{event}").json()


def test_the_list_says_of_each_what_its_status_says(
    house: House, port: AdminPort, event: str
) -> None:
    events = {shown["event"]: shown for shown in port.ask("GET", "/events").json()["events"]}

    status = house.operator("status", event, "--json").document
    assert events[event] == {name: status[name] for name in SHORT}


def test_the_log_is_the_one_of_the_command(house: House, port: AdminPort, event: str) -> None:
    for _ in range(3):
        port.ask("POST", f"/events/{event}/state", {"change": "pause"})
        port.ask("POST", f"/events/{event}/state", {"change": "resume"})

    shown = port.ask("GET", f"/events/{event}/log", role="view").json()

    assert shown == house.operator("log", event, "--json").document
    assert shown["whole"] is True
    latest = port.ask("GET", f"/events/{event}/log?limit=2").json()
    assert latest["entries"] == shown["entries"][-2:]
    for limit in ("0", "-1", "x", "1e3", "9" * 20):
        assert port.ask("GET", f"/events/{event}/log?limit={limit}").problem == "bad-input"


def test_the_course_is_what_a_report_is_made_of(house: House, port: AdminPort, event: str) -> None:
    assert port.ask("GET", f"/events/{event}/course").json() == {
        "event": event,
        "summary": None,
        "course": None,
    }

    def told() -> Any:
        # A sample is taken every ten seconds; who asks without a pause is refused.
        time.sleep(0.3)
        sale(house, event).join(1)
        return port.ask("GET", f"/events/{event}/course").json()["course"]

    patiently(told, 40)
    document = port.ask("GET", f"/events/{event}/course").json()
    reported = house.operator("report", event, "--out", "-", "--json").document
    assert document["summary"] == {
        name: value for name, value in reported.items() if name != "file"
    }
    ticks = document["course"]["ticks"]
    assert ticks[-1]["issued"] == document["summary"]["issued"]
    assert ticks[0]["arrivals_per_min"] is None


def test_an_event_that_is_not_there_is_not_found(port: AdminPort) -> None:
    for path in ("/events/nowhere", "/events/nowhere/course", "/events/nowhere/sessions/1"):
        reply = port.ask("GET", path)
        assert (reply.status, reply.problem) == (404, "no-such-event")


def test_the_document_is_sound_and_its_answers_are_what_it_says(
    port: AdminPort, event: str
) -> None:
    reply = port.send("GET", "/admin/openapi.json")
    document = reply.json()
    validate(document)
    assert reply.header("content-type") == "application/json"
    for call, said in SAID.items():
        method, _, path = call.partition(" ")
        assert document["paths"][path][method.lower()]["operationId"] == said.name
        if method == "GET" and "position" not in path:
            shown = port.ask("GET", path.removeprefix("/admin").format(event=event)).json()
            assert shown.keys() >= set(said.fields), call


def test_head_is_answered_wherever_get_is(port: AdminPort, event: str) -> None:
    reply = port.ask("HEAD", f"/events/{event}")

    assert (reply.status, reply.body) == (200, b"")
    refused = port.ask("PUT", f"/events/{event}")
    assert (refused.status, refused.header("allow")) == (405, "DELETE, GET, HEAD")


@pytest.mark.parametrize("workers", [2])
def test_with_several_workers_the_parent_answers_and_all_follow(workers: int) -> None:
    with open_house("--workers", workers) as house:
        port = house.port
        event = port.create("sale", max_sessions=5)
        browser = port.sign_in()
        sale(house, event).join(4)
        assert browser.ask("POST", f"/events/{event}/release", {"by": 2}).json()["after"] == 2
        shown = port.ask("GET", f"/events/{event}").json()
        assert (shown["waiting"], shown["served_up_to"]) == (2, 2)
        patiently(lambda: len(port.ask("GET", f"/events/{event}").json()["gateways"]) == 3)

        def pointers() -> set[int]:
            asked = [ask(f"{house.url}/queue/{event}") for _ in range(8)]
            return {answer.document["served_up_to"] for answer in asked}

        patiently(lambda: pointers() == {2})
