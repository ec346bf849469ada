"""What HAProxy reads when it starts: the keys' files, and the maps that are kept fresh while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.proxyconfig.knowledge import Knowledge, pass_head, place_head
from gateway.tokens.keys import PublicKey
from gateway.whole_files import write_whole

Entries = Mapping[str, str]

PLACE: Final = "place"
"""Stands in the map of keys for a queue token, which no key file has as its name."""

_KEYS = """\
# HAProxy verifies by keys that were named when it started, and by no others. Written by the sync.
backend admission_keys
"""
_KEY = '    acl key_{number} str(x),jwt_verify(ES256,"{file}") -m int 1\n'


@dataclass(frozen=True, slots=True)
class HAProxyFiles:
    """The files of one event."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "runtime.sock"

    @property
    def event_map(self) -> Path:
        return self.folder / "event.map"

    @property
    def ended_map(self) -> Path:
        return self.folder / "ended.map"

    @property
    def keys_map(self) -> Path:
        return self.folder / "keys.map"

    def write_keys(self, keys: Mapping[str, PublicKey]) -> bool:
        """Write the keys; return whether HAProxy must be reloaded to verify by all of them."""
        # A key whose file went would keep HAProxy from starting, so files come before their names and stay.
        for kid, key in keys.items():
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            write_whole(self._key_file(kid), pem)
        named = "".join(
            _KEY.format(number=number, file=self._key_file(kid))
            for number, kid in enumerate(sorted(keys), start=1)
        )
        return write_whole(self.folder / "keys.cfg", (_KEYS + named).encode())

    def write_maps(self, known: Knowledge, *, good_until_s: int, good_for_s: int) -> None:
        """Write what HAProxy reads when it starts."""
        write_whole(self.keys_map, map_file(self.key_entries(known.keys)))
        write_whole(self.ended_map, map_file(ended_entries(known)))
        write_whole(
            self.event_map,
            map_file(event_entries(known, good_until_s=good_until_s, good_for_s=good_for_s)),
        )

    def key_entries(self, keys: Mapping[str, PublicKey]) -> Entries:
        """Return what a token's first segment says: a pass and its key's file, or a queue token."""
        passes = {pass_head(kid): str(self._key_file(kid)) for kid in keys}
        return passes | {place_head(kid): PLACE for kid in keys}

    def _key_file(self, kid: str) -> Path:
        return self.folder / f"{kid}.pem"


def ended_entries(known: Knowledge) -> Entries:
    """Return the sessions that were ended, by generation and position."""
    return {f"{known.generation}:{position}": str(end) for position, end in known.ended.items()}


def event_entries(known: Knowledge, *, good_until_s: int, good_for_s: int) -> Entries:
    """Return what holds for the whole event, and until when by this machine's clock."""
    return {
        "generation": str(known.generation),
        "clock-ahead": str(known.clock_ahead_s),
        "good-for": str(good_for_s),
        "good-until": str(good_until_s),
    }


def map_file(entries: Entries) -> bytes:
    """Return a map as a file has it."""
    return "".join(f"{key} {value}\n" for key, value in entries.items()).encode()
