"""A gateway that does what ours never would: it goes back, lies over push, falls silent, and signs."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway.pointer import pointer_document
from gateway.tokens.codec import Signer
from gateway.tokens.jwks import jwks_document
from gateway.tokens.keyring import KeyRing
from tests.support.minting import ISSUER, Mint
from tests.support.reads import event

POLL = {"nearest": 1, "farthest": 1, "unknown": 1, "heartbeat": 1}
EVENT = "sale"


class OddGateway:
    """Serves one event called `sale`; whoever joins has place 5.

    Attributes:
        asked: Every request, as its method and what follows the event's name.
        pointer: The members in which the document differs from that of an open event with 9 places.
        stream: What is pushed: `none`, `silence`, `refusal` or `lies`.
        away: Whether everything is answered with 503.
        portal: Whether everything is answered with a page, as the portal of a hotel's network does.
    """

    def __init__(self, mint: Mint) -> None:
        self.mint = mint
        self.asked: list[str] = []
        self.pointer: dict[str, Any] = {}
        self.stream = "none"
        self.away = False
        self.portal = False
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def count(self, what: str) -> int:
        return self.asked.count(what)

    @contextmanager
    def running(self) -> Iterator["OddGateway"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def document(self) -> dict[str, Any]:
        return {**pointer_document(event(9, 0)), "poll": POLL, **self.pointer}

    def answer(self, what: str) -> tuple[int, str, bytes]:
        if self.away:
            return 503, "application/problem+json", _json({"type": "ledger-away"})
        if self.portal:
            return 200, "text/html", b"<h1>Welcome to our hotel</h1>"
        match what:
            case "GET jwks":
                ring = KeyRing.load(self.mint.folder)
                return 200, "application/json", jwks_document(ring.public_keys())
            case "POST join":
                token = self.mint.place(EVENT, 1, 5)
                return 201, "application/json", _json({"token": token})
            case "GET pointer.jws":
                return 200, "application/jose", self._statement()
            case "POST claim":
                refused = {"type": "not-yet", "status": 429, "detail": "Not yet."}
                return 429, "application/problem+json", _json(refused)
            case _:
                return 404, "application/problem+json", _json({"type": "about:blank"})

    def pushed(self) -> bytes:
        if self.stream == "refusal":
            refused = {"reason": "too-many-streams", "retry_after": 3600}
            return b"event: refused\ndata: " + _json(refused) + b"\n\n"
        document = self.document()
        if self.stream == "lies":
            document["served_up_to"] = 1_000_000
        return b"event: pointer\nid: 1\ndata: " + _json(document) + b"\n\n"

    def _statement(self) -> bytes:
        document = self.document()
        claims = {
            "iss": ISSUER,
            "aud": EVENT,
            "gen": document["generation"],
            "iat": int(time.time()),
        }
        # Read anew: a test may have activated another key.
        signer = Signer(KeyRing.load(self.mint.folder))
        return signer.sign_pointer({**document, **claims}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self._serve()

            def _serve(self) -> None:
                verb = self.path.rpartition("/")[2].removesuffix(".json")
                what = f"{self.command} {verb}"
                odd.asked.append(what)
                if verb == "events" and odd.stream != "none":
                    self._push()
                    return
                status, kind, body = odd.answer(what)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _push(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.wfile.write(odd.pushed())
                if odd.stream != "refusal":
                    odd._over.wait(100)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()
