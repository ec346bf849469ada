"""A gateway process of its own, in which many visitors join at once.

Run as `python -m tests.support.joiner URL EVENT JOINERS ROUNDS SHARED_KEYS`. It says `ready`, and for each
line that it is sent it runs one round and prints one JSON list: for every joiner, in the order of
arrival, the key it used (or null), its position and whether it was repeated.
"""

import asyncio
import json
import sys

from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest


async def run(url: str, event: EventId, joiners: int, rounds: int, shared_keys: int) -> None:
    ledger = RedisLedger(url, timeout_s=10)
    await ledger.ping()
    print("ready", flush=True)
    for round_number in range(rounds):
        await asyncio.to_thread(sys.stdin.readline)
        keys = [
            f"{round_number:032x}{i % shared_keys:032x}" if shared_keys and i % 3 == 0 else None
            for i in range(joiners)
        ]
        places = await asyncio.gather(
            *(ledger.join(event, JoinRequest(f"visitor-{i}", key)) for i, key in enumerate(keys))
        )
        lines = [
            [key, place.position, place.repeated] for key, place in zip(keys, places, strict=True)
        ]
        print(json.dumps(lines), flush=True)
    await ledger.aclose()


def main() -> None:
    url, event, joiners, rounds, shared_keys = sys.argv[1:]
    asyncio.run(run(url, EventId(event), int(joiners), int(rounds), int(shared_keys)))


if __name__ == "__main__":
    main()
