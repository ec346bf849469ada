"""How many streams one process bears: fewer than its server bears connections, so that polls find room."""

from gateway.domain.join_limits import source_of


class StreamLimits:
    """Counts the streams of this process, in all and by client.

    Args:
        total: Most streams at one time.
        per_client: Most of one client address (IPv6: of one /64). Behind one address may be a thousand
            people, whose joins and checks need connections too.
    """

    def __init__(self, total: int, per_client: int) -> None:
        self._most = total
        self._most_per_client = per_client
        self._by_client: dict[str, int] = {}
        self.total = 0

    def enter(self, address: str | None) -> str | None:
        """Count one more stream.

        Args:
            address: Of the visitor; None where nobody can tell.

        Returns:
            Whom it counts for, to be handed to `leave`; None for everybody.

        Raises:
            TooManyStreams: That would be too many.
        """
        if self.total >= self._most:
            raise TooManyStreams
        if address is None:
            self.total += 1
            return None
        client = source_of(address)
        held = self._by_client.get(client, 0)
        if held >= self._most_per_client:
            raise TooManyStreams
        self.total += 1
        self._by_client[client] = held + 1
        return client

    def leave(self, client: str | None) -> None:
        self.total -= 1
        if client is None:
            return
        left = self._by_client[client] - 1
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]


class TooManyStreams(Exception):
    """One more stream would be too many: its client polls instead."""
