"""Files of a page under names that hold their hash, so that they may be kept for ever.

Each is compressed once, when the gateway starts, with nothing in it that differs between processes.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.answers import Answer, RawHeader
from gateway.calls import Call
from gateway.representations import Prepared, prepare

KINDS: Mapping[str, bytes] = {
    "js": b"text/javascript; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "png": b"image/png",
    "svg": b"image/svg+xml",
    "webp": b"image/webp",
    "jpg": b"image/jpeg",
    "ico": b"image/x-icon",
}

_COMPRESSIBLE = frozenset({"js", "css", "svg", "ico"})

# A file is at its place or it is not: what is there never changes (RFC 8246).
_FOR_EVER: RawHeader = (b"cache-control", b"public, max-age=31536000, immutable")

# Opened by itself, an image of the site could run scripts in the site's origin.
_SVG_POLICY: RawHeader = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; sandbox",
)

_HASH_LENGTH = 12
_IMPORT = re.compile(
    rb"""(?P<before>\b(?:from\s*|import\s*|import(?P<later>\())["'])\./(?P<name>[a-z_]+\.js)(?=["'])"""
)


@dataclass(frozen=True, slots=True)
class HashedFile:
    """One file, as it is served.

    Attributes:
        folder: Below the page's own address.
        name: With the hash in it.
    """

    folder: str
    name: str
    prepared: Prepared

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}"

    async def answer(self, call: Call) -> Answer:
        return self.prepared.best(call.listed(b"accept-encoding"))


def hashed_file(folder: str, name: str, body: bytes) -> HashedFile:
    """Prepare a file for serving.

    Args:
        name: Such as `room.css`; its ending says what it is.
    """
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
    headers: list[RawHeader] = [
        (b"content-type", KINDS[ending]),
        _FOR_EVER,
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if ending == "svg":
        headers.append(_SVG_POLICY)
    if ending in _COMPRESSIBLE:
        prepared = prepare(body, [*headers, (b"vary", b"Accept-Encoding")])
    else:
        prepared = Prepared(Answer(200, tuple(headers), body), None)
    return HashedFile(folder, f"{stem}.{digest}.{ending}", prepared)


@dataclass(frozen=True, slots=True)
class Scripts:
    """A page's code.

    Attributes:
        entry: What the page starts.
        modules: What that imports.
        later: What it imports (`import(…)`) only where it is needed.
    """

    entry: HashedFile
    modules: tuple[HashedFile, ...]
    later: tuple[HashedFile, ...] = ()

    @property
    def all(self) -> tuple[HashedFile, ...]:
        return self.entry, *self.modules, *self.later


def linked_scripts(folder: str, sources: Mapping[str, bytes], entry: str) -> Scripts:
    """Prepare a page's scripts; a module that another one imports is named by its hash there."""
    prepared: dict[str, HashedFile] = {}
    at_once = {entry}

    def link(name: str) -> HashedFile:
        if name not in prepared:
            prepared[name] = hashed_file(folder, name, _IMPORT.sub(hashed, sources[name]))
        return prepared[name]

    def hashed(found: re.Match[bytes]) -> bytes:
        name = found["name"].decode()
        if found["later"] is None:
            at_once.add(name)
        return found["before"] + b"./" + link(name).name.encode()

    first = link(entry)
    return Scripts(
        first,
        tuple(file for name, file in prepared.items() if name in at_once - {entry}),
        tuple(file for name, file in prepared.items() if name not in at_once),
    )
