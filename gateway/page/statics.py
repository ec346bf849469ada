"""Files of the page under names that hold their hash, so that they may be kept for ever.

Each is compressed once, when the gateway starts, with nothing in it that differs between processes.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from gateway.answers import Answer, RawHeader
from gateway.calls import Call
from gateway.page.preferences import accepts_gzip

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
_IMPORT = re.compile(rb"""(?P<before>\b(?:from|import)\s*["'])\./(?P<name>[a-z_]+\.js)(?=["'])""")


def compressed(body: bytes) -> bytes:
    """Return the body as gzip; the same bytes for the same body, always."""
    return gzip.compress(body, compresslevel=9, mtime=0)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, as it is served.

    Attributes:
        path: Below `/queue/{event}/`, with the hash in it.
    """

    path: str
    plain: Answer
    zipped: Answer | None

    async def answer(self, call: Call) -> Answer:
        if self.zipped is None:
            return self.plain
        return self.zipped if accepts_gzip(call.listed(b"accept-encoding")) else self.plain


def static_file(name: str, body: bytes) -> StaticFile:
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
        headers.append((b"vary", b"Accept-Encoding"))
    plain = Answer(200, tuple(headers), body)
    zipped = (
        Answer(200, (*headers, (b"content-encoding", b"gzip")), compressed(body))
        if ending in _COMPRESSIBLE
        else None
    )
    return StaticFile(f"room/{stem}.{digest}.{ending}", plain, zipped)


def built_in(name: str) -> bytes:
    return (files("gateway.page") / "static" / name).read_bytes()


ENTRY = "room.js"
"""The script that the page starts with."""


@dataclass(frozen=True, slots=True)
class Scripts:
    """The page's code.

    Attributes:
        entry: What the page starts.
        modules: What that imports.
    """

    entry: StaticFile
    modules: tuple[StaticFile, ...]

    @property
    def all(self) -> tuple[StaticFile, ...]:
        return self.entry, *self.modules


def scripts() -> Scripts:
    """Prepare the page's scripts; a module that another one imports is named by its hash there."""
    folder = files("gateway.page") / "static"
    sources = {item.name: item.read_bytes() for item in folder.iterdir()}
    prepared: dict[str, StaticFile] = {}

    def prepare(name: str) -> StaticFile:
        if name not in prepared:
            prepared[name] = static_file(name, _IMPORT.sub(hashed, sources[name]))
        return prepared[name]

    def hashed(found: re.Match[bytes]) -> bytes:
        target = prepare(found["name"].decode()).path.removeprefix("room/")
        return found["before"] + b"./" + target.encode()

    entry = prepare(ENTRY)
    return Scripts(entry, tuple(file for name, file in prepared.items() if name != ENTRY))
