"""Project Wycheproof's verdicts on ECDSA, JWS and JWK, through our own code.

The vectors are unchanged copies (`wycheproof/README.md`). Signatures are judged by `verify_es256`,
keys by `parse_jwk_set`, and whole tokens by the three steps of which every verifier of ours is made:
`split` (shape), `read_header` (header) and `check_signature`. One thing is handed in: the tokens of
Wycheproof have no `typ`, so `read_header` is told to expect exactly `alg` and `kid`, where our
profile says `alg`, `typ` and `kid`. All else, the fixed algorithm, the refusal of any further
member, one canonical base64url, is the code that judges visitors. Payloads are not read: "foo" is
not JSON.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from gateway.errors import KeyRingError, TokenRejected
from gateway.tokens.codec import check_signature, verify_es256
from gateway.tokens.compact import decode_segment, read_header, split
from gateway.tokens.jwks import parse_jwk_set

VECTORS = Path(__file__).parent / "wycheproof"
WITHOUT_TYP = frozenset({"alg", "kid"})
JWS_GROUPS = ("es256", "SpecialCaseEs256", "ec_key_for_encryption")
JWK_GROUPS = (
    "jws_mixedSymmetryKeyset",
    "wrong_algorithm",
    "invalid_algorithm",
    "invalid_use",
    "invalid_point",
    "wrong_curve",
    "wrong_kty",
)

Group = dict[str, Any]


def groups_of(name: str) -> list[Group]:
    content: dict[str, list[Group]] = json.loads((VECTORS / name).read_bytes())
    return content["testGroups"]


def uncompressed_key(group: Group) -> EllipticCurvePublicKey:
    point = bytes.fromhex(group["publicKey"]["uncompressed"])
    return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)


def is_accepted(jws: str, jwk_set: dict[str, Any]) -> bool:
    """Load the keys and verify the token, as an edge would."""
    try:
        keys = parse_jwk_set(json.dumps(jwk_set).encode(), any_kid=True)
        parts = split(jws)
        header = read_header(parts.header, WITHOUT_TYP)
        check_signature(parts, header.kid, keys)
    except (KeyRingError, TokenRejected):
        return False
    return True


def test_all_262_raw_signatures_are_judged_as_wycheproof_does() -> None:
    judged = 0
    for group in groups_of("ecdsa_secp256r1_sha256_p1363_test.json"):
        key = uncompressed_key(group)
        for case in group["tests"]:
            verdict = verify_es256(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]), key)
            assert verdict is (case["result"] == "valid"), (case["tcId"], case["comment"])
            judged += 1
    assert judged == 262


def test_a_signature_in_der_is_refused_however_genuine() -> None:
    genuine = 0
    for group in groups_of("ecdsa_secp256r1_sha256_test.json"):
        key = uncompressed_key(group)
        for case in group["tests"]:
            assert not verify_es256(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]), key)
            genuine += case["result"] == "valid"
    assert genuine == 174


def jws_cases() -> list[Any]:
    return [
        pytest.param(group["public"], case, id=f"{case['tcId']}-{case['comment']}")
        for group in groups_of("json_web_signature_test.json")
        if group["comment"] in JWS_GROUPS
        for case in group["tests"]
    ]


def test_there_are_41_tokens_on_p256() -> None:
    assert len(jws_cases()) == 41


@pytest.mark.parametrize(("jwk", "case"), jws_cases())
def test_a_token_is_judged_as_wycheproof_does(jwk: dict[str, Any], case: dict[str, Any]) -> None:
    """PyJWT alone takes `rejectWrongUse` and `rejectWrongKeyOps`; our key loader does not."""
    assert is_accepted(case["jws"], {"keys": [jwk]}) is (case["result"] == "valid")


def jwk_cases() -> list[Any]:
    return [
        pytest.param(group, case, id=f"{case['tcId']}-{case['comment']}")
        for group in groups_of("json_web_key_test.json")
        if group["comment"] in JWK_GROUPS
        for case in group["tests"]
    ]


def test_there_are_7_key_sets_on_elliptic_curves() -> None:
    assert len(jwk_cases()) == 7


@pytest.mark.parametrize(("group", "case"), jwk_cases())
def test_a_key_set_is_judged_as_wycheproof_does(group: Group, case: dict[str, Any]) -> None:
    """All seven are invalid, and it is the set that we refuse: no token is even looked at."""
    jwk_set = group.get("public") or {
        "keys": [
            {name: value for name, value in jwk.items() if name != "d"}
            for jwk in group["private"]["keys"]
        ]
    }
    assert case["result"] == "invalid"
    with pytest.raises(KeyRingError):
        parse_jwk_set(json.dumps(jwk_set).encode(), any_kid=True)
    assert not is_accepted(case["jws"], jwk_set)


def base64_cases() -> list[Any]:
    # 367 and 370 are the very bytes of 357, which is valid: whatever they once showed was lost.
    return [
        pytest.param(case, id=f"{case['tcId']}-{case['comment']}")
        for group in groups_of("json_web_signature_test.json")
        if group["comment"] == "base64"
        for case in group["tests"]
        if case["tcId"] not in {367, 370}
    ]


@pytest.mark.parametrize("case", base64_cases())
def test_base64url_is_read_as_wycheproof_does_or_more_strictly(case: dict[str, Any]) -> None:
    """HS256 tokens, so segment by segment. 372 and 373 hold a `?` that Wycheproof lets pass."""
    try:
        for segment in case["jws"].encode().split(b"."):
            decode_segment(segment)
        readable = True
    except TokenRejected:
        readable = False
    assert readable is (case["result"] == "valid" and case["tcId"] not in {372, 373})
