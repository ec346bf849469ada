"""A relay in front of a server's socket that loses answers when told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.faulty_link import FaultyLink


class LossyRelay(FaultyLink):
    """Passes bytes both ways; `lose_answers` makes the next ones vanish with their connection."""

    def __init__(self, server: Path, listen: Path) -> None:
        super().__init__(server, listen)

    def lose_answers(self, count: int, *, after: int = 0) -> None:
        """Lose `count` answers, beginning behind the next `after` ones."""
        self.lose_replies(count, after=after)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LossyRelay"]:
        async with super().running():
            yield self
