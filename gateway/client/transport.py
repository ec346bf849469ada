"""The calls of a client over HTTP, and the server's clock as they tell it. aiohttp ends in this file."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, cast

import aiohttp

from gateway.domain.positions import EventId

CALL_TIMEOUT_S: Final = 10.0
DEFAULT_HEARTBEAT_S: Final = 15.0
_MOST_BYTES: Final = 1_048_576

Channel = Literal["events", "websocket", "none"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `status` 0 where none came."""

    status: int = 0
    text: str = ""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retry_after_s: float = 0

    @property
    def problem_type(self) -> str:
        return str(self.body.get("type", "about:blank"))


class Trouble(Exception):
    """No answer, or one that says nothing of the visitor: to be asked again later."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}" if reply.status else "no answer")
        self.reply = reply


class NoPush(Exception):
    """There is no push; for so many seconds, where the server says how many."""

    def __init__(self, why: str, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class ServerClock:
    """The server's time, on this process's own clock: nobody can set that one, and this never goes back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._heard: tuple[float, float] | None = None

    def hear(self, unix_s: float) -> None:
        known = self.now_s()
        if known is None or unix_s > known:
            self._heard = (unix_s, self._monotonic())

    def now_s(self) -> float | None:
        """Return Unix seconds; None while no server has told them since the start."""
        if self._heard is None:
            return None
        unix_s, at = self._heard
        return unix_s + self._monotonic() - at


class Transport:
    """Calls one event of one gateway. A session of aiohttp's is made with the first call."""

    def __init__(
        self, url: str, event: EventId, clock: ServerClock, headers: Mapping[str, str]
    ) -> None:
        self._origin = url.rstrip("/")
        self._base = f"{self._origin}/queue/{event}"
        self._clock = clock
        self._headers = headers
        self._session: aiohttp.ClientSession | None = None
        self.online = True

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def jwks(self) -> Reply:
        return await self._call("GET", f"{self._origin}/.well-known/jwks.json")

    async def get(self, verb: str) -> Reply:
        return await self._call("GET", f"{self._base}/{verb}")

    async def post(
        self, verb: str, headers: Mapping[str, str], body: Mapping[str, str] | None = None
    ) -> Reply:
        return await self._call("POST", f"{self._base}/{verb}", headers, body)

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> Reply:
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)
        try:
            async with self._open().request(
                method, url, headers=headers, json=body, timeout=timeout
            ) as answer:
                content = await answer.content.read(_MOST_BYTES)
                text = content.decode("utf-8")
                read: object = json.loads(text) if "json" in answer.content_type else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self.online = False
            return Reply()
        self.online = True
        if (told := _date(answer.headers.get("date"))) is not None:
            self._clock.hear(told)
        body_read = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        return Reply(answer.status, text, body_read, _seconds(answer.headers.get("retry-after")))

    async def documents(self, channel: Channel) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield what is pushed until it fails.

        Raises:
            NoPush: It was refused, has ended, or was silent for two heartbeats.
        """
        pushed = self._events() if channel == "events" else self._messages()
        heartbeat_s: float = DEFAULT_HEARTBEAT_S
        try:
            while True:
                async with asyncio.timeout(2 * heartbeat_s):
                    text = await anext(pushed)
                found: dict[str, Any] = json.loads(text)
                heartbeat_s = float(found["poll"]["heartbeat"]) or DEFAULT_HEARTBEAT_S
                yield found
        except TimeoutError as exc:
            raise NoPush("silent") from exc
        except (aiohttp.ClientError, OSError, StopAsyncIteration) as exc:
            raise NoPush(str(exc) or "ended") from exc
        except (LookupError, TypeError, ValueError) as exc:
            raise NoPush("what was pushed is no document") from exc
        finally:
            await pushed.aclose()

    async def _events(self) -> AsyncGenerator[str, None]:
        timeout = aiohttp.ClientTimeout(sock_connect=CALL_TIMEOUT_S)
        headers = {"accept": "text/event-stream"}
        retry_s: float | None = None
        async with self._open().get(
            f"{self._base}/events", headers=headers, timeout=timeout
        ) as answer:
            if answer.status != 200:
                pause_s = _seconds(answer.headers.get("retry-after")) or None
                raise NoPush(f"status {answer.status}", pause_s)
            fields: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode("utf-8").rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                    continue
                retry_s = _seconds(fields.get("retry")) / 1000 or retry_s
                if fields.get("event") == "refused":
                    raise NoPush("refused", float(json.loads(fields["data"])["retry_after"]))
                if fields.get("event") == "pointer":
                    yield fields["data"]
                fields = {}
        raise NoPush("ended", retry_s)

    async def _messages(self) -> AsyncGenerator[str, None]:
        url = f"{self._base}/ws"
        async with self._open().ws_connect(url) as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    yield str(message.data)
        raise NoPush("ended")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Tokens travel as a header; a cookie beside it could contradict it.
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), headers=self._headers
            )
        return self._session


def is_trouble(reply: Reply) -> bool:
    """Whether an answer says nothing of the visitor, or there is none."""
    return reply.status == 0 or reply.status >= 500


def refuse_trouble(reply: Reply) -> Reply:
    """Return an answer that says something.

    Raises:
        Trouble: It does not.
    """
    if is_trouble(reply):
        raise Trouble(reply)
    return reply


def _date(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isascii() and text.isdigit() else 0.0
