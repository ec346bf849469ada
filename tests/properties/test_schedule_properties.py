"""What the schedule's reckoning never does, whatever comes; the ledger's own is held to it by a test."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.backoff import LEAST_PACE_MS, RECOVERY_MS, BackendHealth, Seen, next_pace
from gateway.domain.pacing import SPARED_MS, Moment, Rules, ScheduleState, begin, follow
from gateway.domain.turnout import AGES, SLOTS, Turnout

thorough = settings(deadline=None, max_examples=100)

WIDTH_MS = 1000

# Each step: ms that pass, people let in, and how many of those at the door come.
steps = st.lists(
    st.tuples(st.integers(0, 30_000), st.integers(0, 200), st.integers(0, 200)), max_size=40
)


def lived(course: list[tuple[int, int, int]]) -> tuple[Turnout, int, int]:
    """Return the turnout after a course, everybody let in, and everybody who came."""
    turnout, now_ms, pointer, came = Turnout(WIDTH_MS), 0, 0, 0
    for passed_ms, people, coming in course:
        now_ms += passed_ms
        turnout.catch_up(now_ms)
        pointer += people
        turnout.note_released(pointer, people)
        for cohort in list(turnout.cohorts):
            for _ in range(min(coming, cohort.people - cohort.came)):
                turnout.note_claimed(cohort.turn, 10)
                came += 1
    return turnout, pointer, came


@thorough
@given(steps)
def test_chances_are_chances_and_fall_with_age(course: list[tuple[int, int, int]]) -> None:
    chances = lived(course)[0].chances()
    assert len(chances) == AGES
    assert all(0 <= chance <= 1 for chance in chances)
    assert chances[0] > 0
    assert chances == sorted(chances, reverse=True)


@thorough
@given(steps)
def test_as_many_are_at_the_door_as_were_let_in_did_not_come_and_are_in_time(
    course: list[tuple[int, int, int]],
) -> None:
    turnout, let_in, came = lived(course)
    people, will_come = turnout.at_the_door()
    assert 0 <= will_come <= people <= let_in - came
    turnout.catch_up(turnout.slot * WIDTH_MS + AGES * WIDTH_MS)
    assert turnout.at_the_door() == (0, 0)


@thorough
@given(steps)
def test_what_is_kept_is_read_as_it_was(course: list[tuple[int, int, int]]) -> None:
    kept = lived(course)[0].format()
    read = Turnout.parse(kept)
    assert read is not None
    assert read.format() == kept


def test_before_anything_was_seen_everybody_comes() -> None:
    turnout = Turnout(WIDTH_MS)
    turnout.note_released(10, 10)
    assert turnout.at_the_door() == (10, 10)


def test_what_is_seen_of_one_window_is_what_is_expected_of_the_next() -> None:
    turnout = Turnout(WIDTH_MS)
    for slot in range(200):
        turnout.catch_up(slot * WIDTH_MS)
        turnout.note_released(100 * (slot + 1), 100)
        for _ in range(30):
            turnout.note_claimed(100 * (slot + 1), 10)
    assert abs(turnout.chances()[0] - 0.3) < 0.05
    assert turnout.chances()[SLOTS // 2] < 0.05


rules = st.builds(
    Rules,
    people=st.integers(0, 1000),
    every_s=st.integers(1, 3600),
    max_sessions=st.integers(0, 500),
    overshoot=st.integers(0, 500),
)
calls = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.integers(0, 1000),
        st.integers(0, 500),
        st.integers(0, 500),
        st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=30,
)


@thorough
@given(rules, steps, calls)
def test_no_course_exceeds_the_rate_the_limit_or_what_is_waiting(
    rule: Rules,
    course: list[tuple[int, int, int]],
    called: list[tuple[int, int, int, int, float]],
) -> None:
    turnout = lived(course)[0]
    state: ScheduleState | None = None
    open_ms = let_in = 0
    for passed_ms, waiting, active, ending, ill_share in called:
        open_ms += passed_ms
        moment = Moment(open_ms, waiting, active, 0, ending, ill_share)
        at_the_door = turnout.at_the_door()[0]
        state, people = follow(state or begin(moment), rule, turnout, moment)
        let_in += people
        assert 0 <= people <= waiting
        if ill_share >= 0.5:
            assert people == 0
        if people and rule.max_sessions:
            assert active + at_the_door + people <= rule.max_sessions + rule.overshoot
        if rule.people:
            # In any span: the rate, and what an interval has stored.
            assert let_in * rule.every_s * 1000 <= rule.people * (open_ms + rule.every_s * 1000)
            assert 0 <= state.credit <= rule.most_credit
        turnout.note_released(turnout.served + people, people)


@thorough
@given(st.integers(1, 100), st.integers(1, 60), st.lists(st.integers(0, 800), max_size=40))
def test_how_often_it_is_called_changes_nothing(people: int, every_s: int, gaps: list[int]) -> None:
    def let_in(instants: list[int]) -> int:
        rule, turnout, total = Rules(people, every_s, 0, 0), Turnout(WIDTH_MS), 0
        state = begin(Moment(0, 0, 0, 0))
        for at in instants:
            state, count = follow(state, rule, turnout, Moment(at, 10**9, 0, 0))
            total += count
        return total

    last = sum(gaps)
    end = last + SPARED_MS
    often = [sum(gaps[: i + 1]) for i in range(len(gaps))] + [end]
    every_second = [*range(0, last, 1000), last, end]
    assert let_in(often) == let_in(every_second) == people * end // (every_s * 1000)


@thorough
@given(
    st.integers(LEAST_PACE_MS, RECOVERY_MS), st.floats(0, 1), st.integers(0, 10**6), st.booleans()
)
def test_a_pace_stays_within_its_bounds(pace: int, share: float, ms: int, well: bool) -> None:
    after = next_pace(pace, 0 if well else share, ms)
    assert LEAST_PACE_MS <= after <= RECOVERY_MS
    assert after >= pace if well else (after <= pace or share == 0)


@thorough
@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=80))
def test_a_backend_without_failures_is_never_ill(answers: list[tuple[float, bool]]) -> None:
    health, now_s = BackendHealth(), 1000.0
    for passed_s, _ in answers:
        now_s += passed_s
        health.note(failed=False, now_s=now_s)
        assert health.seen(now_s) is not Seen.ILL
