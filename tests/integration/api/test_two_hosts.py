"""One event over two hosts: one visitor has one position on both, handed over by a single-use code."""

import re
from urllib.parse import quote, urlsplit

import pytest

from gateway.domain.positions import EventId
from gateway.ledger.keyspace import handover
from gateway.queue import HANDOVER_LIFE_S
from tests.support.gateways import Tables, event_table
from tests.support.pages import Page
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import Visitor

HOME, FAN = "tour.example", "fan.example"


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    pool = {
        f"events.tour-{number}": event_table(
            f"{number}.{HOME}", f"{number}.{FAN}", paths=["/tour"], home_host=f"{number}.{HOME}"
        )
        for number in range(1, 40)
    }
    # Another event at home on the same two hosts as the first.
    pool["events.other"] = event_table(f"1.{HOME}", f"1.{FAN}", paths=["/other"])
    return {**common_tables, **pool}


_names = (f"tour-{number}" for number in range(1, 40))


class Tour:
    """One visitor, who has a jar of cookies at each of the two hosts."""

    def __init__(self, stage: Stage, suffix: str = "") -> None:
        self.stage = stage
        number = stage.event.partition("-")[2]
        self.home = Visitor(stage.gateway.port, f"{number}.{HOME}{suffix}", event=stage.event)
        self.fan = Visitor(stage.gateway.port, f"{number}.{FAN}{suffix}", event=stage.event)

    def follow(self, location: str) -> tuple[Visitor, str]:
        """Return at which host an address is, and its target there."""
        parts = urlsplit(location)
        visitor = {self.home.host: self.home, self.fan.host: self.fan}[parts.netloc]
        return visitor, location.partition(parts.netloc)[2]

    def handed_over(self) -> str:
        """Get the home host's pass; return the address that brings it to the other host."""
        self.home.join()
        self.stage.release()
        self.home.claim()
        return self.again()

    def again(self) -> str:
        reply = self.home.navigate(
            f"/queue/{self.stage.event}/onward?return_to=http://{self.fan.host}/tour/7"
        )
        assert reply.status == 303
        return reply.location


@pytest.fixture
def stage(open_stage: OpenStage) -> Stage:
    return open_stage(next(_names))


@pytest.fixture
def tour(stage: Stage) -> Tour:
    return Tour(stage)


def test_the_whole_way_over_two_hosts(tour: Tour) -> None:
    sent = tour.fan.navigate("/tour/7?seat=1")
    visitor, room = tour.follow(sent.location)
    assert visitor is tour.home
    assert room == (
        f"/queue/{tour.stage.event}/room?return_to=http%3A//{tour.fan.host}/tour/7%3Fseat%3D1"
    )
    goal = f"http://{tour.fan.host}/tour/7?seat=1"
    page = visitor.navigate(room.replace("/room?", "/room/plain?"))
    assert f'value="{goal}"' in page.body.decode()

    joined = visitor.call("join", {"accept": "text/html"}, return_to=goal)
    tour.stage.release()
    claimed = visitor.call("claim", {"accept": "text/html"}, return_to=goal)
    assert claimed.location == joined.location
    handed = visitor.navigate(claimed.location.replace("/room?", "/onward?"))
    at, enter = tour.follow(handed.location)
    assert at is tour.fan
    assert re.fullmatch(
        rf"/queue/{tour.stage.event}/enter\?to=/tour/7%3Fseat%3D1&code=[A-Za-z0-9_-]{{22}}", enter
    )

    entered = tour.fan.navigate(enter)
    assert (entered.status, entered.location) == (303, "/tour/7?seat=1")
    assert tour.fan.navigate(entered.location).status == 200
    assert tour.stage.backend.last.queue_headers["queue-position"] == "1"
    assert tour.home.navigate("/tour/7").status == 200
    assert tour.stage.backend.last.queue_headers["queue-position"] == "1"
    read = tour.stage.operator.read(tour.stage.event)
    assert (read.issued, read.claims) == (1, 1)


def test_the_pass_is_the_same_on_both_hosts_and_its_cookie_ends_with_it(tour: Tour) -> None:
    _, enter = tour.follow(tour.handed_over())
    reply = tour.fan.navigate(enter)
    (cookie,) = reply.cookies.values()
    assert cookie.name == f"pass-{tour.stage.event}"
    assert abs(int(cookie.attributes["max-age"]) - 600) <= 2
    home, fan = (who.call("position", {"queue-token": tour.home.held}) for who in (tour.home,) * 2)
    assert {**fan.json(), "session_seconds_left": 0} == {**home.json(), "session_seconds_left": 0}
    assert tour.fan.held == tour.home.held


def test_a_code_works_once(tour: Tour) -> None:
    _, enter = tour.follow(tour.handed_over())
    assert tour.fan.navigate(enter).cookies
    thief = tour.stage.visitor(tour.fan.host)
    reply = thief.navigate(enter)
    assert (reply.status, reply.cookies) == (303, {})
    assert reply.location == f"/queue/{tour.stage.event}/room?return_to=/tour/7"


def test_a_link_with_somebody_elses_code_makes_nobody_them(tour: Tour) -> None:
    _, enter = tour.follow(tour.handed_over())
    victim = tour.stage.admitted()
    reply = tour.stage.visitor(tour.fan.host).navigate(
        enter, {"cookie": f"pass-{tour.stage.event}={victim.held}"}
    )
    assert (reply.location, reply.cookies) == ("/tour/7", {})


def test_a_look_ahead_does_not_use_the_code_up(tour: Tour) -> None:
    _, enter = tour.follow(tour.handed_over())
    assert tour.fan.ask("HEAD", enter).cookies == {}
    assert tour.fan.navigate(enter).cookies


def codes(tour: Tour) -> list[str]:
    pattern = handover(EventId(tour.stage.event), "*")
    return list(tour.stage.operator.server.command("KEYS", pattern))


def test_a_code_lives_for_thirty_seconds(tour: Tour) -> None:
    _, enter = tour.follow(tour.handed_over())
    server = tour.stage.operator.server
    (row,) = codes(tour)
    assert 0 < server.command("PTTL", row) <= HANDOVER_LIFE_S * 1000 == 30_000
    assert enter.rpartition("code=")[2] not in row
    # Thirty seconds later.
    server.command("PEXPIRE", row, 0)
    assert tour.fan.navigate(enter).cookies == {}


def test_a_code_is_one_events_own(tour: Tour, open_stage: OpenStage) -> None:
    open_stage("other")
    _, enter = tour.follow(tour.handed_over())
    assert tour.fan.navigate(enter.replace(tour.stage.event, "other")).cookies == {}
    assert tour.fan.navigate(enter).cookies


@pytest.mark.parametrize("code", ["", "x", "A" * 22, "%00", "A" * 5000])
def test_a_made_up_code_gives_nothing(tour: Tour, code: str) -> None:
    tour.handed_over()
    reply = tour.fan.navigate(f"/queue/{tour.stage.event}/enter?to=/tour&code={code}")
    assert (reply.status, reply.cookies) == (303, {})
    assert len(codes(tour)) == 1


def test_each_handover_has_a_code_of_its_own(tour: Tour) -> None:
    addresses = {tour.handed_over(), tour.again(), tour.again()}
    assert len(addresses) == 3


def test_a_session_that_was_left_is_not_handed_over_to_admit(tour: Tour) -> None:
    _, enter = tour.follow(tour.handed_over())
    tour.home.call("leave")
    tour.stage.settle()
    tour.fan.navigate(enter)
    assert tour.fan.get("/tour/7").verdict == (410, "window-missed")


def test_who_waits_is_handed_nothing(tour: Tour) -> None:
    tour.home.join()
    reply = tour.home.navigate(
        f"/queue/{tour.stage.event}/onward?return_to=http://{tour.fan.host}/tour/7"
    )
    assert reply.location.startswith(f"/queue/{tour.stage.event}/room?")
    assert codes(tour) == []


@pytest.mark.parametrize("verb", ["join", "claim", "extend", "refresh", "leave", "position"])
def test_every_call_on_the_other_host_is_sent_home(tour: Tour, verb: str) -> None:
    reply = tour.fan.call(verb)
    assert (reply.status, reply.body) == (307, b"")
    assert reply.location == f"http://{tour.home.host}/queue/{tour.stage.event}/{verb}"
    assert tour.stage.operator.read(tour.stage.event).issued == 0


def test_the_pointer_document_is_the_same_on_both_hosts(tour: Tour) -> None:
    assert tour.home.call("").body == tour.fan.call("").body


def test_a_call_that_is_sent_home_keeps_its_query(tour: Tour) -> None:
    reply = tour.fan.get(f"/queue/{tour.stage.event}/position?x=%2F&y=1")
    assert reply.location.endswith("/position?x=%2F&y=1")


@pytest.mark.parametrize("page", ["room", "room/plain", "onward"])
def test_the_waiting_page_is_at_home(tour: Tour, page: str) -> None:
    reply = tour.fan.navigate(f"/queue/{tour.stage.event}/{page}?return_to=/tour/7")
    at, there = tour.follow(reply.location)
    assert at is tour.home
    assert there == (f"/queue/{tour.stage.event}/{page}?return_to=http%3A//{tour.fan.host}/tour/7")


def test_the_files_of_the_waiting_page_are_on_both_hosts(tour: Tour) -> None:
    for address in Page(tour.home.navigate(f"/queue/{tour.stage.event}/room")).files:
        assert tour.fan.get(address).body == tour.home.get(address).body


def test_forms_may_lead_to_the_other_host_and_nowhere_else(tour: Tour) -> None:
    # Browsers look at where a form's answer redirects to, too.
    plain = tour.home.navigate(f"/queue/{tour.stage.event}/room/plain")
    policy = plain.header("content-security-policy") or ""
    assert f"form-action 'self' http://{tour.fan.host};" in policy


def test_the_page_for_everyone_says_nothing_of_whom_it_was_asked_by(tour: Tour) -> None:
    room = tour.home.navigate(f"/queue/{tour.stage.event}/room")
    assert "form-action 'self';" in (room.header("content-security-policy") or "")


def test_the_port_stays_on_the_way(stage: Stage) -> None:
    tour = Tour(stage, ":8443")
    at, room = tour.follow(tour.fan.navigate("/tour/7").location)
    assert at is tour.home
    assert f"return_to=http%3A//{quote(tour.fan.host)}/tour/7" in room
    at, enter = tour.follow(tour.handed_over())
    assert at is tour.fan
    assert tour.fan.navigate(enter).location == "/tour/7"


def test_an_app_is_told_what_to_do_and_not_sent_around(tour: Tour) -> None:
    assert tour.fan.get("/tour/7").verdict == (401, "no-token")


@pytest.mark.parametrize("to", ["http://evil.example/", "//evil.example", "http://1.tour.example/"])
def test_the_code_leads_nowhere_but_to_its_host(tour: Tour, to: str) -> None:
    _, enter = tour.follow(tour.handed_over())
    code = enter.rpartition("code=")[2]
    reply = tour.fan.navigate(f"/queue/{tour.stage.event}/enter?to={to}&code={code}")
    assert reply.location == "/"
