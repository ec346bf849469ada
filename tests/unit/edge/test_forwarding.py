"""Which header fields cross the proxy, and what it adds."""

import subprocess
import sys
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.peers import client_address
from gateway.edge.forwarding import (
    HeaderList,
    Sender,
    UnsoundHead,
    body_length,
    request_headers,
    response_headers,
    websocket_headers,
)

STRANGER = Sender(peer="198.51.100.7", trusted=False, scheme="https")
PROXY = Sender(peer="10.0.0.1", trusted=True, scheme="https")

OURS = [
    (b"x-forwarded-for", b"198.51.100.7"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"site.example"),
    (b"forwarded", b"for=198.51.100.7;proto=https;host=site.example"),
]
HOST = (b"host", b"site.example")


def forwarded(*headers: tuple[bytes, bytes], sender: Sender = STRANGER) -> HeaderList:
    """Return what becomes of a request's fields, without Host and the fields we add for a stranger."""
    fields = request_headers([HOST, *headers], sender)
    return [field for field in fields if field != HOST and field not in OURS]


def test_the_fields_of_a_request_keep_order_repetition_and_bytes() -> None:
    headers = [(b"x-b", b"1"), (b"x-a", b"\xff "), (b"x-b", b""), (b"cookie", b"a=1; a=2")]
    assert request_headers([HOST, *headers], STRANGER) == [HOST, *headers, *OURS]


@pytest.mark.parametrize(
    "name",
    [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
        "proxy-authentication-info", "te", "trailer", "transfer-encoding", "upgrade", "expect",
        "http2-settings",
    ],
)  # fmt: skip
def test_a_field_of_the_clients_connection_is_not_passed_on(name: str) -> None:
    assert forwarded((name.encode(), b"x"), (b"x-kept", b"1")) == [(b"x-kept", b"1")]


def test_what_the_connection_field_lists_is_not_passed_on() -> None:
    listed = [(b"connection", b"close, X-One ,x-two"), (b"connection", b"X-Three")]
    hops = [(name, b"1") for name in (b"x-one", b"x-two", b"x-three")]
    assert forwarded(*hops, *listed, (b"x-four", b"1")) == [(b"x-four", b"1")]


def test_the_connection_field_cannot_take_away_what_we_say_of_the_visitor() -> None:
    identity = [(b"queue-event", b"show"), (b"queue-position", b"7"), (b"queue-visitor", b"v")]
    listed = b"queue-event, queue-position, queue-visitor, x-forwarded-for, forwarded, host"
    fields = request_headers([HOST, (b"connection", listed), *identity], STRANGER)
    assert fields == [HOST, *identity, *OURS]


def test_the_connection_field_cannot_take_away_the_bodys_length() -> None:
    fields = forwarded((b"connection", b"content-length"), (b"content-length", b"3"))
    assert fields == [(b"content-length", b"3")]


@pytest.mark.parametrize(
    "name",
    [
        "queue-token", "queue-status", "queue-anything", "queue_event", "queue.position",
        "queue-visitor_", "x_forwarded_for", "x-forwarded_for", "x.forwarded.proto",
        "x_forwarded-made-up", "x_real_ip", "x_original_url", "x.rewrite-url", "transfer_encoding",
        "content_length", "content.length", "proxy_authorization", "sec_websocket_key",
    ],
)  # fmt: skip
def test_a_name_that_some_server_reads_as_one_of_ours_is_not_passed_on(name: str) -> None:
    assert forwarded((name.encode(), b"forged")) == []


@pytest.mark.parametrize("name", ["x_site", "my.header", "x-http-method-override", "_", "a_b.c"])
def test_other_names_with_such_characters_are_the_backends_matter(name: str) -> None:
    assert forwarded((name.encode(), b"1")) == [(name.encode(), b"1")]


@pytest.mark.parametrize(
    "name",
    [
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-forwarded-prefix", "x-forwarded-server", "x-forwarded-uri", "x-forwarded-made-up",
        "forwarded", "x-real-ip",
    ],
)  # fmt: skip
def test_a_strangers_word_about_itself_is_not_believed(name: str) -> None:
    assert forwarded((name.encode(), b"6.6.6.6")) == []


@pytest.mark.parametrize("sender", [STRANGER, PROXY])
@pytest.mark.parametrize("name", [b"x-original-url", b"x-rewrite-url", b"x-original-uri"])
def test_a_field_that_makes_backends_route_elsewhere_is_nobodys_to_send(
    name: bytes, sender: Sender
) -> None:
    assert name not in dict(request_headers([HOST, (name, b"/admin")], sender))


def test_a_trusted_proxys_addresses_are_added_to() -> None:
    fields = request_headers(
        [
            HOST,
            (b"x-forwarded-for", b"203.0.113.9"),
            (b"x-forwarded-for", b"10.0.0.2"),
            (b"x-forwarded-host", b"tickets.example"),
            (b"x-forwarded-proto", b"http"),
            (b"forwarded", b"for=203.0.113.9"),
            (b"x-real-ip", b"203.0.113.9"),
        ],
        PROXY,
    )
    assert fields == [
        HOST,
        (b"x-real-ip", b"203.0.113.9"),
        (b"x-forwarded-for", b"203.0.113.9, 10.0.0.2, 10.0.0.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"tickets.example"),
        (b"forwarded", b"for=203.0.113.9, for=10.0.0.1;proto=https;host=site.example"),
    ]


@pytest.mark.parametrize(
    ("peer", "host", "element"),
    [
        ("2001:db8::1", b"site.example", b'for="[2001:db8::1]";proto=https;host=site.example'),
        (None, b"site.example", b"for=unknown;proto=https;host=site.example"),
        ("192.0.2.1", b"site.example:8443", b'for=192.0.2.1;proto=https;host="site.example:8443"'),
        ("192.0.2.1", b'a"\\b', b'for=192.0.2.1;proto=https;host="a\\"\\\\b"'),
    ],
)
def test_the_forwarded_field_is_written_as_rfc_7239_says(
    peer: str | None, host: bytes, element: bytes
) -> None:
    fields = dict(request_headers([(b"host", host)], Sender(peer, False, "https")))
    assert fields[b"forwarded"] == element


def test_the_backends_own_host_replaces_the_visitors_in_its_place() -> None:
    fields = request_headers([(b"x-a", b"1"), HOST], STRANGER, b"backend:8000")
    assert fields[:2] == [(b"x-a", b"1"), (b"host", b"backend:8000")]
    assert (b"x-forwarded-host", b"site.example") in fields


def test_a_request_without_a_host_gets_the_backends() -> None:
    fields = request_headers([], STRANGER, b"backend:8000")
    assert fields[0] == (b"host", b"backend:8000")
    assert b"x-forwarded-host" not in dict(fields)


NAMES = st.sampled_from(
    [
        b"connection", b"te", b"transfer-encoding", b"x-forwarded-for", b"x_forwarded_for",
        b"forwarded", b"x-real-ip", b"queue-token", b"queue_event", b"x-original-url", b"x-kept",
        b"content-length", b"cookie", b"host", b"proxy-authorization", b"queue.position",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"", b"1", b"close", b"x-kept", b"x-forwarded-for, forwarded", b"queue-event, x-kept"]
)
IDENTITY = [(b"queue-event", b"show"), (b"queue-position", b"7"), (b"queue-visitor", b"v")]


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_whatever_a_stranger_sends_the_backend_can_trust_what_is_ours(sent: HeaderList) -> None:
    fields = request_headers([*sent, *IDENTITY], STRANGER)
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        by_name.setdefault(name, []).append(value)
    for name, value in IDENTITY:
        assert by_name.pop(name) == [value]
    assert by_name.pop(b"x-forwarded-for") == [b"198.51.100.7"]
    assert by_name.pop(b"x-forwarded-proto") == [b"https"]
    assert len(by_name.pop(b"forwarded")) == 1
    by_name.pop(b"x-forwarded-host", None)
    assert by_name.keys() <= {b"x-kept", b"content-length", b"cookie", b"host"}
    assert by_name.get(b"content-length", []) == [v for n, v in sent if n == b"content-length"]


def test_the_fields_of_a_websocket_handshake_are_made_anew() -> None:
    headers = [(b"sec-websocket-key", b"x"), (b"origin", b"o"), (b"sec-websocket-protocol", b"p")]
    assert websocket_headers(headers) == [(b"origin", b"o")]


# The answer.


def test_the_fields_of_an_answer_keep_order_repetition_and_bytes_in_lower_case() -> None:
    headers = [(b"Set-Cookie", b"a=1"), (b"X-A", b"\xff"), (b"Set-Cookie", b"b=2")]
    kept, said = response_headers(headers, 200)
    assert kept == [(b"set-cookie", b"a=1"), (b"x-a", b"\xff"), (b"set-cookie", b"b=2")]
    assert said == []


def test_fields_of_the_backends_connection_are_not_passed_on() -> None:
    headers = [
        (b"Connection", b"X-Hop, content-length"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Trailer", b"x"),
        (b"Upgrade", b"h2c"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Content-Length", b"3"),
    ]
    assert response_headers(headers, 200)[0] == [(b"content-length", b"3")]


def test_the_backends_word_on_the_session_is_set_apart_and_its_queue_fields_dropped() -> None:
    headers = [
        (b"Queue-Session", b"extend=600"),
        (b"QUEUE-EVENT", b"x"),
        (b"Queue_Session", b"end"),
        (b"X-A", b"1"),
    ]
    assert response_headers(headers, 200) == ([(b"x-a", b"1")], [b"extend=600"])


@pytest.mark.parametrize(
    "header",
    [
        (b"x a", b"1"), (b"", b"1"), (b"x\xe9", b"1"), (b"x", b"a\rb"), (b"x", b"a\nb"),
        (b"x", b"a\x00b"), (b"content-length", b"-1"), (b"content-length", b"1, 1"),
        (b"content-length", b""),
    ],
)  # fmt: skip
def test_an_answer_with_an_unsound_field_is_not_passed_on(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(UnsoundHead):
        response_headers([header], 200)


def test_an_answer_with_two_lengths_is_not_passed_on() -> None:
    with pytest.raises(UnsoundHead):
        response_headers([(b"content-length", b"1"), (b"Content-Length", b"1")], 200)


@pytest.mark.parametrize(("status", "kept"), [(200, True), (204, False), (304, False)])
def test_a_length_is_not_promised_where_no_body_follows(status: int, kept: bool) -> None:
    fields, _ = response_headers([(b"content-length", b"5")], status)
    assert bool(fields) == kept


# The body of a request.


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([(b"content-length", b"0")], 0),
        ([(b"content-length", b"17")], 17),
        ([(b"transfer-encoding", b"chunked")], None),
        ([(b"transfer-encoding", b" Chunked ")], None),
    ],
)
def test_a_body_is_as_long_as_its_framing_says(headers: HeaderList, length: int | None) -> None:
    assert body_length(headers) == length


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"+1")],
        [(b"content-length", b"1_000")],
        [(b"content-length", b"")],
        [(b"content-length", b"\xb2")],
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused(headers: HeaderList) -> None:
    with pytest.raises(UnsoundHead):
        body_length(headers)


# The visitor's address.

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        ("198.51.100.7", [b"6.6.6.6"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"6.6.6.6", b"203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"203.0.113.9, "], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9:5678"], "203.0.113.9"),
        ("10.0.0.1", [b'"[2001:DB8::1]:443"'], "2001:db8::1"),
        ("10.0.0.1", [b"2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", [b"::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"203.0.113.9, fd00::1"], "203.0.113.9"),
        ("::ffff:10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        (None, [b"203.0.113.9"], None),
    ],
)
def test_the_visitors_address_is_the_last_that_no_trusted_proxy_holds(
    peer: str | None, told: list[bytes], address: str | None
) -> None:
    assert client_address(peer, told, TRUSTED) == address


def test_nobody_is_believed_where_nobody_is_trusted() -> None:
    assert client_address("10.0.0.1", [b"203.0.113.9"], ()) == "10.0.0.1"


def test_the_middleware_and_the_proxy_do_not_load_the_backends_client() -> None:
    code = "import sys, gateway.edge, gateway.edge.proxy; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
