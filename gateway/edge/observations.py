"""What an event that only observes would have turned back, for the operator's log: the shapes of paths.

A forgotten entry of `open` (a webhook, an app's interface) shows here before the sale and not on its night.
Each shape is told once by each process, and no more than some hundreds: strangers cannot fill the log.
"""

import logging
import re
from typing import Final

from gateway.domain.positions import EventId

logger = logging.getLogger(__name__)

MOST_SHAPES: Final = 256
_DEEPEST: Final = 3

# A part of a path that is a word belongs to the site; any other may be a person's: a number, a code.
_WORD = re.compile(rb"[A-Za-z][A-Za-z_-]{0,23}(\.[a-z]{1,5})?|v[0-9]{1,2}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observations:
    """Writes a line for each event, outcome, method and shape of a path that is new."""

    def __init__(self, most: int = MOST_SHAPES) -> None:
        self._most = most
        self._told: set[tuple[EventId, str, str, str]] = set()

    def note(self, event: EventId, outcome: str, method: str, path: bytes) -> None:
        shown_method = method if method in _METHODS else "other"
        shape = (event, outcome, shown_method, shape_of(path))
        if shape in self._told or len(self._told) >= self._most:
            return
        self._told.add(shape)
        logger.info(
            "a request would have been turned back",
            extra={"event": event, "outcome": outcome, "method": shape[2], "shape": shape[3]},
        )
        if len(self._told) == self._most:
            logger.warning(
                "as many kinds of requests were told of as are remembered; see "
                "gateway_observed_decisions_total for the rest"
            )


def shape_of(path: bytes) -> str:
    """Return the words of a path, `*` for every part that is none, `…` for what lies deeper."""
    parts = path.split(b"/")[1:]
    shown = [
        part.decode("ascii") if not part or _WORD.fullmatch(part) else "*"
        for part in parts[:_DEEPEST]
    ]
    return "/" + "/".join(shown) + ("/…" if len(parts) > _DEEPEST else "")
