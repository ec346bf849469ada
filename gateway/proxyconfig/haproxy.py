"""The folder that HAProxy runs from: its configuration, the keys, and the maps that are kept fresh."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.errors import BadInput
from gateway.proxyconfig.knowledge import Knowledge, Subject, pass_head, place_head
from gateway.tokens.keys import PublicKey
from gateway.whole_files import write_whole

# A Unix socket's name has 107 bytes (unix(7)), and HAProxy binds it under a longer one first.
_LONGEST_FOLDER: Final = 70
_PLAIN_FOLDER: Final = re.compile(r"/[A-Za-z0-9._/-]*")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.\[\]:*_-]+")

# A token in its one canonical spelling: `gateway/tokens/compact.py`.
_ONE_SPELLING: Final = r"[A-Za-z0-9_-]{2,1024}\.[A-Za-z0-9_-]{2,1900}\.[A-Za-z0-9_-]{85}[AQgw]"

NEVER: Final = 0
"""For how long what the files say holds, until a sync has said more: nothing is verified."""

PLACE: Final = "place"
"""Stands in the map of keys for a queue token, which no key file has as its name."""

_KEYS = """\
# HAProxy verifies by keys that were named when it started, and by no others. Written by the sync.
backend admission_keys
"""
_KEY = '    acl key_{number} str(x),jwt_verify(ES256,"{file}") -m int 1\n'

Entries = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where HAProxy listens, and where it finds the gateway and the booking site: `host:port`."""

    listen: str
    gateway: str
    site: str

    def __post_init__(self) -> None:
        for name in ("listen", "gateway", "site"):
            if _ADDRESS.fullmatch(getattr(self, name)) is None:
                raise BadInput(f"--{name} is HOST:PORT; for listening :PORT will do")


class HAProxyFolder:
    """The files of one event.

    Raises:
        BadInput: The folder's name is none that HAProxy could read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        name = str(self.folder)
        if len(name) > _LONGEST_FOLDER or _PLAIN_FOLDER.fullmatch(name) is None:
            raise BadInput(
                f"{name}: choose a folder whose full name has at most {_LONGEST_FOLDER} characters, "
                "letters, digits and ._-/ only"
            )

    @property
    def config(self) -> Path:
        return self.folder / "haproxy.cfg"

    @property
    def event(self) -> str | None:
        """Return whose passes are verified here; None where nothing was set up."""
        try:
            return (self.folder / "event").read_text("utf-8").strip()
        except FileNotFoundError:
            return None

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

    def set_up(self, subject: Subject, addresses: Addresses, keys: Mapping[str, PublicKey]) -> None:
        """Write everything. Until a sync runs, all requests are asked about.

        Raises:
            OSError: Something cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        nothing = Knowledge(generation=0, ended={}, keys=keys)
        self.write_keys(keys)
        self.write_maps(nothing, good_until_s=NEVER, good_for_s=NEVER)
        write_whole(self.folder / "event", subject.event.encode())
        write_whole(self.folder / "admission.lua", shipped("admission.lua"))
        write_whole(self.config, self.configuration(subject, addresses).encode())

    def configuration(self, subject: Subject, addresses: Addresses) -> str:
        """Return what HAProxy is started with."""
        text = shipped("haproxy.cfg").decode()
        for name, value in {
            "EVENT": subject.event,
            "FOLDER": str(self.folder),
            "HOSTS": "|".join(re.escape(host) for host in subject.hosts),
            "ISSUER": re.escape(subject.issuer),
            "TOKEN": _ONE_SPELLING,
            "LISTEN": addresses.listen,
            "GATEWAY": addresses.gateway,
            "SITE": addresses.site,
        }.items():
            text = text.replace(f"@{name}@", value)
        return text

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
        write_whole(self.keys_map, _map(self.key_entries(known.keys)))
        write_whole(self.ended_map, _map(ended_entries(known)))
        write_whole(
            self.event_map,
            _map(event_entries(known, good_until_s=good_until_s, good_for_s=good_for_s)),
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


def _map(entries: Entries) -> bytes:
    return "".join(f"{key} {value}\n" for key, value in entries.items()).encode()


def shipped(name: str) -> bytes:
    """Return a file of ours that HAProxy is given, or that is made into one."""
    return (files("gateway.proxyconfig") / "templates" / name).read_bytes()
