"""What HAProxy's patterns let through, held against the gateway's own readers: never wider.

HAProxy matches by PCRE2; of what these patterns use, Python's `re` means the same.
"""

import re
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.carriers import carried_tokens
from gateway.domain.targets import canonical_host, canonical_target
from gateway.proxyconfig import HAProxyFolder
from gateway.proxyconfig.knowledge import place_head
from gateway.tokens.compact import split
from tests.support.pass_rules import (
    ADDRESSES,
    CHANGES,
    COOKIE_PIECES,
    EVENT,
    KID,
    OTHER,
    PASS,
    PLACE,
    SIGNATURE,
    SUBJECT,
    check_one_spelling,
    claims_of,
    payload_of,
)


def configuration() -> str:
    folder = HAProxyFolder(Path("/etc/haproxy/sale-1"))
    return folder.configuration(SUBJECT, ADDRESSES)


def pattern(acl: str, flags: int = 0) -> re.Pattern[str]:
    """Return the pattern of an acl, as the shipped file has it."""
    found = re.search(rf"^    acl {acl} .* -m reg (?:-i )?'(.*)'$", configuration(), re.MULTILINE)
    assert found is not None
    return re.compile(found[1], flags | re.ASCII)


ONE_READING = pattern("one_reading")
ITS_HOST = pattern("its_host", re.IGNORECASE)
ONE_COOKIE = pattern("one_cookie")
ONE_COOKIE_OF_TLS = pattern("one_cookie_of_tls")
WHOLE_FIELD = pattern("whole_field")
ITS_CLAIMS = pattern("its_claims")
BEARER = pattern("bearer", re.IGNORECASE)


def text(*pieces: str, most: int = 12) -> st.SearchStrategy[str]:
    """Return strings made of these pieces and of single characters."""
    single = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
    return st.lists(st.one_of(st.sampled_from(pieces), single), max_size=most).map("".join)


@given(text("/", "//", "/.", "/..", ".", "..", "%2f", "%2e", ";", "\\", "?", "#", "/book", "a"))
@example("/")
@example("/book/..")
@example("/book?x=/../")
@example("//book")
@example("/b/.")
@example("/...")
@example("/.well-known/x")
def test_a_target_that_matches_has_one_reading(target: str) -> None:
    if ONE_READING.search(target) is not None:
        path, _, query = target.partition("?")
        assert canonical_target(path.encode(), query.encode()).path == path


@given(text("/", "/book", "a", "-", "~", "'", "?", "x=1", "&"))
@example("/book/7?seat=1&x=%2F")
@example("/assets/")
@example("/?")
def test_a_plain_target_matches(target: str) -> None:
    plain = re.fullmatch(r"(/[a-z0-9~'-]+)+/?(\?[a-z0-9=&%/]*)?", target) is not None
    assert not plain or ONE_READING.search(target) is not None


@given(text("shop.example", "www.", ".", ":", "80", "SHOP", "@", "[", "]"))
@example("shop.example:443")
@example("SHOP.example")
@example("shopxexample")
@example("shop.example.evil.example")
def test_a_host_that_matches_is_one_of_the_events(host: str) -> None:
    if ITS_HOST.search(host) is not None:
        assert canonical_host([host.encode()]) in SUBJECT.hosts


def cookies(value: str, name: str) -> list[str]:
    pairs = [part.strip(" \t").partition("=") for part in value.split(";")]
    return [held for named, _, held in pairs if named == name]


@given(text(*COOKIE_PIECES, most=8), st.booleans())
@example(f"pass-sale-1={PLACE}", False)
@example(f"pass-sale-1={OTHER}", False)
@example(f"pass-sale-1={PASS}", False)
@example(f"__Host-pass-sale-1={PASS}; queue-sale-1={PLACE}", True)
@example(f"pass-sale-1={PASS}; pass-sale-1={OTHER}", False)
@example(f"pass-sale-1 ={OTHER}; pass-sale-1={PASS}", False)
@example(f'x="; pass-sale-1={PASS}"', False)
def test_a_cookie_that_matches_carries_one_pass_for_the_gateway_too(
    value: str, secure: bool
) -> None:
    if (ONE_COOKIE_OF_TLS if secure else ONE_COOKIE).search(value) is None:
        return
    carried = carried_tokens([(b"cookie", value.encode())], EVENT, secure=secure)
    prefix = "__Host-" if secure else ""
    places, passes = cookies(value, f"{prefix}queue-sale-1"), cookies(value, f"{prefix}pass-sale-1")
    assert len(places) <= 1
    # What the cookies hold is other rules' matter: each must begin as a token of its kind does, and
    # the payload of the pass must be in the one form of our signer.
    if all(place.startswith(place_head(KID) + ".") for place in places) and all(
        held.startswith(PASS.rpartition(".")[0] + ".") for held in passes
    ):
        (held,) = carried.passes
        assert split(held)


@given(text("A", "-", "_", ".", "=", SIGNATURE, "AAAA", most=6))
@example(PASS)
def test_a_token_that_matches_has_its_one_spelling(token: str) -> None:
    if WHOLE_FIELD.search(token) is not None:
        check_one_spelling(token)


@given(CHANGES)
@example({})
@example({"pos": 2**53})
@example({"pos": 10**15 - 1})
def test_claims_that_match_are_the_gateways_own(changes: dict[str, object]) -> None:
    payload = payload_of(changes)
    if ITS_CLAIMS.search(payload) is None:
        assert changes
        return
    claims_of(payload)


@given(
    text('{"iss":"admission-gateway",', '"aud":"sale-1",', '"pos":1,', '"pos":1', "}", "\\u0031")
)
def test_no_other_text_matches_as_claims(payload: str) -> None:
    assert ITS_CLAIMS.search(payload) is None


@given(text("bearer", "Bearer", " ", "\t", PASS, "Basic ", most=4))
def test_no_bearer_is_overlooked(value: str) -> None:
    fields = [(b"authorization", value.encode())]
    carried = carried_tokens(fields, EVENT, secure=False)
    if carried.passes or carried.queue:
        assert BEARER.search(value) is not None
