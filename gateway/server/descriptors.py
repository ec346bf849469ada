"""File descriptors: each connection holds one, and a process that has none left answers nobody."""

import logging
import resource
from dataclasses import replace
from typing import Final

from gateway.server.limits import ServerLimits

logger = logging.getLogger(__name__)

# Beside visitors: connections to the ledger and to the backend, files, listening sockets.
RESERVE: Final = 1000

# Where there are few at all, so much of them is kept for that.
RESERVED_PART: Final = 4


def fitted(limits: ServerLimits) -> ServerLimits:
    """Ask the system for as many descriptors as the limits need, and return limits that fit what it gives.

    A service manager's usual soft limit is 1,024, far below its hard one. Connections above the cap are
    refused with an answer; without a descriptor they would be closed without one.
    """
    needed = limits.connections + RESERVE
    have = _raised_to(needed)
    if have >= needed:
        return limits
    connections = have - min(RESERVE, have // RESERVED_PART)
    logger.warning(
        "too few file descriptors: fewer connections are accepted than [server] connections says; "
        "raise the hard limit (ulimit -Hn, LimitNOFILE)",
        extra={"descriptors": have, "needed": needed, "connections": connections},
    )
    return replace(limits, connections=min(limits.connections, connections))


def _raised_to(needed: int) -> int:
    """Raise the soft limit as far as needed and allowed; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # The kernel's own bound may lie below the hard limit (sysctl fs.nr_open).
        return soft
    return wanted
