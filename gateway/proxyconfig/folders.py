"""The folder that a proxy runs from: what all of them have in common."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Final

from gateway.errors import BadInput
from gateway.proxyconfig.knowledge import Subject
from gateway.proxyconfig.sync import Sync
from gateway.tokens.keys import PublicKey
from gateway.whole_files import write_whole

_PLAIN_FOLDER: Final = re.compile(r"/[A-Za-z0-9._/-]*")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.\[\]:*_-]+")

ONE_SPELLING: Final = r"[A-Za-z0-9_-]{2,1024}\.[A-Za-z0-9_-]{2,1900}\.[A-Za-z0-9_-]{85}[AQgw]"
"""A pattern of tokens in their one canonical spelling: `gateway/tokens/compact.py`."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a proxy listens, and where it finds the gateway and the booking site: `host:port`.

    Raises:
        BadInput: One is not of that form.
    """

    listen: str
    gateway: str
    site: str

    def __post_init__(self) -> None:
        for name in ("listen", "gateway", "site"):
            if _ADDRESS.fullmatch(getattr(self, name)) is None:
                raise BadInput(f"--{name} is HOST:PORT; for listening :PORT will do")


class ProxyFolder(ABC):
    """The files of one event for one proxy. Whoever may write to the folder may let anybody in.

    Attributes:
        proxy: What the proxy is called in commands, and in the folder.
        title: What it calls itself.
        longest_name: Characters that the folder's full name may have.

    Raises:
        BadInput: The folder's name is none that the proxy could read.
    """

    proxy: ClassVar[str]
    title: ClassVar[str]
    longest_name: ClassVar[int] = 200

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        name = str(self.folder)
        if len(name) > self.longest_name or _PLAIN_FOLDER.fullmatch(name) is None:
            raise BadInput(
                f"{name}: choose a folder whose full name has at most {self.longest_name} characters, "
                "letters, digits and ._-/ only"
            )

    @property
    @abstractmethod
    def config(self) -> Path:
        """Return the file that the proxy is started with, and that its owner may change."""

    @property
    @abstractmethod
    def start(self) -> str:
        """Return the command that starts the proxy."""

    def set_up(self, subject: Subject, addresses: Addresses, keys: Mapping[str, PublicKey]) -> None:
        """Write everything. Until a sync runs, all requests are asked about.

        Raises:
            BadInput: An address is none that the proxy could take. Nothing was written.
            OSError: Something cannot be written.
        """
        texts = self._texts(subject, addresses)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prepare(keys)
        for name, text in texts.items():
            write_whole(self.folder / name, text)
        # Last: a folder that was not written to its end is none that a sync takes.
        write_whole(self.folder / _ABOUT, f"{self.proxy} {subject.event}\n".encode())

    @abstractmethod
    def _texts(self, subject: Subject, addresses: Addresses) -> Mapping[str, bytes]:
        """Return the files that stay as they are, by name; last `config`, which names the others."""

    @abstractmethod
    def _prepare(self, keys: Mapping[str, PublicKey]) -> None:
        """Write what a sync keeps fresh, so that nothing is verified before it has run."""

    @abstractmethod
    def sync(self, *, good_for_s: int) -> Sync:
        """Return what tells the proxy that runs from here.

        Args:
            good_for_s: How long what was read holds without a further read.
        """


_ABOUT: Final = "event"


@dataclass(frozen=True, slots=True)
class SetUp:
    """What a folder was set up for."""

    proxy: str
    event: str


def set_up_for(folder: Path) -> SetUp | None:
    """Return what a folder was set up for; None where it was not."""
    try:
        proxy, _, event = (folder / _ABOUT).read_text("utf-8").strip().partition(" ")
    except FileNotFoundError:
        return None
    return SetUp(proxy, event)


def shipped(name: str) -> bytes:
    """Return a file of ours that a proxy is given, or that is made into one."""
    return (files("gateway.proxyconfig") / "templates" / name).read_bytes()


def filled_in(name: str, values: Mapping[str, str]) -> bytes:
    """Return a file of ours with `@NAME@` replaced by what is known of this place."""
    text = shipped(name).decode()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()
