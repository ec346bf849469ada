"""JWK sets: what we publish, and what we take from a file."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)

from gateway.errors import KeyRingError
from gateway.tokens.jwks import JwksFile, jwks_document, parse_jwk_set, thumbprint


def new_public() -> EllipticCurvePublicKey:
    return generate_private_key(SECP256R1()).public_key()


def jwk_of(key: EllipticCurvePublicKey, **changes: object) -> dict[str, object]:
    """The published JWK of `key`, with changes; None takes a member away."""
    document: dict[str, list[dict[str, object]]] = json.loads(jwks_document({thumbprint(key): key}))
    members = document["keys"][0] | changes
    return {name: value for name, value in members.items() if value is not None}


def set_of(*jwks: object) -> bytes:
    return json.dumps({"keys": jwks}).encode()


def test_the_thumbprint_is_that_of_the_standard() -> None:
    """The P-256 key of RFC 7517, appendix A.1; its hash made by hand as RFC 7638, 3.1 says."""
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }
    (key,) = parse_jwk_set(set_of(jwk | {"kid": "1"}), any_kid=True).values()
    assert thumbprint(key) == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


def test_a_coordinate_that_begins_with_zeros_keeps_its_length() -> None:
    for scalar in range(1, 2000):
        key = derive_private_key(scalar, SECP256R1()).public_key()
        if key.public_numbers().x >> 248 == 0:
            break
    else:
        pytest.fail("no such key among the first")
    jwk = jwk_of(key)
    assert len(str(jwk["x"])) == 43
    assert parse_jwk_set(set_of(jwk)) == {thumbprint(key): key}


def test_what_is_published_is_what_edges_read() -> None:
    keys = {thumbprint(key): key for key in (new_public(), new_public(), new_public())}
    assert parse_jwk_set(jwks_document(keys)) == keys


def test_the_document_is_the_same_for_the_same_keys_in_any_order() -> None:
    keys = {thumbprint(key): key for key in (new_public(), new_public())}
    backwards = dict(reversed(keys.items()))
    assert jwks_document(keys) == jwks_document(backwards)


def test_a_published_key_says_what_it_is_for_and_holds_nothing_private() -> None:
    key = new_public()
    assert jwk_of(key).keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert jwk_of(key)["use"] == "sig"
    assert jwk_of(key)["alg"] == "ES256"
    assert jwks_document({}) == b'{"keys":[]}'


def test_a_key_without_use_or_algorithm_is_taken() -> None:
    key = new_public()
    jwk = jwk_of(key, use=None, alg=None, key_ops=["verify"], x5t="ignored")
    assert parse_jwk_set(set_of(jwk)) == {thumbprint(key): key}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"d": "AAAA"}, "private member d"),
        ({"use": "enc"}, "use is not 'sig'"),
        ({"use": ["sig"]}, "use is not 'sig'"),
        ({"key_ops": ["encrypt"]}, "key_ops"),
        ({"key_ops": []}, "key_ops"),
        ({"key_ops": "verify"}, "key_ops"),
        ({"alg": "ES384"}, "alg is not ES256"),
        ({"alg": "none"}, "alg is not ES256"),
        ({"kty": "RSA"}, "EC key on P-256"),
        ({"kty": "oct"}, "EC key on P-256"),
        ({"kty": None}, "EC key on P-256"),
        ({"crv": "P-384"}, "EC key on P-256"),
        ({"crv": "secp256k1"}, "EC key on P-256"),
        ({"x": None}, "x must be 32 bytes"),
        ({"x": ""}, "x must be 32 bytes"),
        ({"x": 5}, "x must be 32 bytes"),
        ({"x": "é"}, "x must be 32 bytes"),
        ({"y": "A" * 42}, "y must be 32 bytes"),
        ({"y": "A" * 43 + "="}, "y must be 32 bytes"),
        ({"y": "A" * 42 + "B"}, "y must be 32 bytes"),
        ({"y": "AA" + "A" * 43}, "y must be 32 bytes"),
        ({"y": "A" * 43}, "not on the curve"),
        ({"x": "A" * 43, "y": "A" * 43}, "not on the curve"),
        ({"x": "_" * 42 + "8"}, "not on the curve"),
        ({"kid": None}, "needs a kid"),
        ({"kid": ""}, "needs a kid"),
        ({"kid": 1}, "needs a kid"),
        ({"kid": "k" * 257}, "needs a kid"),
    ],
    ids=str,
)
@pytest.mark.parametrize("any_kid", [False, True])
def test_a_key_of_another_kind_refuses_the_set(
    changes: dict[str, object], complaint: str, any_kid: bool
) -> None:
    good, bad = jwk_of(new_public()), jwk_of(new_public())
    bad = {name: value for name, value in (bad | changes).items() if value is not None}
    with pytest.raises(KeyRingError, match=complaint):
        parse_jwk_set(set_of(good, bad), any_kid=any_kid)


def test_a_key_of_ours_is_named_by_its_thumbprint_and_one_of_the_site_by_anything() -> None:
    key = new_public()
    foreign = set_of(jwk_of(key, kid="booking-2026"))
    assert parse_jwk_set(foreign, any_kid=True) == {"booking-2026": key}
    with pytest.raises(KeyRingError, match="'booking-2026': the kid must be the key's RFC 7638"):
        parse_jwk_set(foreign)
    with pytest.raises(KeyRingError, match="thumbprint"):
        parse_jwk_set(set_of(jwk_of(key, kid=thumbprint(new_public()))))


def test_a_kid_used_twice_is_refused() -> None:
    one, other = jwk_of(new_public(), kid="a"), jwk_of(new_public(), kid="a")
    for pair in ((one, other), (one, one)):
        with pytest.raises(KeyRingError, match="two keys have the kid 'a'"):
            parse_jwk_set(set_of(*pair), any_kid=True)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1]}',
        b'{"keys":["x"]}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b"[" * 100_000,
        b'{"keys":' + b"[" * 50_000,
    ],
)
def test_what_is_no_set_of_keys_is_refused(document: bytes) -> None:
    with pytest.raises(KeyRingError):
        parse_jwk_set(document)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jwks.json"


def replace(path: Path, document: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(document)
    draft.replace(path)


def test_a_file_is_read_again_when_it_changes_and_only_then(path: Path) -> None:
    one, two = new_public(), new_public()
    replace(path, set_of(jwk_of(one)))
    file = JwksFile(path)
    before = file.public_keys()
    assert not file.reload_if_changed()
    assert file.public_keys() is before
    replace(path, set_of(jwk_of(one), jwk_of(two)))
    assert file.reload_if_changed()
    assert file.public_keys() is not before
    assert file.public_keys() == {thumbprint(one): one, thumbprint(two): two}


def test_a_file_that_says_the_same_in_other_words_changes_nothing(path: Path) -> None:
    key = new_public()
    replace(path, set_of(jwk_of(key)))
    file = JwksFile(path)
    before = file.public_keys()
    replace(path, set_of(jwk_of(key, use=None)))
    assert not file.reload_if_changed()
    assert file.public_keys() is before


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    replace(path, b"")


def fill(path: Path) -> None:
    replace(path, b" " * 300_000)


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize("damage", [delete, empty, fill, open_to_all])
def test_a_damaged_file_leaves_the_keys_in_force_and_is_reported(
    path: Path, damage: Callable[[Path], None]
) -> None:
    key, later = new_public(), new_public()
    replace(path, set_of(jwk_of(key)))
    file = JwksFile(path)
    damage(path)
    for _ in range(2):
        assert not file.reload_if_changed()
        assert file.trouble is not None
        assert str(path) in file.trouble
        assert file.public_keys() == {thumbprint(key): key}
    replace(path, set_of(jwk_of(later)))
    assert file.reload_if_changed()
    assert file.trouble is None
    assert file.public_keys() == {thumbprint(later): later}


def test_a_volume_that_comes_back_as_it_was_is_in_order_again(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    replace(volume / "jwks.json", set_of(jwk_of(new_public())))
    file = JwksFile(volume / "jwks.json")
    volume.rename(tmp_path / "elsewhere")
    file.reload_if_changed()
    assert file.trouble is not None
    (tmp_path / "elsewhere").rename(volume)
    assert not file.reload_if_changed()
    assert file.trouble is None


@pytest.mark.parametrize("damage", [delete, empty, fill, open_to_all])
def test_a_gateway_does_not_start_on_a_damaged_file(
    path: Path, damage: Callable[[Path], None]
) -> None:
    replace(path, set_of(jwk_of(new_public())))
    damage(path)
    with pytest.raises(KeyRingError, match=r"jwks\.json"):
        JwksFile(path)


def test_a_folder_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(KeyRingError, match=r"jwks\.json: cannot be read: Is a directory"):
        JwksFile(path)


def test_a_link_to_the_file_is_followed(path: Path, tmp_path: Path) -> None:
    """Kubernetes mounts public configuration as links."""
    key = new_public()
    replace(path, set_of(jwk_of(key)))
    os.symlink(path, tmp_path / "link")
    assert JwksFile(tmp_path / "link").public_keys() == {thumbprint(key): key}
