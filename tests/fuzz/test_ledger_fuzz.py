"""Answers of the ledger that no script of ours gives."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.fuzzing import fuzzed
from tests.support.oracles import ledger

NUMBERS = st.sampled_from(
    ["0", "1", "7", "-1", "1.5", "", "x", "nan", "9" * 4000, " 1", "1_0", "\u0661"]
)
WORDS = st.one_of(
    NUMBERS,
    st.sampled_from(
        ["open", "paused", "OPEN", "1-5,9-10", "5-1", "1:2:3", "1:2", "a b c d e", "lost"]
    ),
    st.text(max_size=6),
)
LISTS = st.lists(WORDS, max_size=6)

# The right kind of thing in every place, so that one wrong value is met and not the first alone.
_LISTS_AT = {17, 18, 19, 24}


@st.composite
def replies(draw: st.DrawFn) -> list[Any]:
    reply: list[Any] = [[] if at in _LISTS_AT else "0" for at in range(26)]
    reply[1], reply[2], reply[13], reply[14], reply[21], reply[23] = "3", "open", "", "", "", ""
    for at in draw(st.sets(st.integers(0, 25), max_size=3)):
        reply[at] = draw(LISTS if at in _LISTS_AT else WORDS)
    return reply[: draw(st.integers(0, 26))] if draw(st.integers(0, 9)) == 0 else reply


@fuzzed
@given(replies())
def test_an_answer_is_a_snapshot_or_lost_state(reply: list[Any]) -> None:
    ledger.snapshot(reply)


@fuzzed
@given(
    st.dictionaries(
        st.text(max_size=8),
        WORDS | st.lists(NUMBERS, min_size=4, max_size=4).map(" ".join),
        max_size=3,
    )
)
def test_what_gateways_told_is_read_or_left_out(held: dict[str, str]) -> None:
    ledger.evidence(held)
