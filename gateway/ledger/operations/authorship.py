"""On whose word an act is done: what the scripts are told of it, and what the process log says."""

import logging

from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId
from gateway.ledger import records

logger = logging.getLogger(__name__)


def author_words(author: Author | None) -> list[str]:
    """What author.lua takes; no name where it is no operator who asks."""
    return ["", ""] if author is None else [author.name, author.reason]


def note_act(act: str, event: EventId, author: Author | None, head: str) -> None:
    """Say in the process log what was done, with the head of the operator log."""
    if author is not None and (at := records.parse_log_head(head)) is not None:
        logger.info(
            "operator act",
            extra={
                "event": event,
                "act": act,
                "by": author.name,
                "entry": at.seq,
                "head": at.hash,
            },
        )
