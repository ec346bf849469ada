"""The lives of an event's queue: begun, set, opened and closed, begun anew, ended, brought back."""

# redis-py types its commands in part only; what they answer is parsed in records.py.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import secrets

from gateway.domain.draw import SEED_BYTES, commitment_to
from gateway.domain.events import Durability, EventPolicy
from gateway.domain.operator_log import UNNAMED, Author
from gateway.domain.positions import EventId, Generation
from gateway.errors import StateLost
from gateway.ledger import keyspace, records
from gateway.ledger.operations.authorship import author_words, note_act
from gateway.ledger.operations.base import Operations
from gateway.ports import Recovery, StateChange

RECOVER_ADVICE = (
    "restore the ledger's data, start a gateway that knew the event, or: gateway recover EVENT"
)


class Lives(Operations):
    """What begins, changes and ends a queue."""

    async def create(
        self, event: EventId, policy: EventPolicy, *, opened: bool, author: Author = UNNAMED
    ) -> bool:
        if await self._is_lost(event):
            # A new life of the queue would void every token of the one that was lost.
            raise StateLost("state is missing, and the event was there before: " + RECOVER_ADVICE)
        args = _beginning(opened=opened, draws=policy.draw)
        async with self._runner.held(event) as connection:
            await self._runner.check_durability(connection, policy)
            created, head = await self._runner.run(
                "create",
                [
                    *keyspace.event_keys(event),
                    keyspace.batches(event),
                    keyspace.subs(event),
                    keyspace.evidence(event),
                ],
                ["", "", *author_words(author), *args, *records.policy_to_config(policy)],
                may_repeat=True,
                on=connection,
            )
            await self._runner.wait(connection, policy.durability, policy.replicas)
        await self._runner.sender.call("index", lambda: self.redis.sadd(keyspace.INDEX, event))
        note_act("create", event, author, head)
        return str(created) == "1"

    async def configure(
        self, event: EventId, policy: EventPolicy, *, author: Author = UNNAMED
    ) -> None:
        async with self._runner.held(event) as connection:
            await self._runner.check_durability(connection, policy)
            words = [*author_words(author), *records.policy_to_config(policy)]
            head = await self._runner.run_event("configure", event, [], words, on=connection)
            await self._runner.wait(connection, policy.durability, policy.replicas)
        note_act("configure", event, author, head)

    async def change_state(
        self,
        event: EventId,
        change: StateChange,
        *,
        message: str = "",
        releases_only: bool = False,
        for_s: int = 0,
        author: Author = UNNAMED,
    ) -> None:
        words = [change.value, message, "1" if releases_only else "0", str(for_s * 1000)]
        _, head = await self._runner.act("change_state", event, [], [*author_words(author), *words])
        note_act(change.value, event, author, head)

    async def reset(
        self,
        event: EventId,
        generation: Generation,
        *,
        opened: bool,
        request_id: str,
        author: Author = UNNAMED,
    ) -> Generation:
        begun, head = await self._runner.act(
            "reset",
            event,
            [keyspace.batches(event), keyspace.subs(event)],
            # Whether it draws is for the event's policy to say.
            [
                *author_words(author),
                *_beginning(opened=opened, draws=True),
                str(generation),
                request_id,
            ],
        )
        note_act("reset", event, author, head)
        return Generation(int(begun))

    async def delete(self, event: EventId, *, request_id: str, author: Author = UNNAMED) -> None:
        others = [keyspace.batches(event), keyspace.subs(event), keyspace.evidence(event)]
        others += [keyspace.backend(event), keyspace.samples(event)]
        config = keyspace.key(event, "config")
        async with self._runner.held(event) as connection:
            # The policy goes with the event, and says how durable that has to be.
            durability, replicas = await self._runner.sender.call(
                "policy", lambda: connection.hmget(config, ["durability", "replicas"])
            )
            words = [*author_words(author), request_id]
            head = await self._runner.run_event("delete", event, others, words, on=connection)
            await self._runner.wait(
                connection, Durability(int(durability or Durability.MEMORY)), int(replicas or 1)
            )
        note_act("delete", event, author, head)

    async def present(self, event: EventId) -> bool:
        """Tell the ledger what this process knows of an event that is lost or doubted.

        Returns:
            Whether the event goes on; else other gateways are still to be heard.

        Raises:
            StateLost: The state is missing, and nobody knows enough to bring it back.
        """
        return await self._runner.present(event)

    async def recover(
        self, event: EventId, recovery: Recovery, *, author: Author = UNNAMED
    ) -> None:
        """Bring a lost event back by an operator's word.

        Raises:
            Conflict: The event is not lost.
        """
        policy = recovery.policy
        async with self._runner.held(event) as connection:
            head = await self._runner.run(
                "recover",
                [
                    *keyspace.event_keys(event),
                    keyspace.evidence(event),
                    keyspace.batches(event),
                    keyspace.subs(event),
                ],
                [
                    "",
                    "",
                    *author_words(author),
                    *records.recovery_words(recovery),
                    *records.policy_to_config(policy),
                ],
                may_repeat=True,
                on=connection,
            )
            await self._runner.wait(connection, policy.durability, policy.replicas)
        await self._runner.sender.call("index", lambda: self.redis.sadd(keyspace.INDEX, event))
        note_act("recover", event, author, head)

    async def _is_lost(self, event: EventId) -> bool:
        known = await self._runner.sender.call(
            "index", lambda: self.redis.sismember(keyspace.INDEX, event), may_repeat=True
        )
        if not known:
            return False
        state = keyspace.event_keys(event)[0]
        return not await self._runner.sender.call(
            "index", lambda: self.redis.exists(state), may_repeat=True
        )


def _beginning(*, opened: bool, draws: bool) -> list[str]:
    """How a queue begins: its state, the seed of its draw and the seed's hash."""
    seed = secrets.token_bytes(SEED_BYTES) if draws else b""
    return ["open" if opened else "scheduled", seed.hex(), commitment_to(seed) if seed else ""]
