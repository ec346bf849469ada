"""The release schedule: its rate, its limit, and what neither lets happen. Time is the test's own."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from gateway.domain.backoff import LEAST_PACE_MS, RECOVERY_MS, Seen
from gateway.domain.events import EventPolicy
from gateway.domain.pacing import SPARED_MS
from gateway.ledger import keyspace
from gateway.ports import StateChange
from tests.support.servers import RealServer
from tests.support.virtual_sale import VirtualSale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]

NewSale = Callable[..., VirtualSale]

MINUTE_MS = 60_000


@pytest.fixture
def new_sale(server: RealServer) -> Iterator[NewSale]:
    sales: list[VirtualSale] = []

    def make(**policy: Any) -> VirtualSale:
        sales.append(VirtualSale(server, EventPolicy(**policy)))
        return sales[-1]

    yield make
    for sale in sales:
        sale.close()


def served(sale: VirtualSale) -> int:
    return sale.read().served_up_to


def run_for(sale: VirtualSale, ms: int, *, step_ms: int = 250) -> int:
    """Call the schedule every `step_ms` for so long; return how many people were let in."""
    people = 0
    for _ in range(ms // step_ms):
        sale.pass_ms(step_ms)
        people += sale.follow_schedule()[2]
    return people


# --- The rate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "every_s"), [(100, 60), (1, 1), (7, 3), (1000, 60), (1, 90), (999, 1)]
)
def test_the_rate_is_kept_to_the_person(new_sale: NewSale, people: int, every_s: int) -> None:
    sale = new_sale(schedule_people=people, schedule_every_s=every_s)
    sale.join(people * (180 // every_s) + 10)
    assert sale.follow_schedule()[3] == "rate"
    assert run_for(sale, 180_000) == people * 180 // every_s


def test_people_come_in_smoothly_and_not_in_lumps(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=100, schedule_every_s=60)
    sale.join(1000)
    sale.follow_schedule()
    for second in range(1, 60):
        run_for(sale, 1000)
        assert served(sale) == second * 100 // 60


def test_callers_at_any_time_and_any_number_of_them_keep_one_rate(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=61, schedule_every_s=7)
    sale.join(5000)
    sale.follow_schedule()
    dice, started = Random(3), sale.now_ms
    while sale.now_ms < started + 2 * MINUTE_MS:
        sale.pass_ms(dice.randint(0, 700))
        for _ in range(dice.randint(0, 8)):
            sale.follow_schedule(gateway=f"gateway-{dice.randint(1, 8)}")
    sale.pass_ms(SPARED_MS)
    sale.follow_schedule()
    assert served(sale) == (sale.now_ms - started) * 61 // 7000


def test_calls_of_many_gateways_are_one_movement(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=1000, schedule_every_s=1)
    sale.join(5000)
    sale.follow_schedule()
    movements = 0
    for _ in range(200):
        sale.pass_ms(10)
        movements += sale.follow_schedule()[2] > 0
    assert movements == 10


def test_a_rate_that_is_changed_counts_from_then_on(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=10, schedule_every_s=1)
    sale.join(5000)
    sale.follow_schedule()
    assert run_for(sale, 10_000) == 100
    sale.configure(schedule_people=60, schedule_every_s=60)
    assert run_for(sale, MINUTE_MS) == 60


def test_nobody_is_let_in_without_a_schedule(new_sale: NewSale) -> None:
    sale = new_sale(max_sessions=10)
    sale.join(10)
    before = sale.client.dump(sale.key("state"))
    sale.pass_ms(60_000)
    assert sale.follow_schedule() == (0, 0, 0, "no-schedule")
    assert sale.client.dump(sale.key("state")) == before


def test_a_call_with_nothing_to_do_writes_nothing(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=1, schedule_every_s=60)
    sale.join(10)
    sale.follow_schedule()
    before = sale.client.dump(sale.key("state"))
    for _ in range(9):
        sale.pass_ms(100)
        sale.follow_schedule(gateway="gateway")
    assert sale.client.dump(sale.key("state")) == before


# --- Never stored up -----------------------------------------------------------------------------


def test_half_an_hour_with_nobody_waiting_stores_up_one_interval(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=30, schedule_every_s=60)
    sale.follow_schedule()
    assert run_for(sale, 30 * MINUTE_MS, step_ms=4000) == 0
    sale.join(500)
    assert sale.follow_schedule()[2] == 30
    assert sale.follow_schedule()[2] == 0
    assert run_for(sale, MINUTE_MS) == 30


def test_a_pause_stores_up_nothing(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60)
    sale.join(500)
    sale.follow_schedule()
    assert run_for(sale, 10_000) == 10
    sale.change(StateChange.PAUSE)
    for _ in range(600):
        sale.pass_ms(1000)
        assert sale.follow_schedule() == (10, 10, 0, "paused")
    sale.change(StateChange.RESUME)
    assert run_for(sale, 10_000) == 10


@pytest.mark.parametrize(
    ("act", "state"), [(StateChange.CLOSE, "closed"), (StateChange.BYPASS, "bypass")]
)
def test_an_event_that_is_not_open_lets_nobody_in_by_the_clock(
    new_sale: NewSale, act: StateChange, state: str
) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=1)
    sale.join(500)
    sale.follow_schedule()
    sale.change(act)
    sale.pass_ms(3000)
    assert sale.follow_schedule() == (0, 0, 0, state)


def test_an_outage_stores_up_one_interval_at_most(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=2, schedule_every_s=1)
    sale.join(500)
    sale.follow_schedule()
    sale.pass_ms(3_600_000)
    assert sale.follow_schedule()[2] == 2


def test_a_clock_that_jumps_back_or_ahead_lets_nobody_in_early(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60)
    sale.join(500)
    sale.follow_schedule()
    sale.pass_ms(-7_200_000)
    assert sale.follow_schedule()[2] == 0
    # No jump counts for more than the largest step of the event's clocks, 5 s.
    sale.pass_ms(10_800_000)
    assert sale.follow_schedule()[2] == 5


# --- The limit -----------------------------------------------------------------------------------


def test_an_event_below_its_limit_lets_everybody_in_at_once(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=50)
    for joined in range(1, 40):
        sale.join(1)
        assert sale.follow_schedule()[1:] == (joined, 1, "nobody-waits")


def test_an_event_without_any_limit_lets_everybody_in_at_once(new_sale: NewSale) -> None:
    sale = new_sale(fill=True)
    sale.join(300)
    assert sale.follow_schedule()[2] == 300


def test_before_anything_was_seen_everybody_counts_as_coming(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=50)
    sale.join(300)
    assert sale.follow_schedule() == (0, 50, 50, "full")
    assert run_for(sale, 5000) == 0


def test_a_place_that_becomes_free_is_given_away_at_once(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=5)
    sale.join(20)
    sale.follow_schedule()
    assert sale.claim(1, 2, 3, 4, 5) == ["seated"] * 5
    sale.pass_ms(SPARED_MS)
    assert sale.follow_schedule()[2] == 0
    sale.leave(3, 4)
    assert sale.follow_schedule() == (5, 7, 2, "full")


def test_rate_and_limit_together_keep_both(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60, max_sessions=20)
    sale.join(300)
    sale.follow_schedule()
    assert run_for(sale, 10_000) == 10
    assert run_for(sale, MINUTE_MS) == 10
    assert sale.follow_schedule()[3] == "full"
    assert sale.claim(*range(1, 21)) == ["seated"] * 20
    sale.leave(*range(1, 16))
    # What was not used for want of places is there, but no more than an interval's.
    assert sale.follow_schedule()[2] == 15


def test_places_of_those_who_did_not_come_are_filled_when_their_windows_end(
    new_sale: NewSale,
) -> None:
    sale = new_sale(fill=True, max_sessions=10, overshoot=0, window_s=60)
    sale.join(100)
    assert sale.follow_schedule()[2] == 10
    assert run_for(sale, 55_000) == 0
    # A cohort is over a slot after its first window, a sixteenth of it.
    assert run_for(sale, 10_000) == 10


def test_no_shows_are_learnt_and_their_places_filled_ahead(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=100, window_s=64, session_s=100)
    sale.join(5000)
    dice, active, seen = Random(1), [], 0
    for _ in range(700):
        sale.pass_ms(1000)
        _, pointer, _, _ = sale.follow_schedule()
        # Every other one comes, and at once.
        coming = [turn for turn in range(seen + 1, pointer + 1) if dice.random() < 0.5]
        seen = pointer
        if coming:
            assert set(sale.claim(*coming)) <= {"seated", "full"}
        active.append(sale.read().active_sessions)
    assert max(active) <= 100
    assert sum(active[300:]) / len(active[300:]) > 95
    turnout = sale.read().turnout
    assert turnout is not None
    assert turnout.show_rate() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("overshoot", [0, 7, 50])
def test_sessions_and_open_turns_never_exceed_limit_and_overshoot(
    new_sale: NewSale, overshoot: int
) -> None:
    limit, window_s = 40, 64
    sale = new_sale(
        fill=True, max_sessions=limit, overshoot=overshoot, window_s=window_s, session_s=50
    )
    sale.join(5000)
    dice, came, hit = Random(overshoot), set[int](), False
    let_in_at: dict[int, int] = {}
    for _ in range(300):
        sale.pass_ms(1000)
        before, after, _, reason = sale.follow_schedule()
        hit = hit or reason == "overshoot"
        event = sale.read()
        let_in_at |= dict.fromkeys(range(before + 1, after + 1), event.active_ms)
        open_turns = [
            turn
            for turn, at in let_in_at.items()
            if turn not in came and at + window_s * 1000 > event.active_ms
        ]
        assert event.active_sessions + len(open_turns) <= limit + overshoot
        for turn in range(before + 1, after + 1):
            if dice.random() < 0.2 and sale.claim(turn) == ["seated"]:
                came.add(turn)
    assert hit


def test_a_release_by_hand_counts_in_what_the_schedule_reckons_with(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=30)
    sale.join(200)
    assert sale.release(100) == 100
    assert sale.follow_schedule() == (100, 100, 0, "full")
    # The limit stands whoever released.
    assert sale.claim(*range(1, 32)) == ["seated"] * 30 + ["full"]


def test_a_pointer_moved_by_who_does_not_count_is_reckoned_with(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=30)
    sale.join(200)
    sale.release(20)
    for lost in ("turnout", "schedule"):
        sale.client.hdel(sale.key("state"), lost)
    assert sale.follow_schedule() == (20, 30, 10, "full")


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "0 0 0 0 0 0|;|", "1 1 1 1 1.0 1||1:1"])
@pytest.mark.parametrize("name", ["turnout", "schedule"])
def test_what_cannot_be_read_of_it_begins_anew(new_sale: NewSale, name: str, text: str) -> None:
    sale = new_sale(fill=True, max_sessions=30)
    sale.join(200)
    sale.follow_schedule()
    sale.set_field(name, text)
    assert sale.follow_schedule()[1:3] == (30, 0)
    assert sale.read().served_up_to == 30


@pytest.mark.parametrize(
    ("part", "put"),
    [
        ("56250 0 0.000", "56250 0 1.2.3"),
        ("|0:30:30:0:0|", "|7:30:30:0:0|"),
        ("|0:30:30:0:0|", "|0:30:30:9:0|"),
        ("|0:30:30:0:0|", "|0:30:30:0:99|"),
        ("|0.000:0.000,", "|1.1.1:0.000,"),
        (" 56250 0 ", " 0 0 "),
        (" 56250 0 ", " 56250 99 "),
    ],
)
def test_what_makes_no_sense_begins_anew(new_sale: NewSale, part: str, put: str) -> None:
    sale = new_sale(fill=True, max_sessions=30)
    sale.join(200)
    sale.follow_schedule()
    kept = sale.field("turnout")
    assert part in kept
    sale.set_field("turnout", kept.replace(part, put, 1))
    sale.pass_ms(SPARED_MS)
    assert sale.read().served_up_to == 30
    assert sale.follow_schedule()[1:3] == (30, 0)
    assert sale.claim(30) == ["seated"]


# --- The line ------------------------------------------------------------------------------------


def test_holes_cost_nothing_and_the_pointer_crosses_them(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=10, schedule_every_s=1)
    sale.join(200)
    sale.set_field("holes", "6-100,121-130")
    sale.follow_schedule()
    sale.pass_ms(1000)
    assert sale.follow_schedule() == (0, 105, 10, "rate")
    sale.pass_ms(1000)
    assert sale.follow_schedule() == (105, 115, 10, "rate")
    sale.pass_ms(500)
    # Nobody stops in front of a hole.
    assert sale.follow_schedule() == (115, 130, 5, "rate")


def test_the_pointer_does_not_pass_issued_and_headroom(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=50, schedule_every_s=1, headroom=3)
    sale.join(10)
    sale.follow_schedule()
    sale.pass_ms(1000)
    assert sale.follow_schedule() == (0, 13, 13, "nobody-waits")


def test_releases_of_the_schedule_are_in_the_history(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=10, schedule_every_s=1)
    sale.join(200)
    sale.follow_schedule()
    run_for(sale, 5000)
    event = sale.read()
    assert sum(entry.people for entry in event.history) == 50
    assert sum(release.people for release in event.releases) == 50
    assert sale.claim(50, 51) == ["seated", "not-yet"]


def test_every_movement_is_told_to_the_watchers(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=10, schedule_every_s=1)
    sale.join(200)
    sale.follow_schedule()
    before = sale.read().revision
    sale.pass_ms(500)
    sale.follow_schedule()
    assert sale.read().revision == before + 1


def test_a_new_generation_begins_with_an_empty_schedule(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=10, schedule_every_s=1)
    sale.join(200)
    sale.follow_schedule()
    sale.pass_ms(1000)
    sale.follow_schedule()
    sale.set_field("state", "deleted")
    anew = new_sale(schedule_people=10, schedule_every_s=1)
    assert anew.generation > sale.generation
    assert (anew.held("schedule"), anew.held("turnout")) == (None, None)
    anew.join(200)
    assert anew.follow_schedule()[2] == 0


# --- An ill backend ------------------------------------------------------------------------------


def test_an_ill_backend_stops_releases_and_windows(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60, window_s=60)
    sale.join(500)
    sale.follow_schedule(Seen.HEALTHY, gateway="a")
    assert run_for(sale, 10_000) == 10
    assert sale.follow_schedule(Seen.ILL, gateway="a")[3] == "ill"
    clock = sale.read().active_ms
    for _ in range(600):
        sale.pass_ms(1000)
        assert sale.follow_schedule(Seen.ILL, gateway="a")[2:] == (0, "ill")
    assert sale.read().active_ms == clock
    # Nobody's window ended meanwhile.
    sale.follow_schedule(Seen.HEALTHY, gateway="a")
    assert sale.claim(*range(1, 11)) == ["seated"] * 10


def test_a_backend_that_was_ill_is_come_back_to_gently(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=600, schedule_every_s=60)
    sale.join(5000)
    sale.follow_schedule(Seen.ILL, gateway="a")
    by_second: list[int] = []
    for _ in range(90):
        people = 0
        for _ in range(4):
            sale.pass_ms(250)
            people += sale.follow_schedule(Seen.HEALTHY, gateway="a")[2]
        by_second.append(people)
    assert sum(by_second[:10]) < 25
    assert sum(by_second[:30]) < sum(by_second[30:60])
    assert sum(by_second[60:70]) == pytest.approx(100, abs=1)


def test_places_are_filled_gently_too(new_sale: NewSale) -> None:
    sale = new_sale(fill=True, max_sessions=100)
    sale.join(5000)
    sale.follow_schedule(Seen.ILL, gateway="a")
    assert sale.follow_schedule(Seen.HEALTHY, gateway="a") == (0, 10, 10, "full")
    sale.pass_ms(4500)
    assert sale.follow_schedule(Seen.HEALTHY, gateway="a")[2] == 7


def test_one_of_four_gateways_that_sees_illness_slows_and_does_not_stop(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60)
    sale.join(500)
    for gateway in ("a", "b", "c"):
        sale.follow_schedule(Seen.HEALTHY, gateway=gateway)
    sale.follow_schedule(Seen.ILL, gateway="d")
    people = 0
    for _ in range(80):
        sale.pass_ms(500)
        for gateway in ("a", "b", "c"):
            people += sale.follow_schedule(Seen.HEALTHY, gateway=gateway)[2]
        people += sale.follow_schedule(Seen.ILL, gateway="d")[2]
    assert people == 30


def test_half_of_the_gateways_decide(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=1)
    sale.join(500)
    assert sale.follow_schedule(Seen.HEALTHY, gateway="a")[3] == "rate"
    assert sale.follow_schedule(Seen.ILL, gateway="b")[3] == "ill"
    # One that sees nothing of the site has no say.
    assert sale.follow_schedule(Seen.NOTHING, gateway="c")[3] == "ill"
    assert sale.follow_schedule(Seen.HEALTHY, gateway="c")[3] == "rate"


def test_what_a_gateway_saw_that_is_gone_counts_for_ten_seconds(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=1)
    sale.join(500)
    sale.follow_schedule(Seen.ILL, gateway="gone")
    for _ in range(9):
        sale.pass_ms(1000)
        assert sale.follow_schedule(gateway="other")[3] == "ill"
    sale.pass_ms(1000)
    assert sale.follow_schedule(gateway="other")[3] == "rate"
    assert sale.client.hlen(keyspace.backend(sale.read().event)) == 0


def test_windows_go_on_though_every_gateway_that_saw_illness_is_gone(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=1)
    sale.follow_schedule(Seen.ILL, gateway="gone")
    stood_at = sale.read().active_ms
    for _ in range(4):
        sale.pass_ms(5000)
        sale.read()
    assert sale.read().active_ms > stood_at


def test_an_operators_release_works_while_the_backend_is_ill(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60)
    sale.join(500)
    sale.follow_schedule(Seen.ILL, gateway="a")
    assert sale.release(5) == 5
    assert sale.claim(5) == ["seated"]


def test_the_status_tells_of_the_illness_and_the_pace(new_sale: NewSale) -> None:
    sale = new_sale(schedule_people=60, schedule_every_s=60)
    sale.join(500)
    sale.follow_schedule(Seen.ILL, gateway="a")
    ill = sale.read().schedule
    assert ill is not None
    assert (ill.reason, ill.pace_ms) == ("ill", LEAST_PACE_MS)
    for _ in range(60):
        sale.pass_ms(1000)
        sale.follow_schedule(Seen.HEALTHY, gateway="a")
    well = sale.read().schedule
    assert well is not None
    assert (well.reason, well.pace_ms) == ("rate", RECOVERY_MS)
