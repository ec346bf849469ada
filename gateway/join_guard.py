"""What stands before a new place: limits for each client address, and the site's own challenge."""

import importlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.domain.admission import ProblemType, Refused
from gateway.domain.join_limits import JoinLimits
from gateway.domain.peers import Source
from gateway.domain.positions import EventId
from gateway.ports import Clock

logger = logging.getLogger(__name__)

Challenge: TypeAlias = Callable[[EventId, str | None, str | None], Awaitable[bool]]

# A mistake in the settings is said again after this long, and not with every join.
WARN_AGAIN_S = 60.0


class LimitedJoins:
    """Implements `gateway.ports.JoinGuard`.

    Where requests name a visitor's address and no proxy is configured, the limit only warns: it would
    count everybody behind that proxy as one.

    Args:
        limits: None for no limit.
        challenge: None where the site asks nothing.
    """

    def __init__(
        self, clock: Clock, limits: JoinLimits | None, challenge: Challenge | None
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._challenge = challenge
        self._warned_at_s = -WARN_AGAIN_S

    async def refuses(
        self, event: EventId, source: Source | None, challenge: str | None
    ) -> Refused | None:
        address = None if source is None else source.address
        if self._limits is not None and source is not None and address is not None:
            after_s = self._limits.take(address, self._clock.monotonic_s())
            if after_s and source.unconfigured_proxy is not None:
                self._warn(source.unconfigured_proxy)
            elif after_s:
                return Refused(
                    ProblemType.TOO_MANY_JOINS,
                    "Too many places were taken from your network address.",
                    retry_after_s=after_s,
                )
        if self._challenge is not None and not await self._challenge(event, address, challenge):
            return Refused(
                ProblemType.CHALLENGE_REQUIRED, "Answer the site's challenge to join the queue."
            )
        return None

    def _warn(self, proxy: str) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._warned_at_s < WARN_AGAIN_S:
            return
        self._warned_at_s = now_s
        logger.warning(
            "joins come through a proxy that is not configured, so they are not limited by address",
            extra={"add": f'[server] trusted_proxies = ["{proxy}"]'},
        )


def load_challenge(name: str) -> Challenge:
    """Import the site's challenge from `package.module:function`.

    Raises:
        ValueError: There is no such function.
    """
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise ValueError(f"{name!r} is not package.module:function")
    try:
        challenge: Challenge = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as exc:
        raise ValueError(f"{name!r} cannot be imported: {exc}") from exc
    return challenge
