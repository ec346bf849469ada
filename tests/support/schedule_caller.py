"""A gateway that does nothing but call an event's schedule, by a clock that is hours away from the truth.

python -m tests.support.schedule_caller URL EVENT OFFSET_S
"""

import asyncio
import random
import sys
import time

from gateway.domain.backoff import Seen
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger

LONGEST_GAP_S = 0.02


async def call_on(url: str, event: EventId) -> None:
    ledger = RedisLedger(url, is_gateway=True)
    while True:
        await ledger.follow_schedule(event, Seen.HEALTHY)
        await asyncio.sleep(random.uniform(0, LONGEST_GAP_S))


def main() -> None:
    url, event, offset_s = sys.argv[1], EventId(sys.argv[2]), float(sys.argv[3])
    wall, monotonic = time.time, time.monotonic
    time.time = lambda: wall() + offset_s
    time.monotonic = lambda: monotonic() + offset_s
    asyncio.run(call_on(url, event))


if __name__ == "__main__":
    main()
