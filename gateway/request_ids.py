"""Gives every request an id that its log lines carry, and an uncaught exception an honest answer.

An admitted request writes no line; what goes wrong on our side writes one, with the id that the
visitor was shown.
"""

import logging
import re
import secrets
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.answers import problem, send_answer
from gateway.calls import ClientGone, client_address
from gateway.domain.peers import Peers
from gateway.errors import AnswerCutShort

logger = logging.getLogger(__name__)

REQUEST_ID = b"x-request-id"

# An id from a trusted proxy is taken over when it cannot break a log line or a field.
_SAFE_ID = re.compile(rb"[A-Za-z0-9_.:-]{8,128}")


class _Request:
    """The request under way. Its id is made when somebody asks: most requests never log."""

    __slots__ = ("_id",)

    def __init__(self, given: str | None) -> None:
        self._id = given

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = secrets.token_hex(8)
        return self._id


_current: ContextVar[_Request | None] = ContextVar("request", default=None)


def log_fields() -> dict[str, object]:
    """Return what every log line says of the request that it was written for."""
    request = _current.get()
    return {} if request is None else {"request_id": request.id}


class RequestIds:
    """The outermost ASGI app."""

    def __init__(self, app: ASGIApp, peers: Peers) -> None:
        self._app = app
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = _Request(self._given_id(scope))
        _current.set(request)
        begun = False

        async def watching(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except AnswerCutShort:
            # On to the server, which closes the connection.
            raise
        except ClientGone:
            return
        except Exception:
            logger.exception("a request failed", extra={"scope": scope["type"]})
            if begun:
                # Half an answer is out: only a broken connection says that it is not whole.
                raise
            answer = problem(500, f"The mistake is ours. Request id: {request.id}")
            await send_answer(answer, scope, send)

    def _given_id(self, scope: Scope) -> str | None:
        if not self._peers.is_trusted(client_address(scope)):
            return None
        for name, value in scope["headers"]:
            if name == REQUEST_ID and _SAFE_ID.fullmatch(value):
                return str(value.decode("ascii"))
        return None
