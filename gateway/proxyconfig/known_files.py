"""Plain files that a proxy's own script reads at each request: what is known, and who was ended.

`known` has a line for each fact:

    generation 7
    clock-ahead 0
    good-for 5
    good-until 1764360000
    pass FIRST-SEGMENT BASE64-OF-SUBJECTPUBLICKEYINFO
    place FIRST-SEGMENT

`ended/GENERATION-POSITION` is empty: that it is there says all.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.proxyconfig.knowledge import NEVER, Knowledge, pass_head, place_head
from gateway.proxyconfig.sync import Step
from gateway.whole_files import write_whole

# A script that read the old `known` may look for an ended session of it a moment later.
_KEPT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """The files of one event."""

    folder: Path

    @property
    def known(self) -> Path:
        return self.folder / "known"

    @property
    def ended(self) -> Path:
        return self.folder / "ended"

    def set_up(self) -> None:
        """Write that nothing is known, by which everything is asked.

        Raises:
            OSError: Something cannot be written.
        """
        self.ended.mkdir(exist_ok=True)
        self.write(Knowledge(generation=0, ended={}, keys={}), good_until_s=NEVER, good_for_s=NEVER)

    def write(self, known: Knowledge, *, good_until_s: int, good_for_s: int) -> None:
        """Write all that is known but who was ended, in one step."""
        lines = (
            f"generation {known.generation}",
            f"clock-ahead {known.clock_ahead_s}",
            f"good-for {good_for_s}",
            f"good-until {good_until_s}",
            *_key_lines(known),
        )
        write_whole(self.known, "".join(f"{line}\n" for line in lines).encode())

    def end(self, name: str) -> None:
        """Say that a session was ended, see `ended_names`."""
        (self.ended / name).touch(mode=0o644)

    def forget(self, name: str) -> None:
        (self.ended / name).unlink(missing_ok=True)

    def ended_before(self) -> set[str]:
        """Return who was said to be ended, by this process or one before it."""
        return {file.name for file in self.ended.iterdir()}


class KnownFilesSync:
    """Keeps the files of one event fresh, whoever reads them.

    Args:
        good_for_s: How long what was read holds without a further read.
    """

    def __init__(self, files: KnownFiles, *, good_for_s: int) -> None:
        self._files = files
        self._good_for_s = good_for_s
        self._ended: set[str] | None = None
        self._over_since_s: dict[str, float] = {}

    def tell(self, known: Knowledge, *, read_at_s: float) -> Step:
        """See `Sync`. There is nobody who could be away: a proxy that starts reads the files."""
        whole = self._ended is None
        if self._ended is None:
            self._ended = self._files.ended_before()
        needed = ended_names(known)
        for name in needed - self._ended:
            self._files.end(name)
            self._ended.add(name)
        self._files.write(
            known, good_until_s=int(read_at_s) + self._good_for_s, good_for_s=self._good_for_s
        )
        self._forget(self._ended - needed, self._ended, read_at_s)
        return Step(
            reload=False,
            whole=whole,
            generation=known.generation,
            ended=len(known.ended),
            keys=len(known.keys),
        )

    def _forget(self, over: set[str], there: set[str], now_s: float) -> None:
        since_s = {name: self._over_since_s.get(name, now_s) for name in over}
        for name in [name for name, since in since_s.items() if not 0 <= now_s - since < _KEPT_S]:
            self._files.forget(name)
            there.discard(name)
            del since_s[name]
        self._over_since_s = since_s


def ended_names(known: Knowledge) -> set[str]:
    """Return the files of the sessions that were ended."""
    return {f"{known.generation}-{position}" for position in known.ended}


def _key_lines(known: Knowledge) -> Iterator[str]:
    for kid, key in known.keys.items():
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        yield f"pass {pass_head(kid)} {b64encode(spki).decode()}"
        yield f"place {place_head(kid)}"
