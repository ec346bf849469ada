"""Log lines: one for each record, whatever is in it, and nothing that a reader could be fooled by."""

import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import AnswerCutShort
from gateway.logs import JsonLines, is_worth_a_line

hostile = st.text() | st.sampled_from(
    [
        'x"}\n{"level":"info","message":"all is well"}',
        "\r\n",
        "\x1b[2J\x1b[31m",
        "\u2028\u2029\x85\x0b\x0c",
        "\ud800",
        "%s %d %(name)s",
        "\u202egnp.exe",
    ]
)


def line_of(message: str, extra: dict[str, object], context: dict[str, object]) -> str:
    record = logging.makeLogRecord(
        {"name": "gateway", "msg": message, "levelname": "INFO", **extra}
    )
    return JsonLines(lambda: context).format(record)


@given(hostile, hostile, hostile, hostile)
def test_a_record_is_one_line_of_json_whatever_is_in_it(
    message: str, added: str, request_id: str, name: str
) -> None:
    extra_name = "x_" + name
    line = line_of(message, {extra_name: added}, {"request_id": request_id})
    # Not for any reader of lines, nor for a terminal.
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()
    entry = json.loads(line)
    assert (entry["message"], entry[extra_name]) == (message, added)
    assert (entry["request_id"], entry["level"]) == (request_id, "info")


@given(hostile)
def test_an_exception_is_in_the_same_line(text: str) -> None:
    failure = ValueError(text)
    line = line_of("failed", {"exc_info": (ValueError, failure, None)}, {})
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert "ValueError" in json.loads(line)["exception"]


def test_what_any_stranger_can_cause_is_worth_no_line() -> None:
    cut = logging.makeLogRecord({"exc_info": (AnswerCutShort, AnswerCutShort(), None)})
    refused = logging.makeLogRecord(
        {"msg": "ASGI callable returned without completing handshake.", "levelno": logging.ERROR}
    )
    assert not is_worth_a_line(cut)
    assert not is_worth_a_line(refused)
    assert is_worth_a_line(logging.makeLogRecord({"msg": "the ledger is away"}))
