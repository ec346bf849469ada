"""Reconnecting: nobody is told twice what they know, and all come back at different times."""

from tests.integration.push.conftest import Watch
from tests.support.staging import Stage


def test_who_has_the_newest_is_told_nothing(stage: Stage, watch: Watch) -> None:
    stage.waiting()
    first = watch()
    known = first.frame().id
    back = watch(known=known)
    opening = [back.next(), back.next()]
    assert [event is not None and (event.name, event.data) for event in opening] == [("", b"")] * 2
    stage.release()
    assert back.frame().json()["served_up_to"] == 1


def test_who_missed_something_gets_the_newest_alone(stage: Stage, watch: Watch) -> None:
    for _ in range(3):
        stage.waiting()
    with watch() as gone:
        known = gone.frame().id
    for _ in range(3):
        stage.release()
    back = watch(known=known)
    assert back.frame().json()["served_up_to"] == 3
    assert back.is_silent()


def test_a_name_that_is_none_of_ours_changes_nothing(stage: Stage, watch: Watch) -> None:
    for known in ("0", "1-zzz", "\u00e9".encode().decode("latin-1"), "x" * 500):
        assert watch(known=known).frame().json()["served_up_to"] == 0


def test_everybody_is_given_another_time_to_come_back(stage: Stage, watch: Watch) -> None:
    retries = set()
    for _ in range(12):
        opening = watch().next()
        assert opening is not None
        assert opening.retry_ms is not None
        assert 1000 <= opening.retry_ms <= 15_000
        retries.add(opening.retry_ms)
    assert len(retries) > 6
