"""The folder that HAProxy runs from."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from gateway.proxyconfig.folders import ONE_SPELLING, Addresses, ProxyFolder, filled_in, shipped
from gateway.proxyconfig.haproxy.files import HAProxyFiles
from gateway.proxyconfig.haproxy.sync import HAProxySync
from gateway.proxyconfig.knowledge import NEVER, Knowledge, Subject
from gateway.tokens.keys import PublicKey


class HAProxyFolder(ProxyFolder):
    """What HAProxy runs from."""

    proxy: ClassVar[str] = "haproxy"
    title: ClassVar[str] = "HAProxy"
    # A Unix socket's name has 107 bytes (unix(7)), and HAProxy binds it under a longer one first.
    longest_name: ClassVar[int] = 70

    @property
    def config(self) -> Path:
        return self.folder / "haproxy.cfg"

    @property
    def start(self) -> str:
        return f"haproxy -W -f {self.config} -f {self.folder / 'keys.cfg'}"

    def sync(self, *, good_for_s: int) -> HAProxySync:
        return HAProxySync(HAProxyFiles(self.folder), good_for_s=good_for_s)

    def _texts(self, subject: Subject, addresses: Addresses) -> Mapping[str, bytes]:
        return {
            "admission.lua": shipped("haproxy/admission.lua"),
            self.config.name: self.configuration(subject, addresses).encode(),
        }

    def _prepare(self, keys: Mapping[str, PublicKey]) -> None:
        nothing = Knowledge(generation=0, ended={}, keys=keys)
        files = HAProxyFiles(self.folder)
        files.write_keys(keys)
        files.write_maps(nothing, good_until_s=NEVER, good_for_s=NEVER)

    def configuration(self, subject: Subject, addresses: Addresses) -> str:
        """Return what HAProxy is started with."""
        values = {
            "EVENT": subject.event,
            "FOLDER": str(self.folder),
            "HOSTS": "|".join(re.escape(host) for host in subject.hosts),
            "ISSUER": re.escape(subject.issuer),
            "TOKEN": ONE_SPELLING,
            "LISTEN": addresses.listen,
            "GATEWAY": addresses.gateway,
            "SITE": addresses.site,
        }
        return filled_in("haproxy/haproxy.cfg", values).decode()
