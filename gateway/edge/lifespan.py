"""The lifespan of an app behind the gate, also of an app that has none, such as Django."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.opening import OpenGate
from gateway.errors import GatewayError

logger = logging.getLogger(__name__)

_FAILED = "lifespan.startup.failed"
_COMPLETE = "lifespan.startup.complete"


class GuardedLifespan:
    """Opens the gate before the app begins, and closes it once the app has ended.

    An app without a lifespan refuses the scope by an exception (ASGI, "Lifespan Protocol"). A server
    would then go on and tell nobody of its end, so the answers are given in the app's place.
    """

    def __init__(self, app: ASGIApp, opened: OpenGate, receive: Receive, send: Send) -> None:
        self._app = app
        self._opened = opened
        self._receive = receive
        self._send = send
        self._beginning: Message | None = None
        self._has_answered = False
        self._is_ending = False
        self._has_ended = False

    async def run(self, scope: Scope) -> None:
        """Return once the server has ended, or could not begin."""
        self._beginning = await self._receive()
        try:
            await self._opened.start()
        except (GatewayError, OSError) as exc:
            # The server exits with this message. To go on would be to answer 500 to everybody.
            await self._send({"type": _FAILED, "message": str(exc)})
            return
        trouble = await self._run_app(scope)
        if not self._has_answered:
            # It has no lifespan; a server is told the same by an exception.
            logger.info("the app has no lifespan of its own", extra={"cause": repr(trouble)})
            trouble = None
            await self._send({"type": _COMPLETE})
        if not self._has_ended:
            if not self._is_ending:
                # The app's lifespan is over and the server's is not: visitors still come.
                await self._receive()
            await self._opened.aclose()
            if trouble is None:
                await self._send({"type": "lifespan.shutdown.complete"})
        if trouble is not None:
            raise trouble

    async def _run_app(self, scope: Scope) -> Exception | None:
        try:
            await self._app(scope, self._receive_for_app, self._send_for_app)
        except Exception as exc:
            # Told to the server at the end, or the refusal of a scope that the app does not have.
            return exc
        return None

    async def _receive_for_app(self) -> Message:
        if self._beginning is not None:
            message, self._beginning = self._beginning, None
            return message
        message = await self._receive()
        self._is_ending = True
        return message

    async def _send_for_app(self, message: Message) -> None:
        self._has_answered = True
        if message["type"] != _COMPLETE:
            # Once the last word is out, a server may end the loop at any moment.
            await self._opened.aclose()
            self._has_ended = True
        await self._send(message)
