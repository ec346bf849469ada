"""A ledger whose clock jumps: passes last as long as their sessions do, and not a moment longer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ledger import scripts
from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Tables, event_table, let_through, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.staging import Stage, own_server
from tests.support.visitors import Visitor

EVENT, HOST = "sale", "sale.example"
OFF_MS = "off-ms"
_NOW = "local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)"


@pytest.fixture
def stage(
    common_tables: Tables, short_folder: Path, mint: Mint, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """An event on a ledger whose clock is wrong by what a key of it says."""
    real = scripts.source

    def wrong(name: str) -> str:
        text = real(name)
        assert text.count(_NOW) == 1
        return text.replace(_NOW, f"{_NOW} + tonumber(redis.call('GET', '{OFF_MS}') or '0')")

    monkeypatch.setattr(scripts, "source", wrong)
    with own_server(short_folder) as server, Operator(server) as operator:
        tables = {
            **common_tables,
            "ledger": {"url": server.url, "poll_s": 0.1},
            f"events.{EVENT}": event_table(HOST),
        }
        settings = write_settings(server.folder / "gateway.toml", tables)
        operator.create(EVENT, session_s=300, max_sessions=2)
        with Gateway(settings).running() as gateway:
            yield Stage(gateway, operator, mint, EVENT)


def jump(stage: Stage, seconds: int) -> None:
    """Let the ledger's clock jump; the gateway has seen it."""
    direction = "ahead" if seconds > 0 else "back"
    before = jumps(stage, direction)
    stage.operator.server.command("INCRBY", OFF_MS, seconds * 1000)
    eventually(lambda: jumps(stage, direction) > before)


def with_pass_alone(stage: Stage) -> Visitor:
    visitor = stage.admitted()
    visitor.drop("queue")
    assert let_through(visitor.get("/book"))
    return visitor


def jumps(stage: Stage, direction: str) -> float:
    counted = stage.gateway.opened.metrics.registry.get_sample_value(
        "gateway_ledger_clock_jumps_total", {"direction": direction}
    )
    return counted or 0.0


def test_who_shows_a_pass_alone_stays_inside_while_the_session_runs(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = with_pass_alone(stage)
    before = visitor.held
    jump(stage, 600)
    assert let_through(visitor.get("/book"))
    # The answer brought a pass by the new clock: from then on no question is asked.
    assert visitor.held != before
    assert stage.operator.read(EVENT).active_sessions == 1
    assert jumps(stage, "ahead") == 1
    assert "the ledger's clock has jumped" in caplog.messages


def test_a_session_that_has_ended_is_over_whatever_the_clocks_say(stage: Stage) -> None:
    visitor, ended = with_pass_alone(stage), with_pass_alone(stage)
    stage.operator.end(EVENT, 2)
    eventually(lambda: ended.get("/book").status == 410)
    jump(stage, 600)
    assert ended.get("/book").verdict == (410, "window-missed")
    # The rest of the first one's time passes on the ledger's even clock.
    stage.elapse(301)
    visitor.cookies[f"pass-{EVENT}"] = visitor.held
    assert visitor.get("/book").verdict == (410, "window-missed")
    assert stage.operator.read(EVENT).active_sessions == 0


def test_a_clock_that_was_set_back_and_right_again_prolongs_nothing(stage: Stage) -> None:
    visitor = with_pass_alone(stage)
    jump(stage, -600)
    jump(stage, 600)
    assert jumps(stage, "back") == jumps(stage, "ahead") == 1
    assert let_through(visitor.get("/book"))
    stage.operator.end(EVENT, 1)
    eventually(lambda: visitor.get("/book").status == 410)


def test_while_the_ledger_is_away_nobody_is_told_that_a_session_is_over(stage: Stage) -> None:
    visitor = with_pass_alone(stage)
    jump(stage, 600)
    stage.operator.server.kill()
    assert visitor.get("/book").verdict == (503, "ledger-away")
