"""Vouchers: what the site may say of a visitor, and how its name for the visitor is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm

from gateway.domain.positions import EventId
from gateway.errors import BadInput, TokenFault, TokenRejected
from gateway.tokens.codec import Signer
from gateway.tokens.compact import encode_segment
from gateway.tokens.keys import PublicKey, SigningKey
from gateway.tokens.vouchers import MAX_LIFETIME_S, Voucher, VoucherVerifier, hashed_subject

NOW = 1_790_000_000
SALE = EventId("sale")
SECRET = b"sixteen bytes or more"
CLAIMS: dict[str, object] = {
    "iss": "https://booking.example",
    "aud": "sale",
    "sub": "customer-17@example.org",
    "iat": NOW,
    "exp": NOW + 600,
}


@dataclass(frozen=True)
class Site:
    """The booking site's key, under a name of its choice."""

    private_key: EllipticCurvePrivateKey
    kid: str = "booking-2026"

    @property
    def active_signing_key(self) -> SigningKey:
        return SigningKey(self.kid, self.private_key)

    def public_keys(self) -> Mapping[str, PublicKey]:
        return {self.kid: self.private_key.public_key()}

    def voucher(self, typ: str = "voucher+jwt", /, **changes: object) -> str:
        claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
        return Signer(self).sign(typ, claims)


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(generate_private_key(SECP256R1()))


def fault_of(site: Site, token: str | bytes, now_s: float = NOW) -> TokenFault:
    with pytest.raises(TokenRejected) as caught:
        VoucherVerifier(site).verify(token, now_s, expect_event=SALE)
    assert str(caught.value) == caught.value.fault.value
    return caught.value.fault


def test_a_genuine_voucher_names_the_visitor_and_the_head_start(site: Site) -> None:
    verifier = VoucherVerifier(site)
    plain = verifier.verify(site.voucher(), NOW, expect_event=SALE)
    assert plain == Voucher(SALE, "customer-17@example.org", 0, NOW + 600)
    invited = verifier.verify(site.voucher(adv=500, jti="x-1"), NOW, expect_event=SALE)
    assert invited.head_start == 500


def test_the_site_may_write_its_json_with_spaces_and_in_any_order(site: Site) -> None:
    header = json.dumps({"typ": "voucher+jwt", "kid": site.kid, "alg": "ES256"})
    payload = json.dumps(dict(reversed(CLAIMS.items())), indent=2)
    signed = encode_segment(header.encode()) + b"." + encode_segment(payload.encode())
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signed, site.private_key)
    token = signed + b"." + encode_segment(signature)
    voucher = VoucherVerifier(site).verify(token, NOW, expect_event=SALE)
    assert voucher.subject == "customer-17@example.org"


@pytest.mark.parametrize("typ", ["queue+jwt", "pass+jwt", "JWT", "", "Voucher+JWT"])
def test_a_token_of_another_type_is_no_voucher(site: Site, typ: str) -> None:
    assert fault_of(site, site.voucher(typ)) is TokenFault.WRONG_TYPE


def test_a_voucher_for_another_event_is_refused(site: Site) -> None:
    assert fault_of(site, site.voucher(aud="other")) is TokenFault.WRONG_EVENT


def test_a_voucher_of_a_stranger_is_refused(site: Site) -> None:
    stranger = generate_private_key(SECP256R1())
    assert fault_of(site, Site(stranger, "other").voucher()) is TokenFault.UNKNOWN_KEY
    assert fault_of(site, Site(stranger).voucher()) is TokenFault.BAD_SIGNATURE


def test_a_voucher_without_a_kid_is_refused_even_where_the_site_has_one_key(site: Site) -> None:
    header = encode_segment(b'{"alg":"ES256","typ":"voucher+jwt"}')
    token = header.decode() + "." + site.voucher().partition(".")[2]
    assert fault_of(site, token) is TokenFault.MALFORMED


def test_a_voucher_is_good_before_its_end_and_not_at_it(site: Site) -> None:
    token = site.voucher()
    verifier = VoucherVerifier(site)
    assert verifier.verify(token, NOW + 599, expect_event=SALE)
    assert fault_of(site, token, NOW + 600) is TokenFault.EXPIRED
    assert fault_of(site, token, NOW + 601) is TokenFault.EXPIRED


def test_a_voucher_may_be_issued_a_leeway_ahead_and_not_more(site: Site) -> None:
    token = site.voucher()
    assert VoucherVerifier(site).verify(token, NOW - 60, expect_event=SALE)
    assert fault_of(site, token, NOW - 61) is TokenFault.NOT_YET_VALID


def test_a_voucher_lives_a_day_at_most(site: Site) -> None:
    assert MAX_LIFETIME_S == 86_400
    longest = site.voucher(exp=NOW + 86_400)
    assert VoucherVerifier(site).verify(longest, NOW, expect_event=SALE)
    for end in (NOW + 86_401, NOW, NOW - 1, 2**53 - 1):
        assert fault_of(site, site.voucher(exp=end)) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"iss": ""},
        {"iss": 1},
        {"aud": None},
        {"aud": "Sale"},
        {"aud": 1},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 257},
        {"sub": 17},
        {"iat": None},
        {"iat": str(NOW)},
        {"iat": True},
        {"iat": -1},
        {"exp": None},
        {"exp": str(NOW + 600)},
        {"adv": -1},
        {"adv": True},
        {"adv": "5"},
        {"adv": 2**53},
        {"jti": 5},
        {"jti": ""},
        {"pos": 1},
        {"cnf": {"jkt": "x"}},
        {"role": "admin"},
    ],
    ids=str,
)
def test_ill_typed_unknown_or_missing_claims_are_refused(
    site: Site, changes: dict[str, object]
) -> None:
    assert fault_of(site, site.voucher(**changes)) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("changes", [{"aud": ["sale"]}, {"adv": 1.5}, {"sub": {"id": 1}}])
def test_what_is_not_flat_json_of_whole_numbers_is_malformed(
    site: Site, changes: dict[str, object]
) -> None:
    assert fault_of(site, site.voucher(**changes)) is TokenFault.MALFORMED


@pytest.mark.parametrize("token", ["", "a.b.c", "é", b"\xff", "x" * 5000])
def test_what_is_no_token_at_all_is_malformed(site: Site, token: str | bytes) -> None:
    assert fault_of(site, token) is TokenFault.MALFORMED


def test_a_subject_is_kept_as_22_characters_that_do_not_tell_it() -> None:
    name = hashed_subject(SECRET, SALE, "customer-17@example.org")
    assert name == hashed_subject(SECRET, SALE, "customer-17@example.org")
    assert len(name) == 22
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    plain = encode_segment(sha256(b"sale\0customer-17@example.org").digest()[:16]).decode()
    assert name != plain


def test_the_same_person_has_another_name_in_every_event_and_under_every_secret() -> None:
    names = {
        hashed_subject(secret, EventId(event), subject)
        for secret in (SECRET, SECRET + b"!")
        for event in ("sale", "sale2")
        for subject in ("17", "217", "Ümit")
    }
    assert len(names) == 12


def test_a_secret_that_could_be_guessed_is_refused() -> None:
    for secret in (b"", b"short", b"x" * 15):
        with pytest.raises(BadInput, match="16 bytes"):
            hashed_subject(secret, SALE, "17")
    assert hashed_subject(b"x" * 16, SALE, "17")
