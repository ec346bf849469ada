"""A proxy that verifies passes itself: what it is set up with, and what keeps it fresh.

The proxy admits only what it is certain of, in the one form in which the gateway writes passes, and asks
the gateway about everything else. So it may be narrower than the gateway's own edge, and is never wider.
"""

from pathlib import Path
from typing import Final

from gateway.proxyconfig.envoy import EnvoyFolder
from gateway.proxyconfig.folders import Addresses, ProxyFolder, SetUp, set_up_for
from gateway.proxyconfig.haproxy import HAProxyFolder
from gateway.proxyconfig.knowledge import Knowledge, Subject, subject_of
from gateway.proxyconfig.nginx import NginxFolder
from gateway.proxyconfig.sync import ProxyAway, Step, Sync

__all__ = [
    "PROXIES",
    "Addresses",
    "EnvoyFolder",
    "HAProxyFolder",
    "Knowledge",
    "NginxFolder",
    "ProxyAway",
    "ProxyFolder",
    "SetUp",
    "Step",
    "Subject",
    "Sync",
    "folder_of",
    "set_up_for",
    "subject_of",
]

PROXIES: Final[tuple[type[ProxyFolder], ...]] = (HAProxyFolder, NginxFolder, EnvoyFolder)


def folder_of(proxy: str, folder: Path) -> ProxyFolder:
    """Return the folder as that of a proxy called so.

    Raises:
        BadInput: The folder's name is none that the proxy could read.
        LookupError: No proxy is called so.
    """
    kind = next((known for known in PROXIES if known.proxy == proxy), None)
    if kind is None:
        raise LookupError(proxy)
    return kind(folder)
