"""The chain of the operator log: whatever is done to it shows; who acts is written on one plain line."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.operator_log import (
    FIRST_PREVIOUS,
    LONGEST_NAME,
    LONGEST_REASON,
    Author,
    Head,
    Logged,
    OperatorLog,
    canonical,
    hash_of,
    read_entry,
    verify,
)
from gateway.errors import BadInput


def chain(length: int, event: str = "sale", **changes: object) -> OperatorLog:
    """Return a whole log; `changes` are made to what the last entry says."""
    entries: list[Logged] = []
    previous = FIRST_PREVIOUS
    for seq in range(1, length + 1):
        said: dict[str, object] = {
            "seq": seq,
            "at": 1_790_000_000_000 + seq,
            "event": event,
            "generation": 7,
            "act": "pause",
            "by": "ada",
            "reason": "",
            "before": {"state": "open"},
            "after": {"state": "paused"},
            "prev": previous,
        }
        text = canonical({**said, **(changes if seq == length else {})})
        previous = hash_of(text)
        entries.append(Logged(text, previous))
    return OperatorLog(Head(length, previous) if entries else None, entries)


def test_a_chain_is_whole_from_nothing_on() -> None:
    for length in (0, 1, 2, 50):
        verdict = verify("sale", chain(length))
        assert (verdict.faults, verdict.notices) == ([], [])


@given(st.data())
def test_whatever_is_changed_in_any_entry_is_found(data: st.DataObject) -> None:
    log = chain(data.draw(st.integers(1, 8)))
    index = data.draw(st.integers(0, len(log.entries) - 1))
    text = log.entries[index].text
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[at]))
    changed = [*log.entries]
    changed[index] = replace(changed[index], text=text[:at] + other + text[at + 1 :])
    assert not verify("sale", OperatorLog(log.head, changed)).is_whole


@given(st.data())
def test_an_entry_that_is_changed_and_hashed_anew_is_found(data: st.DataObject) -> None:
    log = chain(data.draw(st.integers(1, 8)))
    index = data.draw(st.integers(0, len(log.entries) - 1))
    said = json.loads(log.entries[index].text)
    said["by"] = "mallory"
    text = canonical(said)
    changed = [*log.entries]
    changed[index] = Logged(text, hash_of(text))
    assert not verify("sale", OperatorLog(log.head, changed)).is_whole


@given(st.integers(2, 8), st.data())
def test_entries_that_are_taken_out_doubled_or_swapped_are_found(
    length: int, data: st.DataObject
) -> None:
    log = chain(length)
    order = data.draw(
        st.lists(st.integers(0, length - 1), max_size=length + 2).filter(
            lambda order: order != list(range(length))
        )
    )
    shuffled = [log.entries[index] for index in order]
    assert not verify("sale", OperatorLog(log.head, shuffled)).is_whole


def test_a_gap_is_named_by_its_numbers() -> None:
    log = chain(9)
    for left_out, told in (
        ({1}, "missing: 1"),
        ({4}, "missing: 4"),
        ({4, 5, 6}, "missing: 4 to 6"),
    ):
        kept = [logged for seq, logged in enumerate(log.entries, 1) if seq not in left_out]
        assert verify("sale", OperatorLog(log.head, kept)).faults == [told]


def test_an_end_that_is_cut_off_is_found_by_the_head() -> None:
    log = chain(5)
    verdict = verify("sale", OperatorLog(log.head, log.entries[:4]))
    assert verdict.faults == ["entry 5, the latest by the event's state, is not in the log"]


def test_an_end_that_is_cut_off_with_its_head_is_found_by_a_hash_that_was_kept() -> None:
    log = chain(5)
    cut = OperatorLog(Head(4, log.entries[3].hash), log.entries[:4])
    assert verify("sale", cut).is_whole
    assert verify("sale", cut, kept=[log.entries[2].hash]).is_whole
    assert not verify("sale", cut, kept=[log.entries[4].hash]).is_whole


def test_what_was_appended_since_the_head_was_read_is_no_fault() -> None:
    log = chain(5)
    assert verify("sale", OperatorLog(Head(4, log.entries[3].hash), log.entries)).is_whole


def test_a_lost_head_is_told_and_is_no_fault() -> None:
    verdict = verify("sale", OperatorLog(None, chain(3).entries))
    assert verdict.is_whole
    assert len(verdict.notices) == 1


def test_the_log_of_another_event_is_not_taken_for_this_one() -> None:
    assert not verify("sale", chain(3, event="fair")).is_whole


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (
            {"healed": "1 lost 5 9 0", "last_head": "41 ab"},
            "after a loss; the last head that a gateway knew: 41 ab",
        ),
        (
            {"healed": "", "last_head": ""},
            "without a loss that is known of; what came before is not known",
        ),
    ],
)
def test_a_log_that_begins_anew_says_what_it_lacks(after: dict[str, str], told: str) -> None:
    verdict = verify("sale", chain(1, act="begin", by="ledger", after=after))
    assert verdict.is_whole
    assert verdict.notices == [f"entry 1 begins the log anew, {told}"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"seq":1}',
        chain(1).entries[0].text + " ",
        chain(1).entries[0].text.replace(',"', ', "', 1),
        chain(1).entries[0].text[:-1] + ',"more":1}',
        chain(1, seq=True).entries[0].text,
        chain(1, seq="1").entries[0].text,
        chain(1, at=1.5).entries[0].text,
        chain(1, by=None).entries[0].text,
        chain(1, before=[]).entries[0].text,
    ],
)
def test_what_is_no_entry_is_not_read_as_one(text: str) -> None:
    assert read_entry(text) is None
    log = OperatorLog(None, [Logged(text, hash_of(text))])
    assert verify("sale", log).faults == ["what stands at place 1 is no entry"]


def test_an_author_is_one_plain_line() -> None:
    assert Author.of(" ada\x1b[2J\n lovelace ", "to\tsee\u202e it") == Author(
        "ada [2J lovelace", "to see it"
    )
    assert Author.of("Zoë 東京").name == "Zoë 東京"


def test_an_author_has_a_name_and_bounds() -> None:
    assert Author.of("n" * LONGEST_NAME, "r" * LONGEST_REASON).reason == "r" * LONGEST_REASON
    for name, reason in (
        ("", ""),
        (" \n", ""),
        ("n" * (LONGEST_NAME + 1), ""),
        ("n", "r" * (LONGEST_REASON + 1)),
    ):
        with pytest.raises(BadInput):
            Author.of(name, reason)


@given(st.text(max_size=300))
def test_no_control_character_gets_into_an_author(text: str) -> None:
    try:
        author = Author.of("n", text)
    except BadInput:
        return
    assert author.reason.isprintable()
    assert len(author.reason) <= LONGEST_REASON
