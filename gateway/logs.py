"""One JSON object a line. A token, a cookie or a query never gets here; control characters are escaped."""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from gateway.errors import AnswerCutShort

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record and its `extra` fields as one line.

    Args:
        context: Returns the fields that belong to every line written just now.
    """

    def __init__(self, context: Callable[[], Mapping[str, object]]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._context(),
        }
        entry |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's traceback of an answer that was broken off on purpose, and its word on every
    WebSocket that was refused with an answer: any stranger could fill the log with those.
    """
    if record.exc_info and isinstance(record.exc_info[1], AnswerCutShort):
        return False
    return record.msg != "ASGI callable returned without completing handshake."


def set_up_logging(level: str, context: Callable[[], Mapping[str, object]] = dict) -> None:
    """Send every logger's lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(context))
    handler.addFilter(is_worth_a_line)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn brings handlers of its own, and an access log that would hold every target.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
