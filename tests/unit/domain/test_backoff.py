import pytest

from gateway.domain.backoff import (
    LEAST_PACE_MS,
    RECOVERY_MS,
    REMEMBERED_S,
    BackendHealth,
    Seen,
    is_failure,
    next_pace,
)


def asked(health: BackendHealth, answers: str, *, at_s: float = 100.0) -> Seen:
    """Let the backend answer `.` well and `x` with a failure, all at once; return what is seen."""
    for answer in answers:
        health.note(failed=answer == "x", now_s=at_s)
    return health.seen(at_s)


def test_nothing_is_seen_without_requests() -> None:
    assert BackendHealth().seen(0) is Seen.NOTHING


def test_a_few_failures_are_no_judgement() -> None:
    assert asked(BackendHealth(), "xxx") is Seen.NOTHING


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ("..........", Seen.HEALTHY),
        ("......xxxx", Seen.HEALTHY),
        (".....xxxxx", Seen.ILL),
        ("xxxxxxxxxx", Seen.ILL),
    ],
)
def test_half_of_the_answers_decide(answers: str, seen: Seen) -> None:
    assert asked(BackendHealth(), answers) is seen


def test_who_was_ill_is_well_only_once_few_fail() -> None:
    health = BackendHealth()
    assert asked(health, "xxxxxxxxxx", at_s=100) is Seen.ILL
    # The failures of before are forgotten; a third still fails.
    assert asked(health, "xxx......", at_s=111) is Seen.ILL
    assert asked(health, "xxx.......", at_s=115) is Seen.ILL
    assert asked(health, "..............", at_s=116) is Seen.HEALTHY


def test_what_is_long_ago_says_nothing() -> None:
    health = BackendHealth()
    assert asked(health, "xxxxxxxxxx", at_s=100) is Seen.ILL
    assert health.seen(100 + REMEMBERED_S + 1.5) is Seen.NOTHING


def test_a_probe_needs_fewer_answers() -> None:
    assert asked(BackendHealth(3), "xxx") is Seen.ILL
    assert asked(BackendHealth(3), "...") is Seen.HEALTHY


@pytest.mark.parametrize("status", [500, 502, 503, 504, 508, 599])
def test_a_backend_that_cannot_cope_fails(status: int) -> None:
    assert is_failure(status)


@pytest.mark.parametrize("status", [200, 204, 302, 404, 429, 499, 501, 505])
def test_any_other_answer_is_one(status: int) -> None:
    assert not is_failure(status)


def test_the_pace_falls_at_once_to_the_part_that_sees_no_illness() -> None:
    assert next_pace(RECOVERY_MS, 0.25, 250) == RECOVERY_MS * 3 // 4
    assert next_pace(RECOVERY_MS // 2, 0.25, 250) == RECOVERY_MS // 2


def test_the_pace_never_falls_to_nothing() -> None:
    assert next_pace(RECOVERY_MS, 1.0, 250) == LEAST_PACE_MS


def test_the_pace_grows_back_within_a_minute() -> None:
    pace = next_pace(RECOVERY_MS, 1.0, 250)
    for _ in range(240):
        pace = next_pace(pace, 0.0, 250)
    assert pace == RECOVERY_MS
