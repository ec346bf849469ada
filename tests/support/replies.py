"""HTTP/1.1 for tests: one request a connection, and the answer as it came."""

import contextlib
import http.client
import json
import select
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

HeaderPairs: TypeAlias = Iterable[tuple[str, str]]

TIMEOUT_S = 20.0
PATIENCE_S = 0.5
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        headers: In order; names in lower case.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """Return the value of a field that must not come twice."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def location(self) -> str:
        value = self.header("location")
        assert value is not None, self
        return value

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """Return the problem's `type`; the document must be sound and agree with the status."""
        assert self.header("content-type") == PROBLEM, self
        document = self.json()
        assert document["status"] == self.status
        assert document["title"]
        assert self.header("cache-control") == "no-store"
        return str(document["type"])

    @property
    def verdict(self) -> tuple[int, str]:
        """Return status and problem type together, as tables of answers name them."""
        return self.status, self.problem

    @property
    def cookies(self) -> dict[str, "Cookie"]:
        return {cookie.name: cookie for cookie in map(Cookie.parse, self.all("set-cookie"))}


@dataclass(frozen=True, slots=True)
class Cookie:
    """One Set-Cookie; attribute names in lower case, "" for those without a value."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Cookie":
        pair, *rest = text.split("; ")
        name, _, value = pair.partition("=")
        attributes = [part.partition("=") for part in rest]
        return cls(name, value, {key.lower(): val for key, _, val in attributes})

    @property
    def cleared(self) -> bool:
        return self.value == "" and self.attributes["max-age"] == "0"


def ask(
    port: int, method: str, target: str, headers: HeaderPairs, body: bytes | None = None
) -> Reply:
    """Send one request, with exactly these fields (and a Content-Length), and read the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        return _read(connection.getresponse())


def ask_raw(port: int, request: bytes, method: str = "GET") -> Reply | None:
    """Send these bytes and read one answer; None when the server closes without a word."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        if not select.select([connection], [], [], PATIENCE_S)[0]:
            # What the server still waits for does not come. Not any sooner: a client that closes its
            # half is to some servers one that went away.
            connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection, method=method)
        with contextlib.closing(response):
            try:
                response.begin()
            except (http.client.BadStatusLine, ConnectionError):
                return None
            return _read(response)


def _read(response: http.client.HTTPResponse) -> Reply:
    body = response.read()
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return Reply(response.status, headers, body)
