"""The shape of a token, its header and its JSON, before and without any signature."""

import base64
import json
from collections.abc import Callable
from functools import partial

import pytest

from gateway.errors import TokenFault, TokenRejected
from gateway.tokens.compact import (
    MAX_TOKEN_BYTES,
    JoseHeader,
    decode_segment,
    encode_segment,
    parse_object,
    read_header,
    split,
    write_header,
)

SIGNATURE = encode_segment(bytes(64))
HEADER = write_header("some-key", "queue+jwt")
PAYLOAD = encode_segment(b'{"pos":1}')


def assert_malformed(act: Callable[[], object]) -> None:
    with pytest.raises(TokenRejected) as caught:
        act()
    assert caught.value.fault is TokenFault.MALFORMED
    assert str(caught.value) == "malformed"


def test_a_token_comes_apart_into_what_was_signed_and_the_signature() -> None:
    jws = split(b".".join((HEADER, PAYLOAD, SIGNATURE)))
    assert jws.signing_input == HEADER + b"." + PAYLOAD
    assert jws.signature == bytes(64)
    assert (jws.header, jws.payload) == (HEADER, PAYLOAD)


def test_text_and_bytes_are_read_alike() -> None:
    token = b".".join((HEADER, PAYLOAD, SIGNATURE))
    assert split(token) == split(token.decode())


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"...",
        HEADER,
        HEADER + b"." + PAYLOAD,
        HEADER + b"." + PAYLOAD + b".",
        HEADER + b".." + SIGNATURE,
        b"." + PAYLOAD + b"." + SIGNATURE,
        b".".join((HEADER, PAYLOAD, SIGNATURE, b"")),
        b".".join((HEADER, PAYLOAD, SIGNATURE, SIGNATURE)),
        b".".join((HEADER, PAYLOAD, SIGNATURE + b"==")),
        b".".join((HEADER, PAYLOAD + b"=", SIGNATURE)),
        b".".join((HEADER + b"=", PAYLOAD, SIGNATURE)),
        b".".join((HEADER, PAYLOAD, SIGNATURE + b"A")),
        b".".join((HEADER, PAYLOAD, SIGNATURE[:-1])),
        b".".join((HEADER, PAYLOAD, SIGNATURE)) + b"\n",
        b"\n" + b".".join((HEADER, PAYLOAD, SIGNATURE)),
        b" " + b".".join((HEADER, PAYLOAD, SIGNATURE)),
        b".".join((HEADER, PAYLOAD, SIGNATURE)) + b"\0",
        b".".join((HEADER, PAYLOAD[:4] + b"\r\n" + PAYLOAD[4:], SIGNATURE)),
        b".".join((HEADER, PAYLOAD, b"+" + SIGNATURE[1:])),
        b".".join((HEADER, PAYLOAD, b"/" + SIGNATURE[1:])),
        b".".join((HEADER, PAYLOAD, b"\xff" + SIGNATURE[1:])),
        json.dumps({"protected": "a", "payload": "b", "signature": "c"}).encode(),
    ],
)
def test_any_other_shape_is_malformed(token: bytes) -> None:
    assert_malformed(lambda: split(token))


def test_text_that_is_not_ascii_is_malformed() -> None:
    whole = b".".join((HEADER, PAYLOAD, SIGNATURE)).decode()
    for stranger in ("é", "\uff11", "\ud800", "\u212a", "\u2060"):
        assert_malformed(partial(split, whole + stranger))


def test_the_longest_token_is_2048_bytes() -> None:
    def token_of(length: int) -> bytes:
        header = b"A" * 68
        fill = b"A" * (length - len(header) - len(SIGNATURE) - 2)
        return b".".join((header, fill, SIGNATURE))

    assert len(token_of(MAX_TOKEN_BYTES)) == 2048
    assert split(token_of(MAX_TOKEN_BYTES)).signature == bytes(64)
    # Two more characters would be as canonical, and one byte of payload.
    assert_malformed(lambda: split(token_of(MAX_TOKEN_BYTES + 2)))


@pytest.mark.parametrize("content", [b"a", b"ab", b"abc", b"abcd", b"\xff\xfe\xfd", bytes(64)])
def test_every_segment_has_one_spelling(content: bytes) -> None:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    canonical = encode_segment(content)
    assert decode_segment(canonical) == content
    for last in alphabet:
        other = canonical[:-1] + bytes([last])
        padded = other + b"=" * (-len(other) % 4)
        if other != canonical and base64.urlsafe_b64decode(padded) == content:
            assert_malformed(partial(decode_segment, other))


@pytest.mark.parametrize("segment", [b"", b"A", b"AAAAA", b"AA==", b"AA=", b"A A", b"AB", b"AAB"])
def test_what_base64url_does_not_write_is_malformed(segment: bytes) -> None:
    assert_malformed(lambda: decode_segment(segment))


def test_the_header_may_have_its_members_in_any_order() -> None:
    header = b'{ "typ":"queue+jwt", "kid":"k", "alg":"ES256" }'
    assert read_header(encode_segment(header)) == JoseHeader("k", "queue+jwt")


def test_the_header_we_write_is_one_that_we_read() -> None:
    assert read_header(write_header("k", "pass+jwt")) == JoseHeader("k", "pass+jwt")


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b'{"alg":"ES256","typ":"queue+jwt"}',
        b'{"alg":"ES256","kid":"k"}',
        b'{"typ":"queue+jwt","kid":"k"}',
        *(
            b'{"alg":"%s","typ":"queue+jwt","kid":"k"}' % alg
            for alg in (
                b"none",
                b"None",
                b"nOnE",
                b"NONE",
                b"",
                b"es256",
                b"ES256 ",
                b"ES256\\u0000",
                b"ES384",
                b"ES512",
                b"ES256K",
                b"HS256",
                b"RS256",
                b"PS256",
                b"EdDSA",
            )
        ),
        b'{"alg":null,"typ":"queue+jwt","kid":"k"}',
        b'{"alg":["ES256"],"typ":"queue+jwt","kid":"k"}',
        b'{"alg":"ES256","typ":1,"kid":"k"}',
        b'{"alg":"ES256","typ":"queue+jwt","kid":1}',
        b'{"alg":"ES256","typ":"queue+jwt","kid":null}',
        b'{"alg":"ES256","typ":"queue+jwt","kid":["k"]}',
        b'{"alg":"ES256","alg":"ES256","typ":"queue+jwt","kid":"k"}',
        b'{"alg":"none","\\u0061lg":"ES256","typ":"queue+jwt","kid":"k"}',
        *(
            b'{"alg":"ES256","typ":"queue+jwt","kid":"k",%s}' % more
            for more in (
                b'"crit":["exp"]',
                b'"crit":[]',
                b'"crit":"b64"',
                b'"b64":true',
                b'"b64":false',
                b'"zip":"DEF"',
                b'"cty":"JWT"',
                b'"jku":"https://evil.example/jwks"',
                b'"x5u":"https://evil.example/cert"',
                b'"x5c":["MII"]',
                b'"x5t":"AA"',
                b'"jwk":{"kty":"EC"}',
                b'"cnf":{"jkt":"x"}',
                b'"p2c":1',
                b'"ALG":"none"',
            )
        ),
        b'["ES256","queue+jwt","k"]',
        b'"ES256"',
        b"null",
        b"",
    ],
)
def test_any_other_header_is_malformed(header: bytes) -> None:
    assert_malformed(lambda: read_header(encode_segment(header) if header else b""))


def test_flat_json_of_texts_and_whole_numbers_is_read() -> None:
    content = b'{"a":"\\u00e9\\ud83d\\ude00","b":-5,"c":{"jkt":"x"},"n":null,"t":true}'
    content = content.replace(b'"c":', b'"cnf":')
    assert parse_object(content) == {
        "a": "é😀",
        "b": -5,
        "cnf": {"jkt": "x"},
        "n": None,
        "t": True,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"{}{}",
        b"{} x",
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":1}\0',
        b'{"a":"\x01"}',
        b'{"a":"\t"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"cnf":{"jkt":"\\ud800"}}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"cnf":{"jkt":"a","jkt":"b"}}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":1E400}',
        b'{"a":-0.0}',
        b'{"a":-0}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1234567890123456789}',
        b'{"a":' + b"9" * 1500 + b"}",
        b'{"a":[]}',
        b'{"a":[1]}',
        b'{"a":{}}',
        b'{"cnf":[]}',
        b'{"cnf":{"jkt":{}}}',
        b'{"cnf":{"jkt":["x"]}}',
        b'{"a":' + b"[" * 700 + b"]" * 700 + b"}",
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"[" * 1500,
        b'{"a":' * 300,
    ],
)
def test_any_other_json_is_malformed(content: bytes) -> None:
    assert_malformed(lambda: parse_object(content))


def test_a_number_of_18_digits_is_still_read() -> None:
    assert parse_object(b'{"a":999999999999999999}') == {"a": 10**18 - 1}
