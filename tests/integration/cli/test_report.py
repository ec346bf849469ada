"""`gateway report`: one file that says how a sale went."""

import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.positions import EventId
from gateway.domain.samples import EVERY_S
from gateway.domain.waiting import Wait
from gateway.ledger import keyspace
from gateway.ledger.redis import RedisLedger
from tests.support.command_line import Operator, Sale


@pytest.fixture
def sampled(operator: Operator, sale: Sale) -> Sale:
    """A sale of which three samples were taken, an interval apart."""
    name = keyspace.samples(EventId(sale.event))

    async def sample(ledger: RedisLedger) -> None:
        # The server's clock cannot be set: what is there grows older.
        noted: Any = await ledger.redis.xrange(name)
        await ledger.redis.delete(name)
        for entry_id, fields in noted:
            earlier = int(entry_id.partition("-")[0]) - 2 * EVERY_S * 1000
            await ledger.redis.xadd(name, fields, id=f"{earlier}-0")
        await ledger.sample(EventId(sale.event), Wait(10, 60))

    for people in (5, 3, 2):
        sale.join(people)
        sale.ask(sample)
        operator("release", sale.event, 4)
    return sale


def test_it_is_written_and_tells_what_it_holds(operator: Operator, sampled: Sale) -> None:
    said = operator("report", sampled.event, "--json")

    assert said.code == 0
    document = said.document
    assert (document["samples"], document["issued"], document["most_waiting"]) == (3, 10, 5)
    assert document["to"] - document["from"] in (40, 50)
    page = (operator.folder / document["file"]).read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<svg") == 5
    assert "http" not in page.replace("http-equiv", "")


def test_it_goes_where_it_is_asked_to_and_replaces_what_is_there(
    operator: Operator, sampled: Sale, tmp_path: Path
) -> None:
    file = tmp_path / "friday.html"
    file.write_text("an older one")
    operator("report", sampled.event, "--out", file)
    assert "an older one" not in file.read_text("utf-8")
    assert file.stat().st_mode & stat.S_IRUSR
    assert [path.name for path in tmp_path.iterdir()] == ["friday.html"]
    out = operator("report", sampled.event, "--out", "-").out
    assert out.startswith("<!DOCTYPE html>")


def test_before_two_samples_there_is_nothing_to_plot(typed: Operator, sale: Sale) -> None:
    ran = typed("report", sale.event)
    assert ran.code == 4
    assert "no two samples" in ran.err
    assert not (typed.folder / f"report-{sale.event}.html").exists()


def test_what_is_not_there_has_no_report(typed: Operator) -> None:
    assert typed("report", "nowhere").code == 3


def test_a_folder_that_is_not_there_is_named(typed: Operator, sampled: Sale) -> None:
    ran = typed("report", sampled.event, "--out", "nowhere/report.html")
    assert ran.code == 1
    assert "nowhere" in ran.err
