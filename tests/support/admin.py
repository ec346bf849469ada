"""The admin interface of a running gateway, as a script or a browser asks it."""

import http.client
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.operators.keys import Role
from tests.support.command_line import CONFIG, Typist
from tests.support.eventually import eventually
from tests.support.replies import Reply
from tests.support.running import Running

TIMEOUT_S = 20.0
PAUSE_S = 0.15


def patiently(predicate: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait as `eventually` does, and ask so seldom that no limit on requests says no in its place."""

    def after_a_moment() -> object:
        time.sleep(PAUSE_S)
        return predicate()

    eventually(after_a_moment, timeout_s)


class AdminPort:
    """Sends requests to an admin port, each over a connection of its own.

    Attributes:
        keys: By the role of their operator, who is named like it.
        is_patient: Whether an operator who has asked too much waits, and asks again.
    """

    def __init__(self, url: str, keys: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.authority = parts.netloc
        self.keys = keys
        self.is_patient = True

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send exactly these fields, beside Host and Content-Length."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            fields = tuple((name.lower(), value) for name, value in answer.getheaders())
            return Reply(answer.status, fields, answer.read())
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: str | None = "admin",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask as a script of the operator with this role; as nobody where it is None."""
        fields = {} if role is None else {"authorization": f"Bearer {self.keys[role]}"}
        is_operator = role is not None or (
            isinstance(body, dict) and body.get("key") in self.keys.values()
        )
        if body is not None:
            fields["content-type"] = "application/json"
        content = None if body is None else json.dumps(body).encode()
        fields.update(headers or {})
        return self.send_patiently(method, path, content, fields, is_operator=is_operator)

    def send_patiently(
        self,
        method: str,
        path: str,
        content: bytes | None,
        fields: Mapping[str, str],
        *,
        is_operator: bool = True,
    ) -> Reply:
        while True:
            reply = self.send(method, f"/admin{path}", content, fields)
            if reply.status != 429 or not (is_operator and self.is_patient):
                return reply
            time.sleep(float(reply.header("retry-after") or 1))

    def sign_in(self, role: str = "admin") -> "Browser":
        reply = self.ask("POST", "/session", {"key": self.keys[role]}, role=None)
        assert reply.status == 200, reply
        cookie = reply.header("set-cookie")
        assert cookie is not None
        return Browser(self, cookie.partition(";")[0])

    def create(self, event: str, **policy: Any) -> str:
        """Make an open event."""
        reply = self.ask("POST", "/events", {"event": event, "open": True, "policy": policy})
        assert reply.status == 201, reply
        return event


class Browser:
    """Somebody signed in, with what a browser sends by itself from a page of ours."""

    def __init__(self, port: AdminPort, cookie: str) -> None:
        self.port = port
        self.cookie = cookie

    def fields(self) -> dict[str, str]:
        return {
            "cookie": self.cookie,
            "origin": f"http://{self.port.authority}",
            "sec-fetch-site": "same-origin",
            "operator-request": "1",
            "content-type": "application/json",
        }

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        but: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """Ask from a page of ours, `but` for fields that are others, or missing where None."""
        fields: dict[str, str | None] = {**self.fields(), **(but or {})}
        sent = {name: value for name, value in fields.items() if value is not None}
        content = None if body is None else json.dumps(body).encode()
        own = "authorization" not in sent
        return self.port.send_patiently(method, path, content, sent, is_operator=own)


class House:
    """A folder with a gateway running in it, and an operator of each role.

    Attributes:
        operator: Types commands in the folder.
    """

    def __init__(self, folder: Path, running: Running, keys: Mapping[str, str]) -> None:
        self.folder = folder
        self.running = running
        self.operator = Typist(folder)
        self.port = AdminPort(running.document["admin_url"], keys)
        self.url = str(running.document["url"])

    @property
    def file(self) -> Path:
        return self.folder / "operators.json"

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what the gateway's process has logged so far."""
        text = (self.folder / "errors.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@contextmanager
def open_house(
    *words: str | int, settings: str = "", roles: bool = True, env: Mapping[str, str] | None = None
) -> Iterator[House]:
    """Run `gateway run`, as operators start it, with an embedded ledger."""
    # Under /tmp itself: a Unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="gwa-", dir="/tmp"))
    (folder / "gateway.toml").write_text(CONFIG + settings)
    operator = Typist(folder)
    assert operator("keys", "new").code == 0
    keys: dict[str, str] = {}
    for role in Role if roles else ():
        ran = operator("operator", "add", role.value, "--role", role.value, "--json")
        assert ran.code == 0, ran.err
        keys[role.value] = ran.document["key"]
    running = Running(("--json", "run", "--port", 0, "--admin-port", 0, *words), folder, env)
    try:
        yield House(folder, running, keys)
    finally:
        running.end()
        assert running.process.stdout is not None
        running.process.stdout.close()
        shutil.rmtree(folder)
