"""The files that a proxy's own script reads: what they say, and in which order they are written."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from gateway.proxyconfig import Knowledge
from gateway.proxyconfig.knowledge import pass_head, place_head
from gateway.proxyconfig.known_files import KnownFiles, KnownFilesSync

KEY = generate_private_key(SECP256R1()).public_key()
NOW_S = 1_800_000_000.7


@pytest.fixture
def files(tmp_path: Path) -> KnownFiles:
    files = KnownFiles(tmp_path)
    files.set_up()
    return files


def known(ended: Iterable[int] = (), generation: int = 7) -> Knowledge:
    return Knowledge(generation, dict.fromkeys(ended, 2_000_000_000), {"k1": KEY}, clock_ahead_s=2)


def test_nothing_is_known_before_a_sync_ran(files: KnownFiles) -> None:
    assert files.known.read_text().splitlines() == [
        "generation 0",
        "clock-ahead 0",
        "good-for 0",
        "good-until 0",
    ]


def test_a_step_says_what_holds_and_until_when(files: KnownFiles) -> None:
    step = KnownFilesSync(files, good_for_s=5).tell(known([3]), read_at_s=NOW_S)
    lines = files.known.read_text().splitlines()
    assert lines[:4] == ["generation 7", "clock-ahead 2", "good-for 5", "good-until 1800000005"]
    assert [line.split(" ")[:2] for line in lines[4:]] == [
        ["pass", pass_head("k1")],
        ["place", place_head("k1")],
    ]
    assert files.ended_before() == {"7-3"}
    assert (step.reload, step.whole, step.generation, step.ended, step.keys) == (
        *(False, True),
        *(7, 1, 1),
    )


def test_who_was_ended_is_said_before_the_mark_moves(
    files: KnownFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = KnownFilesSync(files, good_for_s=5)
    sync.tell(known(), read_at_s=NOW_S)
    before = files.known.read_text()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(KnownFiles, "write", fail)
    with pytest.raises(OSError, match="no room"):
        sync.tell(known([3]), read_at_s=NOW_S + 1)
    assert files.ended_before() == {"7-3"}
    assert files.known.read_text() == before


def test_where_a_session_cannot_be_said_to_be_ended_the_mark_does_not_move(
    files: KnownFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = KnownFilesSync(files, good_for_s=5)
    sync.tell(known(), read_at_s=NOW_S)
    before = files.known.read_text()

    def fail(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as away:
        away.setattr(KnownFiles, "end", fail)
        with pytest.raises(OSError, match="no room"):
            sync.tell(known([3]), read_at_s=NOW_S + 1)
    assert files.known.read_text() == before
    # What failed is done at the next step.
    sync.tell(known([3]), read_at_s=NOW_S + 2)
    assert files.ended_before() == {"7-3"}


def test_a_sync_that_starts_anew_goes_on_from_the_files(files: KnownFiles) -> None:
    KnownFilesSync(files, good_for_s=5).tell(known([3, 4]), read_at_s=NOW_S)
    again = KnownFilesSync(files, good_for_s=5)
    assert again.tell(known([4, 5]), read_at_s=NOW_S + 1).whole
    assert files.ended_before() == {"7-3", "7-4", "7-5"}
    assert not again.tell(known([4, 5]), read_at_s=NOW_S + 62).whole
    assert files.ended_before() == {"7-4", "7-5"}


@pytest.mark.parametrize(("later_s", "left"), [(30, True), (61, False), (-3600, False)])
def test_what_is_over_goes_a_minute_later(files: KnownFiles, later_s: int, left: bool) -> None:
    sync = KnownFilesSync(files, good_for_s=5)
    sync.tell(known([3]), read_at_s=NOW_S)
    sync.tell(known([3], generation=8), read_at_s=NOW_S + 1)
    assert files.ended_before() == {"7-3", "8-3"}
    sync.tell(known([3], generation=8), read_at_s=NOW_S + 1 + later_s)
    assert files.ended_before() == ({"7-3", "8-3"} if left else {"8-3"})


def test_who_is_needed_again_stays(files: KnownFiles) -> None:
    sync = KnownFilesSync(files, good_for_s=5)
    for seconds, ended in ((0, [3]), (1, []), (30, [3]), (70, []), (100, [])):
        sync.tell(known(ended), read_at_s=NOW_S + seconds)
    assert files.ended_before() == {"7-3"}
