"""Requests as bytes, to one origin: what no client library would send, and every answer as it came.

Nothing is followed and nothing is remembered: a redirect is an answer, a cookie is sent where it is named.
"""

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from gateway import __version__
from gateway.doctor.connection import Connection, Stream, WireError, decoded
from gateway.errors import BadInput

Fields: TypeAlias = Iterable[tuple[str, str]]

MOST_REQUESTS: Final = 150
AT_ONCE: Final = 3
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
USER_AGENT: Final = f"admission-gateway-doctor/{__version__}"


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def parse_url(text: str) -> tuple[Origin, str]:
    """Return the origin of a URL, and the target to ask there.

    Raises:
        BadInput: It is no http or https URL with a host, or has a user or a password in it.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError as exc:
        raise BadInput("this is no URL; write https://site/path") from exc
    if parts.scheme not in _DEFAULT_PORTS or _HOST.fullmatch(host) is None:
        raise BadInput("write the whole URL of a protected page: https://site/path")
    if parts.username is not None or parts.password is not None:
        raise BadInput("leave user and password out of the URL: none is sent")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or any(char <= " " or char == "\x7f" for char in target):
        raise BadInput("write the URL's path in ASCII, everything else percent-encoded")
    return Origin(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme]), target


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        fields: In order; names in lower case.
        at_s: When it came, Unix seconds. took_s: How long the exchange took.
        local_address: Ours, of this connection.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    at_s: float
    took_s: float
    local_address: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def field(self, name: str) -> str:
        """Return a field's values as one; empty where there is none."""
        return ", ".join(self.all(name))


class Wire:
    """One origin, asked politely: some requests at once, and no more than a number in all.

    Args:
        connect: Host and port to connect to in place of the origin's own.
        source: The local address to connect from.
        ca: A file with the authorities to believe, in place of the system's.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        connect: tuple[str, int] | None = None,
        source: str | None = None,
        ca: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.origin = origin
        self.asked = 0
        self.trusted = True
        """Whether certificates are checked; what is secret is not sent where they are not."""
        self._connect = connect
        self._source = source
        self._ca = ca
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(AT_ONCE)

    def towards(self, origin: Origin) -> "Wire":
        """Return a wire to another origin of the same site; where to connect is not handed on."""
        return Wire(origin, source=self._source, ca=self._ca, timeout_s=self._timeout_s)

    async def ask(
        self,
        target: str,
        fields: Fields = (),
        *,
        method: str = "GET",
        body: bytes = b"",
        hosts: Iterable[str] | None = None,
        version: str = "1.1",
    ) -> Reply:
        """Send one request on a connection of its own, and read the answer.

        Args:
            hosts: The Host fields; the origin's own where none are given.

        Raises:
            WireError: There was none within the time.
        """
        head = self._head(method, target, fields, hosts, version, body)
        async with self._slots:
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(self._timeout_s), self._connection() as connection:
                    connection.send(head + body)
                    response = await connection.response()
                    content = await connection.content()
                    local = connection.local_address
            except TimeoutError as exc:
                raise WireError("timeout", f"no answer within {self._timeout_s:g} seconds") from exc
            return Reply(
                response.status_code,
                decoded(response.headers),
                content,
                time.time(),
                time.monotonic() - began_s,
                local,
            )

    @asynccontextmanager
    async def stream(
        self, target: str, fields: Fields = (), *, head_within_s: float
    ) -> AsyncGenerator["Stream"]:
        """Send a request whose answer does not end.

        Raises:
            WireError: Its head did not come within the time.
        """
        head = self._head("GET", target, fields, None, "1.1", b"")
        try:
            async with asyncio.timeout(head_within_s) as patience, self._connection() as connection:
                connection.send(head)
                response = await connection.response()
                patience.reschedule(None)
                yield Stream(response.status_code, decoded(response.headers), connection)
        except TimeoutError as exc:
            raise WireError("timeout", f"no head within {head_within_s:g} seconds") from exc

    async def certificate(self) -> tuple[Mapping[str, Any], str]:
        """Return the peer's checked certificate, as `ssl` describes it, and the version of TLS.

        Raises:
            WireError: kind `tls` where it is none that a browser accepts.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._connection() as connection:
                return connection.certificate()
        except TimeoutError as exc:
            raise WireError("timeout", f"no connection within {self._timeout_s:g} seconds") from exc

    def _head(
        self,
        method: str,
        target: str,
        fields: Fields,
        hosts: Iterable[str] | None,
        version: str,
        body: bytes,
    ) -> bytes:
        names = [self.origin.authority] if hosts is None else list(hosts)
        lines = [f"{method} {target} HTTP/{version}", *(f"Host: {name}" for name in names)]
        lines += [f"{name}: {value}" for name, value in fields]
        lines += [f"User-Agent: {USER_AGENT}"]
        if not any(name.lower() == "connection" for name, _ in fields):
            lines.append("Connection: close")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator["Connection"]:
        self.asked += 1
        if self.asked > MOST_REQUESTS:
            raise WireError("too-many", f"{MOST_REQUESTS} requests have been sent; no more are")
        host, port = self._connect or (self.origin.host, self.origin.port)
        try:
            reader, writer = await asyncio.open_connection(
                host,
                port,
                ssl=self._tls() if self.origin.is_secure else None,
                server_hostname=self.origin.host if self.origin.is_secure else None,
                local_addr=None if self._source is None else (self._source, 0),
            )
        except ssl.SSLError as exc:
            reason = getattr(exc, "verify_message", "") or exc.reason or "no TLS"
            raise WireError("tls", f"TLS failed: {reason}") from exc
        except OSError as exc:
            kind = "dns" if exc.__class__.__name__ == "gaierror" else "refused"
            raise WireError(kind, f"{host}:{port}: {_reason(exc)}") from exc
        try:
            yield Connection(reader, writer)
        except (OSError, EOFError) as exc:
            raise WireError("closed", "the connection was closed without an answer") from exc
        finally:
            writer.transport.abort()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca)
        if not self.trusted:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _reason(exc: OSError) -> str:
    """Say why there is no connection; asyncio's own words quote the socket's address."""
    if exc.errno is None or exc.errno < 0:
        return exc.strerror or str(exc)
    return os.strerror(exc.errno).lower()
