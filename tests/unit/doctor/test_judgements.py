"""What answers mean, apart from any network."""

from typing import Any

import pytest

from gateway.doctor import streams
from gateway.doctor.chain import Chain, Kind, kind_of, location_origin, room_of
from gateway.doctor.findings import Status
from gateway.doctor.inward import _address, _mode, _versions
from gateway.doctor.spellings import other_forms, spellings_of
from gateway.doctor.transport import judge_clock
from gateway.doctor.wire import Origin, Reply, Wire
from gateway.domain.positions import EventId
from gateway.domain.routes import EventRoute, PathEntry, Protected, RouteTable
from gateway.domain.targets import NotCanonical, canonical_target

SITE = Origin("https", "tickets.example.org", 443)
ROOM = "/queue/sale/room?return_to=/book"


def reply(status: int, *fields: tuple[str, str]) -> Reply:
    return Reply(status, fields, b"", 0.0, 0.0, "192.0.2.1")


def to(location: str, status: int = 303) -> Reply:
    return reply(status, ("location", location))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (to(ROOM), Kind.ROOM),
        (to("https://elsewhere.example" + ROOM, 302), Kind.ROOM),
        (to("/login?next=/queue/sale/room"), Kind.ELSEWHERE),
        (to("/queue/No Event/room"), Kind.ELSEWHERE),
        (to("/queue/sale/position"), Kind.ELSEWHERE),
        (reply(304), Kind.ELSEWHERE),
        (reply(401), Kind.TURNED_BACK),
        (reply(429), Kind.TURNED_BACK),
        (reply(503), Kind.TURNED_BACK),
        (reply(404, ("content-type", "application/problem+json")), Kind.TURNED_BACK),
        (reply(404), Kind.MISSING),
        (reply(500), Kind.BROKEN),
        (reply(502), Kind.BROKEN),
        (reply(200), Kind.SHOWN),
        (reply(206), Kind.SHOWN),
    ],
)
def test_what_becomes_of_a_request_is_told_by_its_answer(answer: Reply, kind: Kind) -> None:
    assert kind_of(answer) is kind


def test_the_event_is_read_from_the_way_to_its_waiting_page() -> None:
    assert room_of(to(ROOM)) == "sale"
    assert room_of(reply(200, ("location", ROOM))) is None


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        (ROOM, SITE),
        ("https://tickets.example.org" + ROOM, SITE),
        ("http://tickets.example.org" + ROOM, Origin("http", "tickets.example.org", 80)),
        ("https://home.example:8443" + ROOM, Origin("https", "home.example", 8443)),
        ("ftp://home.example" + ROOM, None),
        ("https://home.example:x" + ROOM, None),
    ],
)
def test_a_redirect_names_an_origin(location: str, origin: Origin | None) -> None:
    assert location_origin(to(location), SITE) == origin


@pytest.mark.parametrize("path", ["/", "/book", "/book/seat/", "/book/seat?day=2", "/b/%C3%BC"])
def test_no_spelling_is_the_right_one_and_none_comes_twice(path: str) -> None:
    spelled = [spelling.target for spelling in spellings_of(path)]
    assert path not in spelled
    assert len(set(spelled)) == len(spelled) >= 14


@pytest.mark.parametrize("path", ["/book", "/book/seat", "/book/seat/"])
def test_the_gateway_itself_turns_every_spelling_back(path: str) -> None:
    # Otherwise the doctor would find fault with what is right.
    route = EventRoute(EventId("sale"), (SITE.host,), open_paths=(PathEntry.parse("/assets/"),))
    table = RouteTable((route,))
    for spelling in spellings_of(path):
        try:
            target = canonical_target(spelling.target.partition("?")[0].encode())
        except NotCanonical:
            continue
        assert isinstance(table.designate(SITE.host, "GET", target), Protected), spelling


def test_an_address_has_no_dot_behind_it() -> None:
    named = {form.note for form in other_forms(SITE, "/book")}
    for origin in (Origin("http", "192.0.2.1", 80), Origin("http", "::1", 80)):
        assert named - {form.note for form in other_forms(origin, "/book")} == {
            "a dot behind the host"
        }


@pytest.mark.parametrize(
    ("off_s", "status"),
    [(0.0, Status.OK), (5.0, Status.OK), (6.0, Status.WARNING), (61.0, Status.FAULT)],
)
def test_clocks_are_judged_by_what_tokens_allow(off_s: float, status: Status) -> None:
    assert judge_clock("clock", off_s, "two clocks").status is status


def seen(**more: Any) -> dict[str, Any]:
    return {
        "address": "93.184.216.9",
        "peer": "10.0.0.1",
        "shared": False,
        "unconfigured_proxy": None,
        "mode": "enforce",
        "version": "0.1.0",
        "process": "a",
        **more,
    }


WIRE = Wire(SITE)
CHAIN = Chain(WIRE, "/book", WIRE, EventId("sale"))


@pytest.mark.parametrize(
    ("plain", "forged", "status", "says"),
    [
        ({}, {}, Status.OK, "93.184.216.9"),
        ({}, {"address": "198.51.100.77"}, Status.FAULT, "believes it"),
        ({}, {"address": "93.184.216.10"}, Status.FAULT, "93.184.216.10"),
        ({"shared": True}, {}, Status.FAULT, "10.0.0.1 does not say"),
        (
            {"shared": True, "unconfigured_proxy": "10.0.0.1"},
            {},
            Status.FAULT,
            "10.0.0.1 is not in [server] trusted_proxies",
        ),
        ({"address": "10.0.0.7"}, {"address": "10.0.0.7"}, Status.WARNING, "10.0.0.7"),
        # Without a proxy in front a stranger's own field is not believed, and is no proxy's.
        ({}, {"shared": True, "unconfigured_proxy": "93.184.216.9"}, Status.OK, "93.184.216.9"),
    ],
)
def test_the_address_that_is_counted_must_be_the_visitors(
    plain: dict[str, Any], forged: dict[str, Any], status: Status, says: str
) -> None:
    finding = _address(CHAIN, [seen(**plain)], seen(**forged))
    assert finding.status is status
    assert says in finding.seen


def test_gateways_of_different_minds_are_found() -> None:
    assert _mode(CHAIN, [seen(), seen()]).status is Status.OK
    assert _mode(CHAIN, [seen(), seen(mode="observe")]).status is Status.WARNING
    assert _mode(CHAIN, [seen(), seen(mode=None)]).status is Status.FAULT
    assert _versions([seen(), seen(process="b")]).status is Status.OK
    assert _versions([seen(), seen(process="b", version="0.2.0")]).status is Status.WARNING
    assert _versions([seen(version="0.2.0")]).status is Status.WARNING


@pytest.mark.anyio
async def test_a_stream_is_heard_for_as_long_as_it_may_be_silent() -> None:
    now_s = 0.0

    def scripted(frames: list[tuple[float, bytes | None]]) -> streams.Listen:
        async def listen(within_s: float) -> bytes | None:
            nonlocal now_s
            after_s, piece = frames.pop(0)
            assert after_s <= within_s
            now_s += after_s
            return piece

        return listen

    for frames, status, says in (
        ([(15.0, b"x")], Status.OK, "silence was 15 seconds"),
        ([(5.0, b"x"), (5.0, b"x"), (15.0, b"x")], Status.OK, "silence was 15 seconds"),
        ([(5.0, b"x")] * 3, Status.OK, "silence was 5 seconds"),
        ([(5.0, b"x"), (10.0 - 2, b"")], Status.FAULT, "cut after 8 seconds"),
        ([(19.0, None)], Status.FAULT, "nothing for 19 seconds"),
    ):
        finding = await streams._heartbeat(
            scripted(list(frames)), "heartbeat", now_s, lambda: now_s
        )
        assert finding.status is status
        assert says in finding.seen
