"""One connection: bytes of any kind go out, and h11 reads what comes back."""

import asyncio
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import h11

from gateway.errors import GatewayError

LONGEST_BODY: Final = 262_144


class WireError(GatewayError):
    """No answer that is HTTP. `kind` is one of dns, refused, timeout, tls, closed, not-http, too-many."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Connection:
    """Reads what came after bytes that h11 has not written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._has_switched = False
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=65_536)
        # h11 must have sent something before it reads: any request that may be upgraded.
        self._http.send(
            h11.Request(
                method="GET",
                target="/",
                headers=[("host", "x"), ("upgrade", "websocket"), ("connection", "upgrade")],
            )
        )
        self._http.send(h11.EndOfMessage())

    @property
    def local_address(self) -> str:
        return str(self._writer.get_extra_info("sockname")[0])

    def certificate(self) -> tuple[Mapping[str, Any], str]:
        tls = self._writer.get_extra_info("ssl_object")
        return tls.getpeercert() or {}, tls.version() or ""

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def response(self) -> h11.Response | h11.InformationalResponse:
        """Return the head of the answer; 101 is one, other 1xx are passed over."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return event
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise EOFError

    async def content(self) -> bytes:
        """Return the body, or its beginning where it is very long."""
        content = bytearray()
        while len(content) < LONGEST_BODY:
            event = await self._event()
            if not isinstance(event, h11.Data):
                break
            content += event.data
        return bytes(content)

    async def piece(self) -> bytes:
        """Return the next piece of a body; empty at its end."""
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def after_upgrade(self) -> bytes:
        """Return the next bytes behind a 101; empty at the end."""
        if not self._has_switched:
            self._has_switched = True
            rest, _ = self._http.trailing_data
            if rest:
                return rest
        return await self._reader.read(65_536)

    async def _event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as exc:
                if self._reader.at_eof():
                    raise EOFError from exc
                raise WireError("not-http", "the answer is not HTTP/1.1") from exc
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(65_536))


class Stream:
    """An answer that goes on.

    Attributes:
        fields: In order; names in lower case.
    """

    def __init__(
        self, status: int, fields: tuple[tuple[str, str], ...], connection: Connection
    ) -> None:
        self.status = status
        self.fields = fields
        self._connection = connection
        self._inflate = (
            zlib.decompressobj(wbits=47)
            if any(pair == ("content-encoding", "gzip") for pair in fields)
            else None
        )

    async def next(self, within_s: float) -> bytes | None:
        """Return the next piece, empty at the end; None where nothing came in time.

        Raises:
            WireError: The connection broke.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    piece = await self._connection.piece()
                    if self._inflate is None or not piece:
                        return piece
                    if shown := self._inflate.decompress(piece):
                        return shown
        except TimeoutError:
            return None
        except (OSError, EOFError) as exc:
            raise WireError("closed", "the connection was cut in the middle of the answer") from exc

    async def next_after_upgrade(self, within_s: float) -> bytes | None:
        """Return the next bytes of an upgraded connection, as `next` does."""
        try:
            async with asyncio.timeout(within_s):
                return await self._connection.after_upgrade()
        except TimeoutError:
            return None


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
