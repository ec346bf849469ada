"""An event whose scripts are the real ones on a real server, and whose time is what the test says.

The scripts read the server's clock in one place; here that place reads a key. So hours pass in
milliseconds, and the same sale is the same in every run.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import redis

from gateway.domain.backoff import Seen
from gateway.domain.events import EventPolicy, EventSnapshot
from gateway.domain.positions import EventId, Generation, Position
from gateway.ledger import keyspace, records, scripts
from gateway.ledger.redis import RedisLedger
from gateway.ports import StateChange
from tests.support.servers import RealServer

_REAL_TIME = "local time = redis.call('TIME')"
_VIRTUAL_TIME = "local time = redis.call('LRANGE', 'virtual-time', 0, 1)"

START_MS = 1_700_000_000_000
EVENT = EventId("virtual")

_real_source = scripts.source


def virtual(name: str) -> str:
    """Return a script whose clock is the key `virtual-time`."""
    text = _real_source(name)
    assert text.count(_REAL_TIME) == 1
    return text.replace(_REAL_TIME, _VIRTUAL_TIME)


class VirtualSale:
    """One open event, created at `START_MS`, in a server that holds nothing else.

    What operators do goes through the ledger's own adapter; what happens a thousand times over, straight
    to its scripts.
    """

    def __init__(self, server: RealServer, policy: EventPolicy) -> None:
        self.client = redis.Redis(unix_socket_path=str(server.socket), decode_responses=True)
        self.now_ms = START_MS
        self.policy = policy
        self._keys = keyspace.event_keys(EVENT)
        self._hashes: dict[str, str] = {}
        self._batches = 0
        self._set_time()
        self._runner = asyncio.Runner()
        with patch.object(scripts, "source", virtual):
            self._ledger = RedisLedger(server.url)
        assert self._runner.run(self._ledger.create(EVENT, policy, opened=True))
        self.generation = Generation(int(self.field("generation")))

    def close(self) -> None:
        self.client.close()
        with self._runner:
            self._runner.run(self._ledger.aclose())

    # Time.

    def pass_ms(self, ms: int) -> None:
        """Let time pass; no script has to run for it. More than 5 s at once is an outage."""
        self.now_ms += ms
        self._set_time()

    # What visitors and gateways do.

    def join(self, count: int) -> int:
        """Let so many visitors join; return the last position."""
        issued = int(self.field("issued"))
        while count > 0:
            if issued >= int(self.field("ceiling")):
                # The clock stands still here; on one that runs a ceiling climbs so far in some seconds.
                self.client.hdel(self.key("state"), "climb")
                self._runner.run(self._ledger.raise_ceiling(EVENT, 100_000))
            self._batches += 1
            reply = self._run(
                "deal",
                [keyspace.batches(EVENT), keyspace.subs(EVENT)],
                "gateway",
                str(self._batches),
                str(count),
                "600000",
            )
            count -= int(reply[2])
            issued = int(reply[5])
        return issued

    def follow_schedule(
        self, seen: Seen = Seen.NOTHING, *, gateway: str = ""
    ) -> tuple[int, int, int, str]:
        """Call the schedule; return the pointer before and after, the people, and why no more."""
        before, after, people, reason = self._run(
            "schedule", [keyspace.backend(EVENT)], seen.value, gateway=gateway
        )
        return int(before), int(after), int(people), reason

    def claim(self, *positions: int) -> list[str]:
        """Claim for each of these whose turn is their position; return the outcomes."""
        pipeline = self.client.pipeline(transaction=False)
        for position in positions:
            bitmap, bit, name = keyspace.claimed_bit(EVENT, self.generation, Position(position))
            args = (str(self.generation), str(position), str(position), "0", str(bit), "0", name)
            pipeline.execute_command(*self._words("claim", [bitmap], "", args))  # type: ignore[no-untyped-call]
        return [outcome for outcome, *_ in pipeline.execute()]

    def leave(self, *positions: int) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for position in positions:
            # No operator asks: no name, and no reason.
            args = ("", "", str(self.generation), str(position), "0")
            pipeline.execute_command(*self._words("leave", [], "", args))  # type: ignore[no-untyped-call]
        pipeline.execute()

    # What operators do.

    def change(self, change: StateChange) -> None:
        self._runner.run(self._ledger.change_state(EVENT, change, for_s=60))

    def configure(self, **changes: Any) -> None:
        self.policy = replace(self.policy, **changes)
        self._runner.run(self._ledger.configure(EVENT, self.policy))

    def release(self, people: int) -> int:
        """Let people in by hand; return the pointer."""
        return self._runner.run(self._ledger.release(EVENT, by=people)).after

    # What can be seen.

    def read(self) -> EventSnapshot:
        return records.parse_snapshot(EVENT, self._run("read", [], "-", "", ""), 0.0, None)

    def field(self, name: str) -> str:
        value = self.held(name)
        assert value is not None
        return value

    def held(self, name: str) -> str | None:
        value: Any = self.client.hget(self.key("state"), name)
        assert value is None or isinstance(value, str)
        return value

    def set_field(self, name: str, value: str | int) -> None:
        self.client.hset(self.key("state"), name, str(value))

    def key(self, name: str) -> str:
        return keyspace.key(EVENT, name)

    def _set_time(self) -> None:
        seconds, ms = divmod(self.now_ms, 1000)
        pipeline = self.client.pipeline(transaction=True)
        pipeline.delete("virtual-time")
        pipeline.rpush("virtual-time", seconds, ms * 1000)
        pipeline.execute()

    def _run(self, name: str, extra: Sequence[str], *args: str, gateway: str = "") -> Any:
        words = self._words(name, extra, gateway, args)
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    def _words(
        self, name: str, extra: Sequence[str], gateway: str, args: Sequence[str]
    ) -> list[str]:
        if name not in self._hashes:
            self._hashes[name] = str(self.client.script_load(virtual(name)))
        keys = [*self._keys, *extra]
        return ["EVALSHA", self._hashes[name], str(len(keys)), *keys, "", gateway, *args]
