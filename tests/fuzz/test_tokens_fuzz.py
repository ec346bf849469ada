"""Tokens, vouchers and key sets, bent in every way that a fuzzer can think of."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.compact import decode_segment, encode_segment
from gateway.tokens.jwks import jwks_document
from tests.support.fuzzing import fuzzed
from tests.support.oracles import tokens

# Mutations of genuine tokens

CHARS = st.sampled_from([bytes([c]) for c in b"AQgwZz09-_.=+/ \n\r\t\0%\x7f\x80\xff"])


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """Return a genuine token after up to four acts of violence; sometimes none."""
    token = draw(st.sampled_from(tokens.SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(token)))
        kind = draw(st.sampled_from(["cut", "insert", "replace", "flip", "segment", "pad", "json"]))
        if kind == "cut":
            token = token[:at] + token[at + draw(st.integers(1, 8)) :]
        elif kind == "insert":
            token = token[:at] + draw(CHARS) + token[at:]
        elif kind == "replace":
            token = token[:at] + draw(CHARS) + token[at + 1 :]
        elif kind == "flip" and at < len(token):
            token = token[:at] + bytes([token[at] ^ 1 << draw(st.integers(0, 7))]) + token[at + 1 :]
        elif kind == "segment":
            token = with_segment(draw, token, draw(st.sampled_from(tokens.SEEDS)).split(b"."))
        elif kind == "pad":
            token = draw(st.sampled_from([b"", b" ", b"."])) + token + draw(CHARS)
        elif kind == "json":
            token = with_respelled_json(draw, token)
    return token


def with_segment(draw: st.DrawFn, token: bytes, other: list[bytes]) -> bytes:
    parts = token.split(b".")
    at = draw(st.integers(0, len(parts) - 1))
    parts[at] = draw(
        st.sampled_from([*other, b"", parts[-1], tokens.other_form_of(tokens.SEEDS[0])])
    )
    return b".".join(parts)


def with_respelled_json(draw: st.DrawFn, token: bytes) -> bytes:
    """Write a segment's JSON anew: the same members in another spelling, or others."""
    parts = token.split(b".")
    at = draw(st.integers(0, min(1, len(parts) - 1)))
    try:
        members: Any = json.loads(decode_segment(parts[at]))
    except Exception:
        return token
    if isinstance(members, dict):
        members |= draw(st.dictionaries(MEMBERS, JSON_VALUES, max_size=2))
        if draw(st.booleans()):
            members = dict(reversed(members.items()))
    indent = draw(st.sampled_from([None, 0, 2]))
    encoding = draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "utf-32-be"]))
    text = json.dumps(members, indent=indent)
    parts[at] = encode_segment(text.encode(encoding))
    return b".".join(parts)


MEMBERS = st.sampled_from(
    [
        "alg",
        "typ",
        "kid",
        "crit",
        "jwk",
        "jku",
        "x5u",
        "zip",
        "b64",
        "cty",
        "iss",
        "aud",
        "sub",
        "pos",
        "gen",
        "iat",
        "exp",
        "nbf",
        "clk",
        "adv",
        "cnf",
        "jti",
    ]
)
JSON_VALUES: st.SearchStrategy[object] = st.one_of(
    st.sampled_from(
        ["ES256", "none", "HS256", "es256", "queue+jwt", "pass+jwt", "JWT", tokens.KID]
    ),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    st.sampled_from([[], {}, ["sale"], {"jkt": "x" * 43}, 2**53, -1, 0, 7, 1e300, tokens.NOW_S]),
)

SEGMENTS = st.one_of(
    st.binary(max_size=100).map(encode_segment),
    st.text(st.sampled_from("AQgwz09-_"), min_size=80, max_size=90).map(str.encode),
    st.dictionaries(MEMBERS, JSON_VALUES, max_size=4).map(
        lambda members: encode_segment(json.dumps(members).encode())
    ),
    st.sampled_from([segment for seed in tokens.SEEDS for segment in seed.split(b".")]),
)
garbage = st.one_of(
    st.binary(max_size=3000),
    st.lists(SEGMENTS, max_size=6).map(b".".join),
    st.lists(SEGMENTS, min_size=3, max_size=3).map(b".".join),
)


@fuzzed
@given(bent() | garbage)
def test_nothing_but_a_genuine_token_is_one(raw: bytes) -> None:
    tokens.token(raw)


@fuzzed
@given(bent() | garbage)
def test_nothing_but_a_genuine_voucher_is_one(raw: bytes) -> None:
    tokens.voucher(raw)


@pytest.mark.parametrize("oracle", [tokens.token, tokens.voucher])
@pytest.mark.parametrize("genuine", tokens.SEEDS)
def test_every_one_bit_flip_is_refused(genuine: bytes, oracle: Any) -> None:
    for bit in range(len(genuine) * 8):
        flipped = bytearray(genuine)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not oracle(bytes(flipped)), f"bit {bit}"


def test_the_genuine_ones_are_taken() -> None:
    """A guard of this file: an oracle that never accepts would prove nothing."""
    assert {oracle(seed) for seed in tokens.SEEDS for oracle in (tokens.token,)} == {True, False}
    assert any(tokens.voucher(seed) for seed in tokens.SEEDS)


# Payloads under our own signature

PLACE = json.dumps(tokens.PLACE.to_payload()).encode()


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    members = {
        **draw(st.sampled_from([tokens.PLACE.to_payload(), tokens.HELD.to_payload()])),
        **draw(st.dictionaries(MEMBERS, JSON_VALUES, max_size=2)),
    }
    for name in draw(st.sets(st.sampled_from(["sub", "pos", "exp", "cnf", "clk"]), max_size=1)):
        members.pop(name, None)
    text = json.dumps(members)
    if draw(st.booleans()):
        # Repeated names, other spellings of numbers, and what else no JSON library writes.
        odd = draw(st.sampled_from(['"pos":1,', '"\\u0070os":1,', "\ufeff", '"pos":1.0,', "//x\n"]))
        text = "{" + odd + text[1:]
    for old, new in draw(
        st.lists(
            st.sampled_from([(": 7", ": 7.0"), (": 7", ": 7e0"), (": 7", ": -0"), ("}", "}}")]),
            max_size=1,
        )
    ):
        text = text.replace(old, new)
    return text.encode(draw(st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-8-sig"])))


@fuzzed
@given(payloads() | st.binary(max_size=300))
def test_our_signature_does_not_vouch_for_a_wrong_claim(payload: bytes) -> None:
    tokens.signed_payload(payload)


@fuzzed
@given(payloads() | st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_json_has_one_reading(content: bytes) -> None:
    tokens.strict_json(content)


# Key sets

JWK = json.loads(jwks_document(tokens.KEYS.public_keys()))["keys"][0]
JWK_MEMBERS = st.sampled_from(
    ["kty", "crv", "x", "y", "d", "kid", "use", "alg", "key_ops", "k", "n"]
)
JWK_VALUES = st.one_of(
    JSON_VALUES,
    st.sampled_from([*JWK.values(), "sig", "enc", "P-384", "RSA", "oct", ["verify"], ["sign"]]),
    st.binary(min_size=30, max_size=34).map(lambda raw: encode_segment(raw).decode()),
)
jwks = st.dictionaries(JWK_MEMBERS, JWK_VALUES, max_size=3).map(lambda changes: {**JWK, **changes})


@st.composite
def key_sets(draw: st.DrawFn) -> bytes:
    entries = draw(st.lists(jwks | JSON_VALUES, max_size=3))
    document = draw(st.sampled_from([{"keys": entries}, entries, {"keys": JWK}, {"Keys": entries}]))
    text = json.dumps(document)
    if draw(st.booleans()):
        text = text.replace('"kid"', draw(st.sampled_from(['"kid":"a","kid"', '"\\u006bid"'])))
    return text.encode(draw(st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-8-sig"])))


one_key = jwks.map(lambda key: json.dumps({"keys": [key]}).encode())


@fuzzed
@given(one_key | key_sets() | st.binary(max_size=200))
def test_a_key_set_is_one_or_is_refused(document: bytes) -> None:
    tokens.key_set(document)
