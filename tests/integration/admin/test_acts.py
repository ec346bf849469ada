"""What operators do over HTTP is what the commands do: the same effect, the same answer, the same log."""

import os
import signal
import time
from typing import Any

import pytest

from gateway.ledger.embedded import embedded_url
from gateway.ports import JoinRequest
from tests.support.admin import AdminPort, House, open_house, patiently
from tests.support.command_line import Sale


def sale(house: House, event: str) -> Sale:
    return Sale(embedded_url(house.folder / "ledger"), event)


def latest(port: AdminPort, event: str) -> Any:
    return port.ask("GET", f"/events/{event}/log?limit=1").json()["entries"][-1]


def test_a_release_lets_people_in_once_for_each_id(
    house: House, port: AdminPort, event: str
) -> None:
    sale(house, event).join(9)
    body = {"by": 4, "id": "doors-20:15", "reason": "doors"}

    first = port.ask("POST", f"/events/{event}/release", body, role="release")
    again = port.ask("POST", f"/events/{event}/release", body, role="release")
    other = port.ask("POST", f"/events/{event}/release", {**body, "by": 5}, role="release")

    assert (first.json()["people"], first.json()["after"], first.json()["repeated"]) == (
        4,
        4,
        False,
    )
    assert (again.json()["after"], again.json()["repeated"]) == (4, True)
    assert (other.status, other.problem) == (409, "id-reused")
    said = house.operator("release", event, 4, "--id", "doors-20:15", "--json").document
    assert said == again.json()
    entry = latest(port, event)
    assert (entry["act"], entry["by"], entry["reason"]) == (
        "release",
        "release (over HTTP)",
        "doors",
    )


def test_a_release_up_to_a_turn(house: House, port: AdminPort, event: str) -> None:
    sale(house, event).join(9)

    reply = port.ask("POST", f"/events/{event}/release", {"to": 6}).json()

    assert (reply["to"], reply["after"]) == (6, 6)


def test_a_dry_run_tells_and_changes_nothing(house: House, port: AdminPort, event: str) -> None:
    sale(house, event).join(5)

    reply = port.ask("POST", f"/events/{event}/release", {"by": 3, "dry_run": True}).json()

    assert (reply["dry_run"], reply["people"], reply["effects"]["people"]) == (True, 3, 3)
    assert reply == house.operator("release", event, 3, "--dry-run", "--json").document
    assert sale(house, event).snapshot().served_up_to == 0


def test_what_is_out_of_the_ordinary_is_asked_about_first(
    house: House, port: AdminPort, event: str
) -> None:
    sale(house, event).join(3)
    body = {"by": 20_000, "id": "slip"}

    asked = port.ask("POST", f"/events/{event}/release", body, role="release")

    assert (asked.status, asked.problem) == (409, "confirmation-required")
    problem = asked.json()
    assert problem["would"]["unusual"][0]["code"] == "beyond-waiting"
    assert (problem["would"]["after"], problem["would"]["dry_run"]) == (3, True)
    assert "confirm: true" in problem["detail"]
    assert sale(house, event).snapshot().served_up_to == 0

    done = port.ask("POST", f"/events/{event}/release", {**body, "confirm": True}, role="release")
    assert (done.status, done.json()["after"]) == (200, 3)
    # What was confirmed and done is not asked about once more.
    again = port.ask("POST", f"/events/{event}/release", body, role="release")
    assert (again.status, again.json()["repeated"]) == (200, True)


def test_the_states_of_a_night(port: AdminPort) -> None:
    event = "night"
    made = port.ask("POST", "/events", {"event": event, "reason": "tonight"})
    assert (made.status, made.json()["state"]) == (201, "scheduled")
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"change": "open"}, {"state": "open"}),
        (
            {"change": "pause", "message": "A moment", "releases_only": True},
            {"state": "paused", "message": "A moment", "releases_only": True},
        ),
        ({"change": "resume"}, {"state": "open"}),
        ({"change": "bypass", "for": "10m", "confirm": True}, {"state": "bypass", "for_s": 600}),
        ({"change": "end-bypass"}, {"state": "open"}),
        ({"change": "close", "confirm": True, "reason": "sold out"}, {"state": "closed"}),
    ]
    for body, answer in steps:
        reply = port.ask("POST", f"/events/{event}/state", body)
        assert reply.json() == {"event": event, **answer}
        assert port.ask("GET", f"/events/{event}").json()["state"] == answer["state"]
    log = port.ask("GET", f"/events/{event}/log").json()
    assert [entry["act"] for entry in log["entries"]] == [
        *("create", "open", "pause", "resume", "bypass", "open", "close"),
    ]
    assert {entry["by"] for entry in log["entries"]} == {"admin (over HTTP)"}
    assert log["entries"][-1]["reason"] == "sold out"


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"change": "close"}, 409, "confirmation-required"),
        ({"change": "bypass", "for": "1m"}, 409, "confirmation-required"),
        ({"change": "bypass", "confirm": True}, 400, "bad-input"),
        ({"change": "bypass", "for": "25h", "confirm": True}, 400, "bad-input"),
        ({"change": "bypass", "for": "soon", "confirm": True}, 400, "bad-input"),
        ({"change": "bypass", "for": 0, "confirm": True}, 400, "bad-input"),
        ({"change": "end-bypass"}, 409, "refused"),
        ({"change": "open", "for": "1m"}, 400, "bad-input"),
        ({"change": "open", "message": "x"}, 400, "bad-input"),
        ({"change": "resume", "releases_only": True}, 400, "bad-input"),
        ({"change": "pause", "message": "x" * 501}, 400, "bad-input"),
        ({"change": "delete"}, 400, "bad-input"),
        ({"change": "message"}, 400, "bad-input"),
        ({}, 400, "bad-input"),
    ],
)
def test_a_change_that_is_not_as_it_must_be_changes_nothing(
    port: AdminPort, event: str, body: dict[str, Any], status: int, problem: str
) -> None:
    before = latest(port, event)

    reply = port.ask("POST", f"/events/{event}/state", body)

    assert (reply.status, reply.problem) == (status, problem)
    assert latest(port, event) == before


def test_a_state_that_does_not_allow_it_says_what_to_do(port: AdminPort, event: str) -> None:
    port.ask("POST", f"/events/{event}/state", {"change": "pause"})

    reply = port.ask("POST", f"/events/{event}/release", {"by": 1})

    assert (reply.status, reply.problem) == (409, "refused")
    assert "resume" in reply.json()["detail"]


def test_a_message_leaves_everything_else_as_it_is(port: AdminPort, event: str) -> None:
    for change in ({"change": "pause", "message": "old", "releases_only": True}, None):
        if change is not None:
            port.ask("POST", f"/events/{event}/state", change)
        before = port.ask("GET", f"/events/{event}").json()
        for text in ("Back at 8 pm ☕", ""):
            reply = port.ask("POST", f"/events/{event}/message", {"message": text}, role="release")
            assert reply.json() == {"event": event, "state": before["state"], "message": text}
            after = port.ask("GET", f"/events/{event}").json()
            for name in ("state", "claims_frozen", "served_up_to", "policy", "generation"):
                assert after[name] == before[name]
        assert latest(port, event)["act"] == "message"
        port.ask("POST", f"/events/{event}/state", {"change": "resume"})


def test_a_message_can_be_typed_too(house: House, port: AdminPort, event: str) -> None:
    said = house.operator("event", "message", event, "Later tonight", "--by", "anna", "--json")

    assert said.document == {"event": event, "message": "Later tonight"}
    shown = port.ask("GET", f"/events/{event}").json()
    assert (shown["state"], shown["message"]) == ("open", "Later tonight")
    assert (latest(port, event)["act"], latest(port, event)["by"]) == ("message", "anna")
    assert house.operator("event", "message", event, "x" * 501).code == 2


def test_rules_are_changed_by_the_names_of_the_file(port: AdminPort, event: str) -> None:
    body = {"max_sessions": 800, "window": "5m", "late_for": "forever", "reason": "more seats"}

    reply = port.ask("PATCH", f"/events/{event}/policy", body)

    document = reply.json()
    assert document["changes"] == {"max_sessions": [20, 800], "window_s": [900, 300]}
    assert document["policy"]["max_sessions"] == 800
    assert port.ask("GET", f"/events/{event}").json()["policy"] == document["policy"]
    assert latest(port, event)["reason"] == "more seats"
    before = latest(port, event)
    again = port.ask("PATCH", f"/events/{event}/policy", body)
    assert (again.status, again.json()["changes"]) == (200, {})
    assert latest(port, event) == before


@pytest.mark.parametrize(
    ("body", "mistakes"),
    [
        ({}, 0),
        ({"reason": "no rule"}, 0),
        ({"reason": 5, "window": "5m"}, 0),
        ({"max_sessions": "many", "windoww": 5}, 2),
        ({"draw": True}, 1),
        ({"window": -1}, 1),
        ({"window": None}, 0),
        ({"max_sessions": True}, 1),
        ({"max_sessions": 5, "session": "never"}, 1),
    ],
)
def test_rules_with_a_mistake_change_nothing(
    port: AdminPort, event: str, body: dict[str, Any], mistakes: int
) -> None:
    before = port.ask("GET", f"/events/{event}").json()["policy"]

    reply = port.ask("PATCH", f"/events/{event}/policy", body)

    assert (reply.status, reply.problem) == (400, "bad-input")
    assert len(reply.json().get("mistakes", ())) == mistakes
    assert port.ask("GET", f"/events/{event}").json()["policy"] == before


def test_an_event_is_created_once(port: AdminPort) -> None:
    body = {"event": "made-once", "open": True, "policy": {"max_sessions": 3, "window": "2m"}}

    first = port.ask("POST", "/events", body)
    again = port.ask("POST", "/events", body)

    assert (first.status, first.json()["policy"]["window_s"]) == (201, 120)
    assert (again.status, again.problem) == (409, "exists")
    for wrong in ({"event": "UP"}, {"event": ""}, {}, {"event": "x", "policy": {"nope": 1}}):
        assert port.ask("POST", "/events", wrong).problem == "bad-input"


def test_a_reset_needs_the_name_and_happens_once(house: House, port: AdminPort, event: str) -> None:
    sale(house, event).join(4)
    for confirm in ({}, {"confirm": "other"}):
        asked = port.ask("POST", f"/events/{event}/reset", confirm)
        assert (asked.status, asked.problem) == (409, "confirmation-required")
        assert "4 people" in asked.json()["detail"]
    body = {"confirm": event, "open": True, "id": "rehearsal-over", "reason": "rehearsal"}

    done = port.ask("POST", f"/events/{event}/reset", body).json()
    again = port.ask("POST", f"/events/{event}/reset", body).json()

    assert done["generation"] > done["previous_generation"]
    assert (done["state"], again["generation"]) == ("open", done["generation"])
    assert port.ask("GET", f"/events/{event}").json()["issued"] == 0
    assert latest(port, event)["by"] == "admin (over HTTP)"


def test_a_deletion_needs_the_name_and_leaves_the_log(port: AdminPort, event: str) -> None:
    asked = port.ask("DELETE", f"/events/{event}", {"confirm": True})
    assert asked.problem == "bad-input"
    assert port.ask("DELETE", f"/events/{event}").problem == "confirmation-required"
    body = {"confirm": event, "id": "gone"}

    done = port.ask("DELETE", f"/events/{event}", body)
    again = port.ask("DELETE", f"/events/{event}", body)

    assert done.json() == again.json() == {"event": event, "state": "deleted"}
    assert port.ask("GET", f"/events/{event}").problem == "no-such-event"
    assert latest(port, event)["act"] == "delete"
    assert event not in [e["event"] for e in port.ask("GET", "/events").json()["events"]]


def test_a_visitors_session_is_extended_and_ended(
    house: House, port: AdminPort, event: str
) -> None:
    visitors = sale(house, event)
    place = visitors.ask(lambda ledger: join(ledger, event))
    path = f"/events/{event}/sessions/{place.position}"
    assert port.ask("POST", f"{path}/end", {}, role="release").problem == "no-such-session"
    port.ask("POST", f"/events/{event}/release", {"by": 1})
    visitors.ask(lambda ledger: claim(ledger, event, place))
    assert port.ask("GET", path, role="view").json()["session"] == "running"

    longer = port.ask("POST", f"{path}/extend", {"for": "2h", "reason": "card"}, role="release")
    assert longer.json()["extended"] is True
    assert longer.json()["session_ends_at"] == port.ask("GET", path).json()["session_ends_at"]
    assert latest(port, event)["by"] == "release (over HTTP)"
    for body in ({}, {"for": "25h"}, {"for": "0"}, {"for": -1}):
        assert port.ask("POST", f"{path}/extend", body).problem == "bad-input"

    ended = port.ask("POST", f"{path}/end", {"reason": "a bot"}, role="release")
    assert ended.json() == {
        "event": event,
        "generation": place.generation,
        "position": place.position,
        "session": "over",
    }
    assert (latest(port, event)["by"], latest(port, event)["reason"]) == (
        "release (over HTTP)",
        "a bot",
    )
    assert port.ask("POST", f"{path}/end", {}).problem == "no-such-session"
    assert port.ask("POST", f"{path}/extend", {"for": 60}).problem == "no-such-session"


async def join(ledger: Any, event: str) -> Any:
    return await ledger.join(event, JoinRequest("somebody"))


async def claim(ledger: Any, event: str, place: Any) -> Any:
    return await ledger.claim(
        event, place.generation, place.position, place.position, place.joined_active_ms
    )


def test_acts_are_in_the_process_log_with_who_did_them(
    house: House, port: AdminPort, event: str
) -> None:
    port.sign_in("release").ask("POST", f"/events/{event}/release", {"by": 1})

    acts = [line for line in house.log_lines() if line["message"] == "an operator acted"]
    assert any(
        (line["operator"], line["role"], line["way"], line.get("event"))
        == ("release", "release", "session", event)
        and line["call"] == "POST /admin/events/{event}/release"
        for line in acts
    )


def test_while_the_ledger_is_away_it_says_with_which_id_to_ask_again() -> None:
    with open_house() as house:
        port = house.port
        event = port.create("sale")
        sale(house, event).join(5)
        server = int((house.folder / "ledger" / "valkey.pid").read_text())
        os.kill(server, signal.SIGSTOP)
        try:
            reply = port.ask("POST", f"/events/{event}/release", {"by": 1})
        finally:
            os.kill(server, signal.SIGCONT)
        assert (reply.status, reply.problem) == (503, "ledger-away")
        assert reply.header("retry-after")
        body = {"by": 1, "id": reply.json()["id"]}

        def is_done() -> bool:
            time.sleep(0.1)
            return port.ask("POST", f"/events/{event}/release", body).status == 200

        patiently(is_done)
        # Whether the first was carried out or not, it was once.
        assert port.ask("GET", f"/events/{event}").json()["served_up_to"] == 1
