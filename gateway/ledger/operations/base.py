"""What every operation needs: the scripts, and what this process knows and is."""

from collections.abc import Awaitable, Callable

from gateway.ledger.floors import Floors
from gateway.ledger.runner import ScriptRunner


class Operations:
    """The ground that all operations of one ledger stand on.

    Args:
        floors: What this process knows for certain.
        is_gateway: Whether this is one of the gateways; else it is an operator's tool.
        on_promise: Awaited before this process deals from a raised ceiling or shows what it promises.
    """

    def __init__(
        self,
        runner: ScriptRunner,
        floors: Floors,
        *,
        is_gateway: bool,
        on_promise: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.floors = floors
        self.redis = runner.client
        self._runner = runner
        self._is_gateway = is_gateway
        self._on_promise = on_promise
