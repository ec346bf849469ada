"""What stands before a new place: the limit, the challenge, and the warning in place of a limit."""

import logging

import pytest

from gateway.domain.admission import ProblemType
from gateway.domain.join_limits import JoinLimit, JoinLimits
from gateway.domain.peers import Source
from gateway.domain.positions import EventId
from gateway.join_guard import Challenge, LimitedJoins, load_challenge

EVENT = EventId("sale")


class FixedClock:
    def now_s(self) -> float:
        return 0.0

    def monotonic_s(self) -> float:
        return 0.0

    def ahead_s(self) -> float:
        return 0.0


def guard(burst: int | None = 1, challenge: Challenge | None = None) -> LimitedJoins:
    limits = None if burst is None else JoinLimits(JoinLimit(burst, 60.0))
    return LimitedJoins(FixedClock(), limits, challenge)


async def knows_the_word(event: EventId, address: str | None, answer: str | None) -> bool:
    return (event, answer) == (EVENT, "swordfish")


@pytest.mark.anyio
async def test_the_second_join_beyond_the_limit_is_told_when_to_come_again() -> None:
    limited, source = guard(), Source("192.0.2.1")
    assert await limited.refuses(EVENT, source, None) is None
    refused = await limited.refuses(EVENT, source, None)
    assert refused is not None
    assert refused.problem is ProblemType.TOO_MANY_JOINS
    assert refused.retry_after_s is not None
    assert refused.retry_after_s >= 1


@pytest.mark.anyio
async def test_behind_a_proxy_that_is_not_configured_the_limit_only_warns_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limited, source = guard(), Source("10.0.0.5", unconfigured_proxy="10.0.0.5")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert await limited.refuses(EVENT, source, None) is None
    (record,) = caplog.records
    assert vars(record)["add"] == '[server] trusted_proxies = ["10.0.0.5"]'


@pytest.mark.anyio
async def test_a_unix_socket_has_no_address_and_no_limit() -> None:
    limited = guard()
    for _ in range(3):
        assert await limited.refuses(EVENT, Source(None), None) is None
        assert await limited.refuses(EVENT, None, None) is None


@pytest.mark.anyio
@pytest.mark.parametrize(("answer", "refused"), [(None, True), ("x", True), ("swordfish", False)])
async def test_a_wrong_answer_to_the_challenge_is_refused(
    answer: str | None, refused: bool
) -> None:
    challenged = guard(None, knows_the_word)
    found = await challenged.refuses(EVENT, None, answer)
    assert (found is not None) is refused
    if found is not None:
        assert found.problem is ProblemType.CHALLENGE_REQUIRED


def test_a_challenge_is_named_by_module_and_function() -> None:
    assert load_challenge("tests.unit.test_join_guard:knows_the_word").__name__ == "knows_the_word"


@pytest.mark.parametrize("name", ["nonsense", "no.such:thing", "gateway.errors:no_such_thing"])
def test_a_challenge_that_cannot_be_found_is_a_mistake(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not package|cannot be imported"):
        load_challenge(name)
