"""Visitors of a gateway under test: browsers with a cookie jar, or clients that send what they are told."""

import json
from collections.abc import Mapping
from typing import Any

from tests.support.contract import CONTRACT
from tests.support.replies import Reply, ask

NAVIGATION = {"accept": "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate"}

# Calls that only read.
_READ = ("", "position", "room", "room/plain", "onward", "enter")

Headers = Mapping[str, str] | list[tuple[str, str]]


class Visitor:
    """One browser at one host of a site; each answer of our interface is held to its document.

    Attributes:
        cookies: Name and value, as this host set them.
    """

    def __init__(self, port: int, host: str, *, event: str = "") -> None:
        self.port = port
        self.host = host
        self.event = event
        self.cookies: dict[str, str] = {}

    def ask(
        self,
        method: str,
        target: str,
        headers: Headers | None = None,
        body: bytes | str | None = None,
    ) -> Reply:
        """Send a request; `host` and `cookie` come from the jar where `headers` have none."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
        given = {name.lower() for name, _ in pairs}
        if "host" not in given:
            pairs.insert(0, ("host", self.host))
        if "cookie" not in given and self.cookies:
            jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            pairs.append(("cookie", jar))
        data = body.encode() if isinstance(body, str) else body
        reply = ask(self.port, method, target, pairs, data)
        CONTRACT.check(method, target, reply)
        for cookie in reply.cookies.values():
            if cookie.attributes.get("max-age") == "0":
                self.cookies.pop(cookie.name, None)
            else:
                self.cookies[cookie.name] = cookie.value
        return reply

    def get(self, target: str, headers: Headers | None = None) -> Reply:
        return self.ask("GET", target, headers)

    def navigate(self, target: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Go to a page, as a person's browser does."""
        return self.ask("GET", target, {**NAVIGATION, **(headers or {})})

    def call(self, verb: str, headers: Headers | None = None, **fields: Any) -> Reply:
        """Make one of the calls of `/queue/{event}/…`; keyword arguments are the body's fields."""
        method = "GET" if verb in _READ else "POST"
        target = f"/queue/{self.event}/{verb}".rstrip("/")
        if not fields:
            return self.ask(method, target, headers)
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
        pairs.append(("content-type", "application/json"))
        return self.ask(method, target, pairs, json.dumps(fields))

    def join(self, headers: Headers | None = None, **fields: Any) -> dict[str, Any]:
        """Join; return the place."""
        reply = self.call("join", headers, **fields)
        assert reply.status in (200, 201), reply
        return dict(reply.json())

    def claim(self) -> dict[str, Any]:
        """Claim; return the pass."""
        reply = self.call("claim")
        assert reply.status == 200, reply
        return dict(reply.json())

    @property
    def place(self) -> str:
        """Return the queue token in the jar."""
        return self._token("queue")

    @property
    def held(self) -> str:
        """Return the pass in the jar."""
        return self._token("pass")

    def drop(self, kind: str) -> None:
        """Forget the cookie of the `queue` token or of the `pass`."""
        self.cookies.pop(self._name(kind))

    def has(self, kind: str) -> bool:
        return any(name.endswith(f"{kind}-{self.event}") for name in self.cookies)

    def _token(self, kind: str) -> str:
        return self.cookies[self._name(kind)]

    def _name(self, kind: str) -> str:
        (name,) = [name for name in self.cookies if name.endswith(f"{kind}-{self.event}")]
        return name
