"""The memory of verified tokens: bounded, oldest out first, and forgetful of keys that left."""

import pytest

from gateway.domain.claims import QueueClaims
from gateway.domain.positions import EventId, Generation, Position
from gateway.tokens.cache import VerifiedToken, VerifiedTokens, digest_of


def token(position: int, kid: str = "a") -> VerifiedToken:
    claims = QueueClaims("iss", EventId("sale"), "v", Position(position), Generation(1), 1, 2)
    return VerifiedToken(claims, kid)


def key(number: int) -> bytes:
    return digest_of(str(number).encode())


def test_a_kept_token_is_found_by_its_exact_bytes() -> None:
    memory = VerifiedTokens()
    memory.keep(digest_of(b"one"), token(1))
    assert memory.find(digest_of(b"one")) == token(1)
    assert memory.find(digest_of(b"one ")) is None
    assert len(digest_of(b"one")) == 16


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 17, 100])
def test_it_never_holds_more_than_its_limit_and_the_newest_stay(limit: int) -> None:
    memory = VerifiedTokens(limit)
    for number in range(3 * limit + 5):
        memory.keep(key(number), token(number + 1))
        assert len(memory) <= limit
        assert memory.find(key(number)) == token(number + 1)
    newest = range(3 * limit + 5 - max(1, limit // 2), 3 * limit + 5)
    assert all(memory.find(key(number)) is not None for number in newest)
    assert memory.find(key(0)) is None


def test_a_full_memory_drops_the_oldest_in_a_batch() -> None:
    memory = VerifiedTokens(32)
    for number in range(33):
        memory.keep(key(number), token(1))
    assert len(memory) == 31
    assert [memory.find(key(number)) is None for number in range(3)] == [True, True, False]


def test_keeping_a_known_token_again_drops_nothing() -> None:
    memory = VerifiedTokens(2)
    for number in (1, 2, 2):
        memory.keep(key(number), token(number))
    assert [memory.find(key(number)) for number in (1, 2)] == [token(1), token(2)]


def test_a_memory_of_no_entries_keeps_nothing() -> None:
    memory = VerifiedTokens(0)
    memory.keep(key(1), token(1))
    assert len(memory) == 0


def test_a_key_that_left_takes_its_tokens_along_and_no_others() -> None:
    memory = VerifiedTokens()
    memory.keep(key(1), token(1, "a"))
    memory.keep(key(2), token(2, "b"))
    memory.forget_keys({"a", "never-seen"})
    assert memory.find(key(1)) is None
    assert memory.find(key(2)) == token(2, "b")
    memory.forget_keys(())
    assert len(memory) == 1
