"""Every key of the ledger. `{…}` is the hash tag that keeps one event on one Cluster slot."""

from gateway.domain.positions import EventId, Generation, Position

INDEX = "q:events"
"""The set of all events ever created."""

CHANGES_PATTERN = "q:{*}:state:changed"
_CHANGES_PREFIX = "q:{"
_CHANGES_SUFFIX = "}:state:changed"

# 2^16 bits are 8 KiB: a range of positions that are claimed within minutes of each other.
CLAIMED_BITS = 16


def key(event: EventId, name: str) -> str:
    return f"q:{{{event}}}:{name}"


def event_keys(event: EventId) -> list[str]:
    """KEYS[1..10] of every script, in the order that the prelude names them."""
    return [
        key(event, name)
        for name in (
            "state",
            "issued",
            "served",
            "releases",
            "sessions",
            "config",
            "ended",
            "extends",
            "gateways",
            "healing",
        )
    ]


def batches(event: EventId) -> str:
    return key(event, "batches")


def subs(event: EventId) -> str:
    return key(event, "subs")


def idempotency_row(event: EventId, idempotency_hash: str) -> str:
    return key(event, f"join:{idempotency_hash}")


def log(event: EventId) -> str:
    """The operator log; what else there is of an event may go, and this stays."""
    return key(event, "log")


def release_record(event: EventId, request_id: str) -> str:
    return key(event, f"release:{request_id}")


def backend(event: EventId) -> str:
    """What each gateway last saw of the site behind it, for the schedule."""
    return key(event, "backend")


def samples(event: EventId) -> str:
    """How the event stood every few seconds: a stream of bounded length."""
    return key(event, "samples")


def handover(event: EventId, code_hash: str) -> str:
    return key(event, f"handover:{code_hash}")


def evidence(event: EventId) -> str:
    """What gateways know from tokens alone of an event whose state is lost."""
    return key(event, "evidence")


def claimed_bit(event: EventId, generation: Generation, position: Position) -> tuple[str, int, str]:
    """Return the bitmap that notes whether `position` has had its session, its bit, and the range."""
    chunk = str(position >> CLAIMED_BITS)
    return (
        key(event, f"claimed:{generation}:{chunk}"),
        position & ((1 << CLAIMED_BITS) - 1),
        chunk,
    )


def event_of_channel(channel: str) -> str:
    return channel.removeprefix(_CHANGES_PREFIX).removesuffix(_CHANGES_SUFFIX)
