"""A proxy that verifies passes itself: what it is set up with, and what keeps it fresh.

The proxy admits only what it is certain of, in the one form in which the gateway writes passes, and asks
the gateway about everything else. So it may be narrower than the gateway's own edge, and is never wider.
"""

from gateway.proxyconfig.haproxy import HAProxyFolder
from gateway.proxyconfig.knowledge import Knowledge, Subject, subject_of
from gateway.proxyconfig.runtime import RuntimeAway, RuntimeMaps
from gateway.proxyconfig.sync import Step, Sync

__all__ = [
    "HAProxyFolder",
    "Knowledge",
    "RuntimeAway",
    "RuntimeMaps",
    "Step",
    "Subject",
    "Sync",
    "subject_of",
]
