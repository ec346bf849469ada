"""Waits until what was written is as durable as an event asks: WAITAOF for the disk, WAIT for replicas.

Both count only what their own connection wrote (redis.io, WAIT), so the caller holds one connection for the
write and the wait.
"""

# redis-py types its commands in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from gateway.domain.events import Durability
from gateway.errors import LedgerUnavailable

NO_APPEND_ONLY_FILE = (
    "the event asks for fsync and the server has no append-only file: set `appendonly yes` there, or "
    "choose another durability: gateway event set EVENT --durability memory"
)
_TOO_OLD = (
    "the event asks for fsync, and this server is too old to say when it has synced (WAITAOF needs Redis "
    "7.2 or Valkey): set `appendfsync always` there and let the ledger's user see it (ACL +config|get), "
    "or choose another durability"
)


async def make_durable(
    connection: "Redis", durability: Durability, replicas: int, *, timeout_s: float
) -> None:
    """Return once everything that `connection` wrote is as durable as asked.

    Args:
        replicas: How many replicas must have it, at `Durability.REPLICAS`.

    Raises:
        LedgerUnavailable: It did not get so far in time (`not-durable`), or never will with the
            server's settings (`unsafe-server`). What was written may be lost yet.
        RedisError: The connection failed.
    """
    timeout_ms = max(int(timeout_s * 1000), 1)
    match durability:
        case Durability.MEMORY:
            return
        case Durability.FSYNC:
            await _on_disk(connection, timeout_ms)
        case Durability.REPLICAS:
            have: Any = await connection.execute_command(  # type: ignore[no-untyped-call]
                "WAIT", replicas, timeout_ms
            )
            if int(have) < replicas:
                raise LedgerUnavailable(
                    "not-durable",
                    f"{have} of the {replicas} replicas that the event asks for have confirmed",
                )


async def _on_disk(connection: "Redis", timeout_ms: int) -> None:
    try:
        synced: Any = await connection.execute_command(  # type: ignore[no-untyped-call]
            "WAITAOF", 1, 0, timeout_ms
        )
    except ResponseError as exc:
        if "unknown command" in str(exc):
            await _syncs_always(connection)
            return
        if "appendonly" in str(exc):
            raise LedgerUnavailable("unsafe-server", NO_APPEND_ONLY_FILE) from exc
        raise
    if int(synced[0]) < 1:
        raise LedgerUnavailable("not-durable", "the server has not synced to its disk in time")


async def _syncs_always(connection: "Redis") -> None:
    """A server of old that syncs before it answers has nothing left to wait for."""
    try:
        held: Any = await connection.execute_command(  # type: ignore[no-untyped-call]
            "CONFIG", "GET", "append*"
        )
    except NoPermissionError as exc:
        raise LedgerUnavailable("no-permission", _TOO_OLD) from exc
    except ResponseError as exc:
        raise LedgerUnavailable("unsafe-server", _TOO_OLD) from exc
    settings = held if isinstance(held, dict) else dict(zip(held[::2], held[1::2], strict=True))
    if settings.get("appendonly") != "yes":
        raise LedgerUnavailable("unsafe-server", NO_APPEND_ONLY_FILE)
    if settings.get("appendfsync") != "always":
        raise LedgerUnavailable("unsafe-server", _TOO_OLD)
