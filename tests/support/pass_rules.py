"""What the rules of proxies that verify passes are tried with, and what the gateway's readers say of it.

Each proxy matches in an engine of its own; the cases and the judgement are the same.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import strategies as st

from gateway.domain.carriers import RawHeaders, carried_tokens
from gateway.domain.claims import PassClaims, check_issued, check_not_expired
from gateway.domain.positions import EventId
from gateway.errors import TokenRejected
from gateway.proxyconfig import Addresses, Subject
from gateway.proxyconfig.knowledge import pass_head, place_head
from gateway.tokens.compact import parse_object, split
from gateway.tokens.jwks import thumbprint

EVENT: Final = EventId("sale-1")
PRIVATE: Final = generate_private_key(SECP256R1())
KEY: Final = PRIVATE.public_key()
KID: Final = thumbprint(KEY)
SUBJECT: Final = Subject(EVENT, ("shop.example", "www.shop.example"), "admission-gateway")
ADDRESSES: Final = Addresses(":80", "127.0.0.1:8080", "127.0.0.1:3000")

SIGNATURE: Final = "A" * 85 + "Q"
PASS: Final = f"{pass_head(KID)}.e30.{SIGNATURE}"
OTHER: Final = f"{pass_head(KID)}.e3s.{SIGNATURE}"
PLACE: Final = f"{place_head(KID)}.e30.{SIGNATURE}"
OTHER_PLACE: Final = f"{place_head(KID)}.e3s.{SIGNATURE}"
COOKIE_PIECES: Final = (
    *("pass-sale-1", "pass-sale-1=", "queue-sale-1=", "__Host-", "__Host-pass-sale-1="),
    *("; ", ";", "=", " ", "\t", '"', ",", PASS, OTHER, PLACE, OTHER_PLACE, "x=", "basket=1; "),
    *(f"pass-sale-1={PASS}", f"queue-sale-1={PLACE}", f"__Host-pass-sale-1={PASS}"),
)

GOOD: Final[Mapping[str, Any]] = {
    **{"iss": "admission-gateway", "aud": "sale-1", "sub": "v"},
    **{"pos": 1, "gen": 5, "iat": 1, "exp": 2},
}
_ODD: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        list[object]([1.0, 1.5, -0.0, 1e300, [], [1], {}, "", "1", "sale-1", 'a"b', "\u00e9"])
    ),
)
CHANGES: Final = st.dictionaries(st.sampled_from([*GOOD, "cnf", "adv", "x"]), _ODD, max_size=3)

NEAR: Final = st.integers(-70, 70)
SECONDS: Final = st.integers(0, 2**34)

# good-until, good-for, this machine's second, and whether what was told holds then.
HOLDS: Final = (
    (1005, 5, 1000, True),
    (1005, 5, 1004, True),
    (1005, 5, 1005, False),
    (1005, 5, 9999, False),
    # The clock went back: what was read a moment ago would hold for hours.
    (1005, 5, 999, False),
    (4600, 5, 1000, False),
    (0, 0, 1000, False),
)


def payload_of(changes: Mapping[str, object]) -> str:
    """Return the payload that our signer writes, or with these changes would."""
    return json.dumps({**GOOD, **changes}, separators=(",", ":"))


def no_payloads(byte_order_mark: str) -> list[str]:
    """Return texts that are nearly a payload of our signer's.

    Args:
        byte_order_mark: As the engine has it, of which some read bytes.
    """
    good = payload_of({})
    return [
        *(good + end for end in ("\n", " ", "}", "\x00")),
        *(start + good for start in (" ", byte_order_mark, "{")),
        good.replace('"pos":1', '"pos":2,"pos":1'),
        good.replace('"pos":1', '"pos": 1'),
        good.replace('"pos":1', '"pos":01'),
        good.replace('"pos":1', '"pos":0'),
        good.replace('"pos"', '"p\\u006fs"'),
        good.replace('"sub":"v"', '"sub":""'),
        good.replace("admission-gateway", "admission-gatewaY"),
        good.replace("sale-1", "sale-11"),
        json.dumps(GOOD),
    ]


def claims_of(payload: str) -> PassClaims:
    """Return what the gateway reads in a payload that a proxy took; of the event, and its issuer's."""
    claims = PassClaims.parse(parse_object(payload.encode()))
    assert (claims.issuer, claims.event) == (SUBJECT.issuer, SUBJECT.event)
    return claims


def said_by(claims: PassClaims) -> dict[str, object]:
    """Return claims as the scripts name them."""
    return {
        "visitor": claims.visitor,
        "position": str(claims.position),
        "generation": str(claims.generation),
        "issued": claims.issued_at,
        "ends": claims.expires_at,
    }


def counts_at_the_gateway(now_s: int, issued: int, ends: int, of: int, life: int) -> bool:
    """Whether a pass of generation `of` counts in the `life` of the queue; times count from now."""
    made = {**GOOD, "iat": max(0, now_s + issued), "exp": max(0, now_s + ends), "gen": of}
    claims = PassClaims.parse(made)
    try:
        check_issued(claims, now_s)
        check_not_expired(claims, now_s)
    except TokenRejected:
        return False
    return of == life


def check_carried(fields: RawHeaders, found: str, place: str | None, *, secure: bool) -> None:
    """Check that the pass and the queue token that a proxy found are all that the gateway finds."""
    # Whether it begins as a pass of a known key, and the other as a queue token, is looked up then.
    if not found.startswith(pass_head(KID) + "."):
        return
    if place is not None and not place.startswith(place_head(KID) + "."):
        return
    carried = carried_tokens(fields, EVENT, secure=secure)
    assert carried.passes == (found.encode(),)
    assert split(found)
    assert carried.queue == (() if place is None else (place.encode(),))


def check_one_spelling(token: str) -> None:
    """Check that a token that a proxy took is in its one spelling."""
    # Of its first two segments the other spellings are other bytes under the signature.
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}", token)
    assert split(f"e30.e30.{token.rpartition('.')[2]}").signature
