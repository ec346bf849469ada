"""What a server's settings must be, read from INFO so that the least rights suffice."""

# redis-py types its commands in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.domain.events import Durability, EventSnapshot

SAFE_EVICTION = "noeviction"


def unsafe_settings(info: Mapping[str, Any], events: Iterable[EventSnapshot]) -> list[str]:
    """Return what is unsafe about a server for these events, each with what to change.

    Args:
        info: The server's answer to INFO, sections memory and persistence.
    """
    unsafe: list[str] = []
    policy = info.get("maxmemory_policy")
    if policy is not None and policy != SAFE_EVICTION:
        unsafe.append(
            f"the server may throw away the queue when its memory is full (maxmemory-policy {policy}): "
            f"set `maxmemory-policy {SAFE_EVICTION}`"
        )
    asking = sorted(
        snapshot.event for snapshot in events if snapshot.policy.durability is Durability.FSYNC
    )
    if asking and not info.get("aof_enabled"):
        unsafe.append(
            f"the server has no append-only file, and {_names(asking)} for fsync: set `appendonly yes`, "
            "or: gateway event set EVENT --durability memory"
        )
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        unsafe.append("the server cannot write its append-only file: make room on its disk")
    return unsafe


def _names(events: Sequence[str]) -> str:
    if len(events) == 1:
        return f"event {events[0]} asks"
    return f"events {', '.join(events[:5])}{'…' if len(events) > 5 else ''} ask"
