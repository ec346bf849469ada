"""The folder that nginx runs from."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final

from gateway.proxyconfig.folders import ONE_SPELLING, Addresses, ProxyFolder, filled_in
from gateway.proxyconfig.knowledge import Subject
from gateway.proxyconfig.known_files import KnownFiles, KnownFilesSync
from gateway.tokens.keys import PublicKey
from gateway.whole_files import write_whole

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


class NginxFolder(ProxyFolder):
    """What nginx runs from."""

    proxy: ClassVar[str] = "nginx"
    title: ClassVar[str] = "nginx"

    @property
    def config(self) -> Path:
        return self.folder / "nginx.conf"

    @property
    def start(self) -> str:
        return f"nginx -c {self.config}"

    def sync(self, *, good_for_s: int) -> KnownFilesSync:
        return KnownFilesSync(KnownFiles(self.folder), good_for_s=good_for_s)

    def _write(self, subject: Subject, addresses: Addresses, keys: Mapping[str, PublicKey]) -> None:
        del keys  # read by the script with all the rest, once a sync has written them
        files = KnownFiles(self.folder)
        files.set_up()
        # nginx's workers read here, and are not who writes.
        for place in (self.folder, files.ended):
            place.chmod(0o755)
        values = self._values(subject, addresses)
        for name in _FILES:
            write_whole(self.folder / name, filled_in(f"nginx/{name}", values))

    def _values(self, subject: Subject, addresses: Addresses) -> Mapping[str, str]:
        listen = addresses.listen
        return {
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


def _own_address(event: str, port: str) -> str:
    """Return where an event's nginx asks itself: an address of 127.0.0.0/8 that is the event's own.

    With the port of the visitors, no port can be taken that was free before.
    """
    drawn = sha256(event.encode()).digest()
    return f"127.{1 + drawn[0] % 254}.{drawn[1]}.{1 + drawn[2] % 254}:{port}"
