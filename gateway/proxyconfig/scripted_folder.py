"""The folder of a proxy whose own script reads plain files at each request."""

from collections.abc import Mapping

from gateway.proxyconfig.folders import ProxyFolder
from gateway.proxyconfig.known_files import KnownFiles, KnownFilesSync
from gateway.tokens.keys import PublicKey


class ScriptedFolder(ProxyFolder):
    """What a proxy with a script runs from. It finds the keys, too, where a sync has written them."""

    def sync(self, *, good_for_s: int) -> KnownFilesSync:
        return KnownFilesSync(KnownFiles(self.folder), good_for_s=good_for_s)

    def _prepare(self, keys: Mapping[str, PublicKey]) -> None:
        del keys
        files = KnownFiles(self.folder)
        files.set_up()
        # The proxy reads here, and may be somebody else than who writes.
        for place in (self.folder, files.ended):
            place.chmod(0o755)
