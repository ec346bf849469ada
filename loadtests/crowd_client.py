"""One process of the waiting crowd: holds many connections on one thread, and notes when news arrives.

Started by `loadtests/waiting_crowd.py`, which talks to it in lines of JSON. A client does what a browser
does and no more, so that the two cores are left to what is measured: one epoll loop, one receive for each
arrival, one search for the new pointer.

    <- {"ready": connections, "failed": connections, "refused": connections}
    -> {"watch": text}           wait for it on every connection
    <- {"arrived": [seconds of the monotonic clock, …], "missing": connections}
    -> {"count": true}
    <- {"requests": how many were answered so far, "lost": connections closed by the other side}
    -> end of input              close everything and end
"""

import argparse
import heapq
import json
import random
import select
import socket
import sys
import time
from dataclasses import dataclass
from enum import Enum
from typing import Final

CONNECT_TIMEOUT_S: Final = 60.0
# More than a document; a larger buffer is cleared for nothing at every arrival.
RECEIVE_BYTES: Final = 4096

# After a look that found this few, the next one waits a little: a process that is woken for each arrival
# takes the cores from the servers, which real clients on machines of their own do not.
FEW: Final = 64
NAP_S: Final = 0.005

# Connections under way at one time: fewer than the servers' backlog.
UNDER_WAY: Final = 256

# The end of what was received is kept, should the text that is watched for be cut in two.
KEPT_BYTES: Final = 64


class Kind(Enum):
    """How clients hear of the pointer."""

    SSE = "sse"
    WEBSOCKET = "websocket"
    POLL = "poll"


@dataclass(slots=True)
class Client:
    sock: socket.socket
    ready: bool = False
    kept: bytes = b""
    arrived_s: float = 0.0


def request(kind: Kind, event: str, host: str) -> bytes:
    fields = [f"Host: {host}"]
    match kind:
        case Kind.SSE:
            path = f"/queue/{event}/events"
            fields.append("Accept: text/event-stream")
        case Kind.WEBSOCKET:
            path = f"/queue/{event}/ws"
            fields += [
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                # The sample of RFC 6455, section 1.3: a server has no use for its being random.
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ]
        case Kind.POLL:
            path = f"/queue/{event}"
    return ("\r\n".join([f"GET {path} HTTP/1.1", *fields]) + "\r\n\r\n").encode()


class Crowd:
    """All clients of this process.

    Args:
        sources: Loopback addresses that they come from, in turn.
        poll_s: How often each of them polls; of use to pollers only.
    """

    def __init__(
        self, kind: Kind, port: int, event: str, sources: list[str], poll_s: float
    ) -> None:
        self._kind = kind
        self._address = ("127.0.0.1", port)
        self._request = request(kind, event, "127.0.0.1")
        self._sources = sources
        self._poll_s = poll_s
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._due: list[tuple[float, int]] = []
        self._watched: bytes | None = None
        self._arrived = 0
        self.ready = 0
        self.answered = 0
        self.lost = 0
        self.refused = 0

    def gather(self, count: int) -> int:
        """Open so many connections and wait for the first document on each; return how many have it."""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S + count / 500
        begun = 0
        while self.ready + self.lost < count and time.monotonic() < deadline:
            while begun < count and begun - self.ready - self.lost < UNDER_WAY:
                self._begin(self._sources[begun % len(self._sources)])
                begun += 1
            self._receive(0.05)
        return self.ready

    def _begin(self, source: str) -> None:
        sock = socket.socket()
        # A source address of its own for each some thousand: one has 28,000 ports.
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        sock.bind((source, 0))
        sock.connect(self._address)
        sock.sendall(self._request)
        sock.setblocking(False)
        self._clients[sock.fileno()] = Client(sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def watch(self, text: str, timeout_s: float) -> tuple[list[float], int]:
        """Return when the text arrived at each client, and at how many it did not."""
        for client in self._clients.values():
            client.arrived_s = 0.0
            client.kept = b""
        self._watched, self._arrived = text.encode(), 0
        deadline = time.monotonic() + timeout_s
        while self._arrived < len(self._clients) and time.monotonic() < deadline:
            self._receive(0.05)
        self._watched = None
        arrived = [c.arrived_s for c in self._clients.values() if c.arrived_s]
        return sorted(arrived), len(self._clients) - len(arrived)

    def idle(self) -> None:
        """Do what there is to do for a moment: polls, heartbeats."""
        self._receive(0.05)

    def close(self) -> None:
        for client in self._clients.values():
            client.sock.close()

    def _receive(self, timeout_s: float) -> None:
        if self._kind is Kind.POLL:
            timeout_s = self._poll_due(timeout_s)
        found = self._epoll.poll(timeout_s, 1024)
        if 0 < len(found) < FEW and self._watched is not None:
            time.sleep(NAP_S)
        for fd, _ in found:
            client = self._clients[fd]
            try:
                data = client.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._lose(fd, client)
            else:
                self._take(fd, client, data)

    def _take(self, fd: int, client: Client, data: bytes) -> None:
        if self._watched is not None and not client.arrived_s:
            if self._watched in data or (client.kept and self._watched in client.kept + data):
                client.arrived_s = time.monotonic()
                self._arrived += 1
            else:
                client.kept = data[-KEPT_BYTES:]
        if b'"served_up_to"' in data:
            self.answered += 1
            if not client.ready:
                client.ready = True
                self.ready += 1
            if self._kind is Kind.POLL:
                # Never in step: a quarter of the interval is left to chance, as the document asks.
                after_s = self._poll_s * random.uniform(1.0, 1.25)
                heapq.heappush(self._due, (time.monotonic() + after_s, fd))
        elif b"event: refused" in data or b" 503 " in data[:16]:
            self.refused += 1
            self._lose(fd, client)

    def _poll_due(self, timeout_s: float) -> float:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, fd = heapq.heappop(self._due)
            client = self._clients.get(fd)
            if client is not None:
                try:
                    client.sock.send(self._request)
                except OSError:
                    self._lose(fd, client)
        return max(min(timeout_s, self._due[0][0] - now), 0) if self._due else timeout_s

    def _lose(self, fd: int, client: Client) -> None:
        self._epoll.unregister(fd)
        client.sock.close()
        del self._clients[fd]
        self.lost += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--event", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--sources", required=True, help="loopback addresses, with commas")
    parser.add_argument("--poll-s", type=float, default=0.0)
    parser.add_argument("--timeout-s", type=float, required=True)
    args = parser.parse_args()
    crowd = Crowd(Kind(args.kind), args.port, args.event, args.sources.split(","), args.poll_s)
    ready = crowd.gather(args.count)
    _say({"ready": ready, "failed": args.count - ready, "refused": crowd.refused})
    told = select.poll()
    told.register(sys.stdin, select.POLLIN)
    while True:
        if not told.poll(0):
            crowd.idle()
            continue
        line = sys.stdin.readline()
        if not line:
            break
        asked = json.loads(line)
        if "watch" in asked:
            arrived, missing = crowd.watch(asked["watch"], args.timeout_s)
            _say({"arrived": [round(at, 5) for at in arrived], "missing": missing})
        else:
            _say({"requests": crowd.answered, "lost": crowd.lost})
    crowd.close()


def _say(document: dict[str, object]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
