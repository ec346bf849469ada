"""What must hold of any bytes that come as a part of a request."""

import contextlib
import posixpath
import unicodedata
from collections.abc import Coroutine
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import h11
import httptools
from starlette.types import Message

from gateway.calls import Call, Refusal, read_authority, read_fields
from gateway.domain.carriers import (
    bearer_token,
    carried_tokens,
    is_queue_header,
    parse_cookies,
    without_our_cookies,
)
from gateway.domain.peers import Networks, Peers, client_address
from gateway.domain.positions import EventId
from gateway.domain.return_to import parse_return_to
from gateway.domain.targets import NotCanonical, canonical_host, canonical_target, path_key
from gateway.edge.forwarding import HeaderList, Sender, request_headers
from gateway.server.bodies import BadChunk, ChunkReader
from gateway.server.heads import CHUNKED, Refused, judge, judge_part, quick_looks
from gateway.server.limits import ServerLimits
from tests.support.fuzzing import counted, guided
from tests.support.oracles.tokens import SALE

HOST = "booking.example"
EVENTS = (SALE, EventId("other"))

LIMITS = ServerLimits(
    receive_timeout_s=10,
    keep_alive_s=30,
    header_bytes=4096,
    header_count=20,
    target_bytes=512,
    connections_per_client=10,
    connections=100,
    drain_s=1,
)
_LOOKS = [
    quick_looks(LIMITS, parser_refuses_controls=False),
    # httptools refuses controls in values by itself; judged with it below.
    quick_looks(LIMITS, parser_refuses_controls=True),
]


@guided
def target(raw: bytes) -> bool:
    """A target is refused, or is read alike by everyone who reads it."""
    path, _, query = raw.partition(b"?")
    try:
        read = canonical_target(path, query)
    except NotCanonical as exc:
        assert exc.why
        return False
    assert (read.path.encode(), read.query.encode()) == (path, query)
    assert canonical_target(read.path.encode(), read.query.encode()) == read
    assert read.key == path_key(read.path)
    seen = httptools.parse_url(raw)
    assert (seen.path, seen.query or b"") == (path, query)
    assert urlsplit(f"http://{HOST}{read.path}").path == read.path
    once = unquote(read.path, errors="strict")
    assert unquote(once, errors="strict") == once
    for reading in (read.path, once, unicodedata.normalize("NFKC", once), once.casefold()):
        assert posixpath.normpath(reading) == (reading.rstrip("/") or "/")
        assert reading.count("/") == read.path.count("/")
        assert not set(reading) & set("\\;\0\r\n")
    return True


@guided
def host(raw: bytes) -> bool:
    """A Host is refused, or is the one name that a parser of URLs finds in it."""
    try:
        name = canonical_host([raw])
    except NotCanonical:
        return False
    assert canonical_host([name.encode()]) == name
    if not name.startswith("["):
        parts = urlsplit(f"http://{raw.decode('ascii')}/p")
        assert ((parts.hostname or "").removesuffix("."), parts.path) == (name, "/p")
    return True


class _Httptools:
    """What uvicorn would see with httptools."""

    def __init__(self, head: bytes) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(head)
        self.method = self.parser.get_method()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))


def _seen_by_h11(data: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMITS.header_bytes * 2)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event


@guided
def head(raw: bytes) -> bool:
    """A head is refused, or both parsers of uvicorn read the same request in it."""
    judge_part(raw or b"-", LIMITS)
    raw += b"\r\n\r\n"
    raw = raw[: raw.index(b"\r\n\r\n") + 4]
    verdict = judge(raw, LIMITS)
    quick, quick_for_httptools = (looks.accept(raw) for looks in _LOOKS)
    assert quick is None or quick == verdict
    if isinstance(verdict, Refused):
        if quick_for_httptools is not None:
            try:
                _Httptools(raw)
            except httptools.HttpParserError:
                return False
            raise AssertionError(
                "a quick look accepts what httptools accepts and the judge refuses"
            )
        return False
    theirs = _seen_by_h11(raw)
    assert theirs.target.startswith(b"/")
    assert b"#" not in theirs.target
    ours = None
    if not (verdict.offers_upgrade or verdict.websocket):
        # httptools knows a list of methods, and refuses the others.
        with contextlib.suppress(httptools.HttpParserInvalidMethodError):
            ours = _Httptools(raw)
    assert len([name for name, _ in theirs.headers if name == b"host"]) == 1
    lengths = [value for name, value in theirs.headers if name == b"content-length"]
    codings = [value for name, value in theirs.headers if name == b"transfer-encoding"]
    assert (codings == [b"chunked"]) == (verdict.body == CHUNKED)
    assert not codings or theirs.http_version == b"1.1"
    assert lengths == [] if verdict.body == CHUNKED else len(lengths) <= 1
    if lengths:
        assert int(lengths[0]) == verdict.body
    if ours is not None:
        assert (ours.method, ours.target) == (theirs.method, theirs.target)
        assert ours.fields == [(name, value.strip(b" \t")) for name, value in theirs.headers]
    return True


@counted
def chunked_body(data: bytes, cuts: list[int]) -> bool:
    """However a body arrives, it ends in the same place and says what httptools finds in it."""
    whole = ChunkReader()
    try:
        passed_on, behind = whole.read(data)
    except BadChunk:
        passed_on, behind = None, b""
    parts = ChunkReader()
    got, left, at = b"", b"", 0
    try:
        for cut in [*sorted({min(cut, len(data)) for cut in cuts}), len(data)]:
            seen, left = parts.read(data[at:cut])
            got += seen
            at = cut
            if parts.done:
                left += data[at:]
                break
    except BadChunk:
        # Found out sooner or later; what is passed on before is never more than the sound part.
        assert passed_on is None or not whole.done
        return False
    if passed_on is None:
        assert not parts.done
        return False
    assert (got, parts.done) == (passed_on, whole.done)
    if whole.done:
        assert left == behind
        body = _chunked_as_httptools_reads(passed_on)
        try:
            assert _chunked_as_httptools_reads(data[: len(data) - len(behind)]) == body
        except httptools.HttpParserError:
            # It does not take every extension that we drop.
            assert b";" in data
    return whole.done


class _Bodies:
    def __init__(self) -> None:
        self.body = b""
        self.complete = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def _chunked_as_httptools_reads(data: bytes) -> bytes:
    seen = _Bodies()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    assert seen.complete
    return seen.body


@guided
def chunks(raw: bytes) -> bool:
    """As `chunked_body`; the first byte says where it is cut."""
    return chunked_body(raw[1:], [raw[0], raw[0] * 2] if raw else [])


@guided
def cookies(value: bytes) -> bool:
    """Ours are found and removed, others stay to the byte."""
    for event in EVENTS:
        carried = carried_tokens([(b"cookie", value)], event, secure=False)
        held = [content for _, content in parse_cookies(value)]
        assert set(carried.queue + carried.passes) <= set(held)
    rest = without_our_cookies(value, EVENTS)
    for event in EVENTS:
        for secure in (False, True):
            assert carried_tokens([(b"cookie", rest)], event, secure=secure).queue == ()
            assert carried_tokens([(b"cookie", rest)], event, secure=secure).passes == ()
    assert without_our_cookies(rest, EVENTS) == rest
    kept = list(parse_cookies(rest))
    assert kept == [cookie for cookie in parse_cookies(value) if not _is_ours(cookie[0])]
    return len(rest) < len(value)


def _is_ours(name: bytes) -> bool:
    bare = name.removeprefix(b"__Host-")
    return any(bare in (b"queue-" + event.encode(), b"pass-" + event.encode()) for event in EVENTS)


@guided
def authorization(value: bytes) -> bool:
    """A credential is ours only by the `typ` in its own head; any other is not touched."""
    ours = bearer_token(value)
    carried = carried_tokens([(b"authorization", value)], SALE, secure=True)
    found = carried.queue + carried.passes
    assert found == (() if ours is None else (ours,))
    if ours is not None:
        assert value.lower().lstrip(b" \t").startswith(b"bearer ")
        assert ours in value
    return ours is not None


@guided
def queue_token_field(value: bytes) -> bool:
    """At most one token comes out of one field, and it is what stood there."""
    carried = carried_tokens([(b"queue-token", value)], SALE, secure=True)
    found = carried.queue + carried.passes
    assert len(found) <= 1
    assert all(token == value.strip(b" \t") for token in found)
    assert not carried.ambiguous
    return bool(found)


TRUSTED: Networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@counted
def forwarded_for(peer: str, values: list[bytes], prepended: list[bytes]) -> bool:
    """A client's own entries, which stand on the left, decide nothing once a stranger is found."""
    address = client_address(peer, values, TRUSTED)
    assert address is not None
    peers = Peers(trusted=TRUSTED)
    fields = [(b"x-forwarded-for", value) for value in values]
    assert peers.source_of(peer, fields).address == address
    if not peers.is_trusted(peer):
        assert address == peer
        return False
    assert address == peer or str(ip_address(address)) == address
    if not peers.is_trusted(address):
        assert client_address(peer, [*prepended, *values], TRUSTED) == address
    return address != peer


@counted
def forwarded_scheme(peer: str, values: list[bytes]) -> bool:
    """A scheme is one of two words, and a stranger cannot choose it."""
    peers = Peers(trusted=TRUSTED)
    fields = [(b"x-forwarded-proto", value) for value in values]
    scheme = peers.scheme_of("http", peer, fields)
    assert scheme in ("http", "https")
    assert scheme == "http" or peers.is_trusted(peer)
    assert Peers(scheme="https").scheme_of("http", peer, fields) == "https"
    return scheme == "https"


_STRANGER = Sender(peer="198.51.100.7", trusted=False, scheme="https")
IDENTITY = [(b"queue-event", b"sale"), (b"queue-position", b"7"), (b"queue-visitor", b"v")]
_SAID_BY_US = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded")


def folded(name: bytes) -> bytes:
    """Return a field's name as the most careless server compares it."""
    return b"".join(bytes([c]) if bytes([c]).isalnum() else b"-" for c in name.lower())


@counted
def fields_for_backend(sent: HeaderList) -> bool:
    """Whatever a client sends, no server behind takes any of it for what only we may say."""
    client = [(name, value) for name, value in sent if not is_queue_header(name)]
    for name, _ in sent:
        assert is_queue_header(name) == (folded(name).startswith(b"queue-"))
    passed_on = request_headers([*client, *IDENTITY], _STRANGER)
    names = [folded(name) for name, _ in passed_on]
    assert [name for name in names if name.startswith(b"queue-")] == [name for name, _ in IDENTITY]
    for name in _SAID_BY_US:
        assert names.count(name) <= 1
    assert (b"x-forwarded-for", b"198.51.100.7") in passed_on
    forbidden = {b"connection", b"te", b"transfer-encoding", b"upgrade", b"keep-alive", b"expect"}
    assert forbidden.isdisjoint(names)
    assert {b"x-original-url", b"x-rewrite-url", b"x-real-ip"}.isdisjoint(names)
    kept = [header for header in passed_on if header in client]
    assert kept == [header for header in client if header in kept]
    return len(kept) > 1


def _run(coroutine: Coroutine[Any, Any, dict[str, str]]) -> dict[str, str]:
    """Run what never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: dict[str, str] = done.value
        return result
    raise AssertionError("waited for something that nobody sends")


@counted
def join_body(kind: bytes, pieces: list[bytes]) -> bool:
    """A body is text fields that we know, or one of three refusals."""
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ] or [{"type": "http.request"}]

    async def receive() -> Message:
        return messages.pop(0)

    headers = [(b"host", HOST.encode()), (b"content-type", kind)]
    single, twice = read_fields(headers)
    call = Call(
        scope={"type": "http", "method": "POST", "headers": headers, "query_string": b""},
        receive=receive,
        event=SALE,
        route=None,
        secure=False,
        authority=read_authority(headers),
        body_limit=4096,
        single=single,
        twice=twice,
    )
    allowed = ("voucher", "challenge", "return_to")
    try:
        fields = _run(call.fields(allowed))
    except Refusal as refused:
        assert refused.answer.status in (400, 413, 415)
        return False
    assert fields.keys() <= set(allowed)
    assert all(type(value) is str for value in fields.values())
    assert call.return_to(fields.get("return_to", "")) is None or fields["return_to"].isascii()
    return bool(fields)


@guided
def return_to(raw: bytes) -> bool:
    """A way back leads to the site, also in the eyes of a browser that forgives a lot."""
    text = raw.decode("utf-8", "surrogateescape")
    wanted = parse_return_to(text, (HOST, "www." + HOST))
    if wanted is None:
        return False
    here = f"https://{HOST}/queue/sale/room"
    location = (
        wanted.target if wanted.authority is None else f"https://{wanted.authority}{wanted.target}"
    )
    # The URL standard drops these wherever they stand, and takes a backslash in a path for a slash.
    path, question, query = location.translate({9: None, 10: None, 13: None}).strip().partition("?")
    as_browsers_do = path.replace("\\", "/") + question + query
    assert as_browsers_do == location
    parts = urlsplit(urljoin(here, as_browsers_do))
    assert parts.scheme in ("http", "https")
    assert (parts.hostname or "").removesuffix(".") in (HOST, "www." + HOST)
    assert parts.username is None
    return True
