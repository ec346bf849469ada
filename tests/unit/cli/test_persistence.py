"""A release whose answer was lost is asked for again, under the same id, a few times."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import bridge
from gateway.cli.commands import release as release_command
from gateway.cli.root import gateway
from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import EventId, Generation, ServedUpTo
from gateway.errors import LedgerUnavailable, StateLost
from gateway.ports import Released


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "RETRY_AFTER_S", (0.0, 0.0, 0.0))


class FlakyLedger:
    """Loses the answers of its first releases."""

    def __init__(self, losses: int, waiting: int = 10) -> None:
        self.losses = losses
        self.waiting = waiting
        self.ids: list[str | None] = []

    async def read(self, event: EventId) -> EventSnapshot:
        return EventSnapshot(
            event=event,
            state=EventState.OPEN,
            generation=Generation(1),
            issued=self.waiting,
            served_up_to=ServedUpTo(0),
            policy=EventPolicy(),
            active_ms=0,
            active_sessions=0,
            claims=0,
            read_at_s=0,
            updated_at_ms=0,
        )

    async def release(self, event: EventId, **asked: Any) -> Released:
        if asked["dry_run"]:
            return Released(ServedUpTo(0), ServedUpTo(3), 3, False, False, True)
        self.ids.append(asked["request_id"])
        if len(self.ids) <= self.losses:
            raise LedgerUnavailable("timeout", "the ledger did not answer in time")
        return Released(ServedUpTo(0), ServedUpTo(3), 3, False, self.losses > 0, False)


def release(monkeypatch: pytest.MonkeyPatch, ledger: FlakyLedger, *words: str) -> Any:
    def ask(_: object, question: Callable[[Any], Awaitable[Any]]) -> Any:
        return asyncio.run(question(ledger))  # type: ignore[arg-type]

    monkeypatch.setattr(release_command, "ask_ledger", ask)
    return CliRunner().invoke(gateway, ["release", "sale", *words])


def test_a_lost_answer_is_asked_for_again_under_the_same_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = FlakyLedger(losses=2)

    assert release(monkeypatch, ledger, "3").exit_code == 0
    assert len(ledger.ids) == 3
    assert len(set(ledger.ids)) == 1
    assert ledger.ids[0] is not None
    assert len(ledger.ids[0]) == 32


def test_two_commands_never_share_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FlakyLedger(0), FlakyLedger(0)
    release(monkeypatch, first, "3")
    release(monkeypatch, second, "3")

    assert first.ids != second.ids


def test_it_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = FlakyLedger(losses=99)

    ended = release(monkeypatch, ledger, "3")

    assert isinstance(ended.exception, LedgerUnavailable)
    assert len(ledger.ids) == 4


@pytest.mark.parametrize(
    "trouble",
    [StateLost("issued"), LedgerUnavailable("no-permission"), LedgerUnavailable("layout")],
)
def test_what_does_not_pass_by_itself_is_not_repeated(trouble: LedgerUnavailable) -> None:
    calls = 0

    async def act() -> None:
        nonlocal calls
        calls += 1
        raise trouble

    with pytest.raises(LedgerUnavailable):
        asyncio.run(bridge.persistently(act))
    assert calls == 1


@pytest.mark.parametrize(
    ("waiting", "amount", "asked"),
    [(100, 1000, False), (100, 1001, True), (99, 1000, True), (0, 999, False), (0, 1000, True)],
)
def test_only_ten_times_who_waits_and_a_thousand_is_out_of_the_ordinary(
    monkeypatch: pytest.MonkeyPatch, waiting: int, amount: int, asked: bool
) -> None:
    for words in ((str(amount),), ("--to", str(amount))):
        ledger = FlakyLedger(0, waiting)
        release(monkeypatch, ledger, *words)
        assert (ledger.ids == []) is asked
