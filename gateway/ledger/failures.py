"""Turns what the client library raises into our own errors. Nothing of redis-py passes this module."""

from collections.abc import Generator
from contextlib import contextmanager

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.errors import (
    Conflict,
    EventGone,
    EventHealing,
    GatewayError,
    GenerationOver,
    LedgerUnavailable,
    RequestIdReused,
    StateLost,
)

_STATE_ADVICE = {
    "scheduled": "The event is not open yet. Open it first: gateway event open EVENT",
    "paused": "The event is paused. Resume it first: gateway event resume EVENT",
    "closed": "The event is closed.",
    "open": "The event is open already.",
    "bypass": "The gate stands open (bypass). End it first: gateway event open EVENT",
}

_MOVED = ("moved", "the event's slot is moving from one node of the Cluster to another")

_CAUSES: tuple[tuple[type[Exception], str, str], ...] = (
    (
        ReadOnlyError,
        "read-only",
        "the server is a read-only replica; the URL must name the primary",
    ),
    (NoPermissionError, "no-permission", "the ledger's user lacks a right that its scripts need"),
    (AuthenticationError, "no-permission", "the server refused the ledger's user or password"),
    (AuthorizationError, "no-permission", "the server refused the ledger's user"),
    (OutOfMemoryError, "out-of-memory", "the server is at its maxmemory"),
    (BusyLoadingError, "loading", "the server is still loading its data"),
    (MaxConnectionsError, "pool-exhausted", "every connection to the ledger is in use"),
    (MasterNotFoundError, "unreachable", "no Sentinel knows a primary of this service that is up"),
    (SlotNotCoveredError, "unreachable", "no node of the Cluster serves the event's slot"),
    (RedisTimeoutError, "timeout", "the ledger did not answer in time"),
    (RedisConnectionError, "unreachable", "the ledger cannot be reached"),
    # It was sent on until the library gave up.
    (ClusterError, *_MOVED),
)

# Replies that redis-py has no class for.
_WORDS = {
    "NOREPLICAS": ("no-replicas", "the server has too few replicas to accept writes"),
    "MASTERDOWN": ("unreachable", "the replica has lost its primary"),
    "CLUSTERDOWN": ("unreachable", "the cluster is down"),
    "MISCONF": ("disk", "the server cannot save to its disk and accepts no writes"),
    "NOAUTH": ("no-permission", "the server asks for a password"),
    "NOPERM": ("no-permission", "the ledger's user lacks a right that its scripts need"),
    "OOM": ("out-of-memory", "the server is at its maxmemory"),
    "READONLY": ("read-only", "the server is a read-only replica; the URL must name the primary"),
    "LOADING": ("loading", "the server is still loading its data"),
    "BUSY": ("busy", "the server is running a script that does not end"),
}

# What redis-py says when a server refuses to tell its nodes, after it asked for the right to.
_NO_CLUSTER = "Cluster mode is not enabled"

# A right that is missing inside a script is told under the word ERR: by Valkey, and by Redis 7.0.
_RIGHT_MISSING_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")
# And so does a replica answer WAIT and WAITAOF.
_WAIT_ON_REPLICA = "cannot be used with replica instances"


class Fenced(LedgerUnavailable):
    """The server changed between a raise and its commit; raising again finds the new one."""

    def __init__(self) -> None:
        super().__init__("fenced", "the server changed while the ceiling was raised")


@contextmanager
def translated() -> Generator[None]:
    """Raise our own errors in place of redis-py's, socket errors and time-outs."""
    try:
        yield
    except ResponseError as exc:
        raise _from_reply(exc) from exc
    except (RedisError, RedisClusterException) as exc:
        raise _from_client(exc) from exc
    except TimeoutError as exc:
        raise LedgerUnavailable("timeout", "the ledger did not answer in time") from exc
    except OSError as exc:
        raise LedgerUnavailable("unreachable", "the ledger cannot be reached") from exc


def _from_client(exc: RedisError | RedisClusterException) -> LedgerUnavailable:
    # What the server says to a connection that is being made arrives inside a plain ConnectionError.
    chain: list[BaseException] = [exc]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    for kind, cause, detail in _CAUSES:
        if any(isinstance(link, kind) for link in chain):
            return LedgerUnavailable(cause, detail)
    if any(_NO_CLUSTER in str(link) for link in chain):
        return LedgerUnavailable("no-cluster", "the server is no node of a Cluster")
    return LedgerUnavailable("error", type(exc).__name__)


def _from_script(word: str, detail: str) -> GatewayError | None:
    """Return what an error word of the prelude means, or None for any other."""
    match word:
        case "LOST":
            return StateLost(f"the event's {detail} is missing or unreadable")
        case "LAYOUT":
            return LedgerUnavailable(
                "layout", f"the event was written in state layout {detail}; upgrade this gateway"
            )
        case "HEALING":
            return EventHealing(detail)
        case "SOUND":
            return Conflict(f"The event is not lost: it is {detail}. There is nothing to recover.")
        case "RESET":
            return Conflict(f"The event is in generation {detail} by now. Look at it again.")
        case "GONE":
            return EventGone("the event was deleted")
        case "STATE":
            return Conflict(_STATE_ADVICE.get(detail, f"The event is {detail}."))
        case "GENERATION":
            return GenerationOver("the token belongs to an earlier generation of the queue")
        case "CONFLICT":
            return RequestIdReused(
                f"This request id was used before for another release ({detail})."
            )
        case "FENCED":
            return Fenced()
        case _:
            return None


def _from_reply(exc: ResponseError) -> GatewayError:
    word, _, detail = str(exc).partition(" ")
    ours = _from_script(word, detail)
    if ours is not None:
        return ours
    # Their texts are a slot and an address.
    if isinstance(exc, AskError | TryAgainError):
        return LedgerUnavailable(*_MOVED)
    if isinstance(exc, ClusterDownError):
        return LedgerUnavailable(*_WORDS["CLUSTERDOWN"])
    if word == "WRONGTYPE":
        return StateLost("a key of the event holds a wrong type")
    # redis-py takes the word off the text of those errors that it has a class for.
    if exc.status_code in _WORDS:
        return LedgerUnavailable(*_WORDS[exc.status_code])
    if any(text in str(exc) for text in _RIGHT_MISSING_IN_SCRIPT):
        return LedgerUnavailable(*_WORDS["NOPERM"])
    if _WAIT_ON_REPLICA in str(exc):
        return LedgerUnavailable(*_WORDS["READONLY"])
    # The word stands first, or behind what the server says of the script it happened in.
    for known, (cause, advice) in _WORDS.items():
        if known in str(exc):
            return LedgerUnavailable(cause, advice)
    return LedgerUnavailable("error", "the server refused a command")
