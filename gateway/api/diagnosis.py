"""`POST /queue/{event}/diagnosis`: what this gateway saw of the request, for `gateway doctor`.

Who posts without a code of the ledger is answered as on any path of no meaning. It tells no token and no
cookie's value, and changes nothing.
"""

import re
import secrets
import time
from typing import Any, Final

from gateway import __version__
from gateway.answers import Answer, json_answer, problem
from gateway.calls import Call, client_address
from gateway.domain.carriers import is_queue_header, parse_cookies
from gateway.domain.peers import Peers
from gateway.errors import LedgerUnavailable
from gateway.queue import Room

_CODE = re.compile(r"[A-Za-z0-9_-]{43}")

# A code is looked up in the ledger: strangers must not make that many calls of their many requests.
LOOK_UP_EVERY_S: Final = 0.1

_TOLD = frozenset({b"forwarded", b"via", b"x-real-ip", b"x-rewrite-url", b"cf-connecting-ip"})
_TOLD_PREFIXES = (b"x-forwarded-", b"x-original-")


class Diagnosis:
    """The handler; `process` names this process by chance, so that several can be told apart."""

    def __init__(self, room: Room, peers: Peers) -> None:
        self._room = room
        self._peers = peers
        self._process = secrets.token_hex(4)
        self._next_at_s = 0.0

    async def answer(self, call: Call) -> Answer:
        code = (await call.fields(("code",))).get("code", "")
        if _CODE.fullmatch(code) is None or not await self._is_good(call, code):
            return problem(404, "There is nothing here. See /openapi.json for what there is.")
        return json_answer(200, self._document(call))

    async def _is_good(self, call: Call, code: str) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_at_s:
            return False
        self._next_at_s = now_s + LOOK_UP_EVERY_S
        try:
            return await self._room.may_diagnose(call.event, code)
        except LedgerUnavailable:
            return False

    def _document(self, call: Call) -> dict[str, Any]:
        headers = call.scope["headers"]
        peer = client_address(call.scope)
        source = self._peers.source_of(peer, headers)
        return {
            "event": call.event,
            "version": __version__,
            "process": self._process,
            # Null: this gateway's settings do not name the event.
            "mode": None if call.route is None else "observe" if call.route.observed else "enforce",
            "peer": peer,
            "peer_trusted": self._peers.is_trusted(peer),
            "address": source.address,
            # True: nobody says whom the proxy speaks for, so all its visitors count as one.
            "shared": source.unconfigured_proxy is not None
            or self._peers.is_trusted(source.address),
            "unconfigured_proxy": source.unconfigured_proxy,
            "secure": call.secure,
            "host": call.authority,
            "http_version": call.scope["http_version"],
            "fields": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, value in headers
                if name in _TOLD or name.startswith(_TOLD_PREFIXES)
            ],
            "queue_fields": sorted(
                {name.decode("latin-1") for name, _ in headers if is_queue_header(name)}
            ),
            "cookies": sorted(
                {
                    cookie.decode("latin-1")
                    for name, value in headers
                    if name == b"cookie"
                    for cookie, _ in parse_cookies(value)
                }
            ),
            "now": time.time(),
            "ledger_now": self._room.now_s(),
        }
