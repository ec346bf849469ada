"""The folder that nginx runs from."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final

from gateway.proxyconfig.folders import ONE_SPELLING, Addresses, filled_in
from gateway.proxyconfig.knowledge import Subject
from gateway.proxyconfig.scripted_folder import ScriptedFolder

_FILES: Final = (
    "admission.js",
    "admission.conf",
    "admission-gateways.conf",
    "admission-server.conf",
    "admission-check.conf",
    "admission-verdicts.conf",
    # Last: a nginx.conf that is there has everything that it includes beside it.
    "nginx.conf",
)


class NginxFolder(ScriptedFolder):
    """What nginx runs from."""

    proxy: ClassVar[str] = "nginx"
    title: ClassVar[str] = "nginx"

    @property
    def config(self) -> Path:
        return self.folder / "nginx.conf"

    @property
    def start(self) -> str:
        return f"nginx -c {self.config}"

    def _texts(self, subject: Subject, addresses: Addresses) -> Mapping[str, bytes]:
        listen = addresses.listen
        values = {
            "EVENT": subject.event,
            "FOLDER": str(self.folder),
            "HOSTS": ", ".join(f"'{host}'" for host in subject.hosts),
            "ISSUER": subject.issuer,
            "TOKEN": ONE_SPELLING,
            # nginx takes a port without a host, and no colon before it.
            "LISTEN": listen.removeprefix(":"),
            "VERIFIER": _own_address(subject.event, listen.rpartition(":")[2]),
            "GATEWAY": addresses.gateway,
            "SITE": addresses.site,
        }
        return {name: filled_in(f"nginx/{name}", values) for name in _FILES}


def _own_address(event: str, port: str) -> str:
    """Return where an event's nginx asks itself: an address of 127.0.0.0/8 that is the event's own.

    With the port of the visitors, no port can be taken that was free before.
    """
    drawn = sha256(event.encode()).digest()
    return f"127.{1 + drawn[0] % 254}.{drawn[1]}.{1 + drawn[2] % 254}:{port}"
