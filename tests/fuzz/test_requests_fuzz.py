"""Targets, hosts, heads, bodies and fields of requests that nobody honest would send."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.fuzzing import fuzzed
from tests.support.oracles import requests
from tests.support.oracles.tokens import HELD_TOKEN, OTHER_TOKEN, PLACE_TOKEN, VOUCHER_TOKEN


def made_of(*pieces: bytes, most: int = 10) -> st.SearchStrategy[bytes]:
    """Return texts made of these pieces and of single odd bytes."""
    odd = st.binary(min_size=1, max_size=2)
    return st.lists(st.sampled_from(pieces) | odd, max_size=most).map(b"".join)


# Where to

TARGETS = made_of(
    *(b"/", b"//", b"/./", b"/../", b".", b"..", b"%2e", b"%2f", b"%2F", b"%5c", b"%25", b"%252f"),
    *(
        b"%00",
        b"%0d%0a",
        b"%c0%af",
        b"%C3%A9",
        b"e%CC%81",
        b"%EF%BC%8F",
        b"%E2%84%AA",
        b"%E2%80%8B",
    ),
    *(
        b";",
        b"?",
        b"#",
        b"\\",
        b" ",
        b"%3b",
        b"%3f",
        b"%23",
        b"%20",
        b"@",
        b":",
        b"*",
        b"~",
        b"a",
        b"B",
    ),
    *(b"book", b"assets", b"http:", b"?a=1", b"&", b"=", b"%u002f", b"%EF%BC%8E", b"\xff"),
)


@fuzzed
@given(TARGETS | TARGETS.map(lambda raw: b"/" + raw))
def test_a_target_has_one_reading(raw: bytes) -> None:
    requests.target(raw)


HOSTS = made_of(
    *(b"a", b"booking.example", b".", b"..", b":", b":80", b"[::1]", b"[", b"]", b"-", b"@", b"/"),
    *(
        b"?",
        b"#",
        b"\\",
        b"%",
        b"_",
        b"*",
        b",",
        b" ",
        b"\t",
        b"xn--",
        b"127.0.0.1",
        b"\xc3\xa9",
        b"Z",
    ),
)


@fuzzed
@given(HOSTS)
def test_a_host_is_one_name(raw: bytes) -> None:
    requests.host(raw)


WAYS_BACK = made_of(
    *(
        b"/",
        b"//",
        b"\\",
        b"http://",
        b"https://",
        b"HTTPS://",
        b"javascript:",
        b"data:",
        b"@",
        b":80",
    ),
    *(
        b"booking.example",
        b"www.booking.example",
        b"evil.example",
        b".",
        b"..",
        b"?",
        b"#",
        b"&",
        b"\t",
    ),
    *(
        b"\n",
        b"%2f",
        b"%5c",
        b"%09",
        b"%0a",
        b" ",
        b"book",
        b"[::1]",
        b":",
        b"\xc2\xa0",
        b"%E2%80%8B",
    ),
)


@fuzzed
@given(WAYS_BACK | WAYS_BACK.map(lambda raw: b"https://booking.example" + raw))
def test_a_way_back_leads_nowhere_else(raw: bytes) -> None:
    requests.return_to(raw)


# Heads and bodies

LINES = st.sampled_from(
    [
        *([b"POST / HTTP/1.1"] * 10),
        b"GET / HTTP/1.1",
        b"POST /book HTTP/1.1",
        b"GET /a?b HTTP/1.0",
        b"OPTIONS * HTTP/1.1",
        b"GET http://x/ HTTP/1.1",
        b"get / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /#f HTTP/1.1",
        b"TRACE / HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"GET / HTTP/2.0",
        b"M-SEARCH / HTTP/1.1",
    ]
)
NAMES = st.sampled_from(
    [
        b"Host",
        b"host",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Upgrade",
        b"Connection",
        b"X",
        b"-",
        b"Expect",
        b"Host ",
        b" X",
        b"X_Y",
        b"Content_Length",
        b"X\x00",
        b"",
        b"Sec-WebSocket-Key",
    ]
)
VALUES = st.sampled_from(
    [
        b"t",
        b"0",
        b"5",
        b" 5 ",
        b"+5",
        b"5, 5",
        b"05",
        b"5x",
        b"chunked",
        b" chunked\t",
        b"gzip, chunked",
        b"\x0bchunked",
        b"websocket",
        b"h2c",
        b"Upgrade",
        b"close",
        b"",
        b"\xff",
        b"a\x00b",
        b"a\rb",
        b"a\x7f",
        b"a:b",
        b"x" * 300,
        b"99999999999999999999",
        b"100-continue",
        b"keep-alive, Upgrade",
    ]
)
SEPARATORS = st.sampled_from([b":", b": ", b":\t", b" :", b"", b": \r\n "])
LINE_ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n"])


SOUND = st.sampled_from(
    [
        *(b"Content-Length: 5", b"content-length:0", b"Transfer-Encoding: chunked", b"X: 1"),
        *(
            b"Connection: keep-alive",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Upgrade: h2c",
        ),
        *(b"Host: u", b"X_Y: \xff", b"Expect: 100-continue", b"Transfer-Encoding: gzip, chunked"),
    ]
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Return heads of which most are sound but for one thing."""
    careless = draw(st.integers(0, 2)) == 0
    head = draw(LINES) + (draw(LINE_ENDS) if careless else b"\r\n")
    if draw(st.integers(0, 4)):
        head += b"Host: t\r\n"
    for _ in range(draw(st.integers(0, 5))):
        if careless:
            head += draw(NAMES) + draw(SEPARATORS) + draw(VALUES) + draw(LINE_ENDS)
        else:
            head += draw(SOUND) + b"\r\n"
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(head)))
        head = head[:at] + draw(st.binary(min_size=1, max_size=3)) + head[at:]
    return head + b"\r\n"


TWO_FRAMINGS = b"Host: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"


@fuzzed
@example(b"POST / HTTP/1.1\r\n" + TWO_FRAMINGS)
@example(b"POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n")
@example(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n")
@given(heads() | st.binary(max_size=200))
def test_a_head_has_one_reading(raw: bytes) -> None:
    requests.head(raw)


CHUNKS = made_of(
    *(
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"\r\n",
        b"a\r\n0123456789\r\n",
        b"5",
        b"\n",
        b"\r",
    ),
    *(
        b"5;x=y\r\nhello\r\n",
        b"5 ;x\r\n",
        b"0x5\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"A: b\r\n",
        b" : b\r\n",
    ),
    *(
        b"3\r\nhello\r\n",
        b"5\r\nhello",
        b"1\r\nA\r\n",
        b"ffffffffffffffff\r\n",
        b"00000005\r\nhello\r\n",
        b"hello",
        b"GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    ),
)


CHUNK = st.sampled_from(
    [
        *(b"5\r\nhello\r\n", b"A\r\n0123456789\r\n", b"5;x=y\r\nhello\r\n", b"05 ; x\r\nhello\r\n"),
        *(b"3\r\nhello\r\n", b"6\r\nhello\r\n", b"5\r\nhello", b"5\nhello\n", b"-5\r\nhello\r\n"),
    ]
)
ENDINGS = st.sampled_from(
    [b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"000\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"0\r\n", b"0\n\n"]
)
WHOLE = st.tuples(st.lists(CHUNK, max_size=3).map(b"".join), ENDINGS).map(b"".join)


@fuzzed
@example(b"3\r\nhello\r\n0\r\n\r\n", [])
@given(WHOLE | CHUNKS, st.lists(st.integers(0, 60), max_size=4))
def test_a_body_ends_in_one_place_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    requests.chunked_body(data, cuts)


KINDS = st.sampled_from(
    [
        b"application/json",
        b"application/json; charset=utf-16",
        b"APPLICATION/JSON",
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"application/json,",
    ]
)
BODIES = made_of(
    *(
        b"{",
        b"}",
        b'"voucher"',
        b'"return_to"',
        b":",
        b'"x"',
        b",",
        b'"/book"',
        b"null",
        b"[",
        b"]",
        b"1",
    ),
    *(
        b"voucher=",
        b"return_to=",
        b"%2Fbook",
        b"&",
        b"=",
        b"challenge=1",
        b";",
        b"+",
        b"%zz",
        b"\xff",
    ),
    *(
        b'{"voucher":"a"}',
        b'{"voucher":"a","voucher":"b"}',
        b'{"return_to":"\\ud800"}',
        b'{"a":"b"}',
    ),
    b"[" * 5000,
    b"x" * 2000,
)


SOUND_BODY = st.lists(
    st.sampled_from(
        [
            *(
                b'{"voucher":"a"}',
                b'{"return_to":"/book","challenge":""}',
                b"return_to=%2Fbook",
                b"a=b",
            ),
            *(
                b'{"a":"b"}',
                b'{"voucher":1}',
                b"voucher=a&voucher=b",
                b'["voucher"]',
                b"{}",
                b"voucher",
            ),
            *(b'{"voucher":"\xff"}', b"voucher=\xff", b'{"return_to":"\\ud800"}', b"return_to=%ff"),
        ]
    ),
    min_size=1,
    max_size=1,
)


@fuzzed
@given(KINDS, SOUND_BODY | st.lists(BODIES, max_size=3))
def test_a_body_is_known_text_fields_or_refused(kind: bytes, pieces: list[bytes]) -> None:
    requests.join_body(kind, pieces)


# Fields

TOKENS = (PLACE_TOKEN, HELD_TOKEN, OTHER_TOKEN, VOUCHER_TOKEN, b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln")
COOKIES = made_of(
    *TOKENS,
    *(b"queue-sale=", b"pass-sale=", b"__Host-queue-sale=", b"__Host-pass-sale=", b"pass-other="),
    *(
        b"; ",
        b";",
        b",",
        b"=",
        b'"',
        b" ",
        b"\t",
        b"session=abc",
        b"$Version=1",
        b"queue-saleX=",
        b"=",
    ),
    *(b"QUEUE-sale=", b"\xc2\xa0queue-sale=", b"\\141", b"queue-sale"),
)


@fuzzed
@given(COOKIES)
def test_our_cookies_are_found_and_removed_and_no_others(value: bytes) -> None:
    requests.cookies(value)


CREDENTIALS = made_of(
    *TOKENS,
    *(b"Bearer ", b"bearer  ", b"BEARER\t", b"Basic ", b"DPoP ", b"Bearer", b" ", b",", b"=", b"."),
    most=4,
)


@fuzzed
@given(CREDENTIALS)
def test_a_foreign_credential_is_not_ours(value: bytes) -> None:
    requests.authorization(value)


@fuzzed
@given(made_of(*TOKENS, b" ", b"\t", b",", b";", b"=", most=3))
def test_a_field_holds_one_token_or_none(value: bytes) -> None:
    requests.queue_token_field(value)


PEERS = st.sampled_from(
    ["10.0.0.1", "10.9.9.9", "198.51.100.7", "2001:db8::1", "::1", "::ffff:10.0.0.1"]
)
ADDRESSES = st.sampled_from(
    [
        *(b"198.51.100.9", b"203.0.113.5", b"10.0.0.2", b"10.0.0.3:4711", b"2001:db8::2", b"::2"),
        *(b"[2001:db8::3]:443", b"::ffff:203.0.113.5", b"::ffff:10.0.0.4", b'"198.51.100.9"'),
    ]
)
FORWARDED = st.lists(
    st.lists(ADDRESSES, min_size=1, max_size=3).map(b", ".join)
    | made_of(
        *(
            b"198.51.100.9",
            b"10.0.0.2",
            b", ",
            b",",
            b"unknown",
            b"_hidden",
            b"1.2.3",
            b"[",
            b"]",
            b":",
        ),
        most=6,
    ),
    max_size=3,
)


@fuzzed
@given(PEERS, FORWARDED, FORWARDED)
def test_nobody_chooses_their_own_address(
    peer: str, values: list[bytes], prepended: list[bytes]
) -> None:
    requests.forwarded_for(peer, values, prepended)


@fuzzed
@given(
    PEERS,
    st.lists(
        st.sampled_from([b"http", b"https", b"HTTPS", b"", b"wss", b"https,http"]), max_size=3
    ),
)
def test_nobody_chooses_their_own_scheme(peer: str, values: list[bytes]) -> None:
    requests.forwarded_scheme(peer, values)


FIELD_NAMES = st.one_of(
    st.sampled_from(
        [
            b"connection",
            b"te",
            b"transfer-encoding",
            b"x-forwarded-for",
            b"x_forwarded_for",
            b"expect",
            b"forwarded",
            b"x-real-ip",
            b"queue-token",
            b"queue_event",
            b"queue.position",
            b"x.real-ip",
            b"x-original-url",
            b"x_rewrite_url",
            b"content-length",
            b"cookie",
            b"x-kept",
            b"queue",
            b"queue~event",
            b"queue-event_",
            b"x-forwarded-host",
            b"proxy-authorization",
            b"keep-alive",
        ]
    ),
    st.text(st.sampled_from("queue-_.~!pos x"), min_size=1, max_size=12).map(
        lambda text: text.replace(" ", "").encode() or b"x"
    ),
)
FIELD_VALUES = st.sampled_from(
    [
        b"",
        b"1",
        b"close",
        b"x-kept",
        b"x-forwarded-for, forwarded",
        b"queue-event, x-kept, cookie",
        b"sale",
    ]
)


@fuzzed
@given(st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=10))
def test_no_field_of_a_client_is_taken_for_ours(sent: list[tuple[bytes, bytes]]) -> None:
    requests.fields_for_backend(sent)
