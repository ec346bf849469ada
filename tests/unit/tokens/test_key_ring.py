"""The key ring folder: private, never overwritten, and a rotation that strands no token."""

import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.domain.claims import QueueClaims
from gateway.domain.positions import EventId, Generation, Position
from gateway.errors import KeyRingError, TokenFault, TokenRejected
from gateway.tokens.codec import Signer, Verifier
from gateway.tokens.jwks import thumbprint
from gateway.tokens.keyring import (
    KeyEntry,
    KeyRing,
    KeyState,
    activate,
    list_keys,
    new_key,
    remove,
    retire,
)

NOW = 1_790_000_000
ISSUER = "admission-gateway"
CLAIMS = QueueClaims(ISSUER, EventId("sale"), "v", Position(1), Generation(1), NOW, NOW + 600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pem_of(
    key: EllipticCurvePrivateKey | Ed25519PrivateKey,
    encryption: KeySerializationEncryption | None = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def put(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def put_key(folder: Path, key: EllipticCurvePrivateKey) -> str:
    kid = thumbprint(key.public_key())
    put(folder, f"{kid}.pem", pem_of(key))
    return kid


def states_of(folder: Path) -> dict[str, str]:
    return {entry.kid: entry.state.value for entry in list_keys(folder)}


# Making keys


def test_the_first_key_is_active_and_the_second_is_next(folder: Path) -> None:
    first = new_key(folder, now_s=NOW)
    assert first == KeyEntry(
        first.kid, KeyState.ACTIVE, created="2026-09-21T14:13:20Z", activated="2026-09-21T14:13:20Z"
    )
    second = new_key(folder, now_s=NOW + 60)
    assert second == KeyEntry(second.kid, KeyState.NEXT, created="2026-09-21T14:14:20Z")
    assert list_keys(folder) == (first, second)


def test_only_the_owner_can_touch_what_we_make_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        entry = new_key(folder, now_s=NOW)
    finally:
        os.umask(before)
    assert mode_of(folder) == 0o700
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == {
        f"{entry.kid}.pem",
        "states.json",
        ".lock",
    }


def test_a_key_is_a_pkcs8_pem_named_by_its_thumbprint(folder: Path) -> None:
    entry = new_key(folder, now_s=NOW)
    pem = (folder / f"{entry.kid}.pem").read_bytes()
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    key = load_pem_private_key(pem, password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert thumbprint(key.public_key()) == entry.kid
    assert len(entry.kid) == 43


def test_an_existing_key_is_never_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = generate_private_key(SECP256R1())
    monkeypatch.setattr("gateway.tokens.keyfolder.generate_private_key", lambda _: same)
    kid = put_key(folder, same)
    path = folder / f"{kid}.pem"
    before = path.stat()
    with pytest.raises(KeyRingError, match="exists"):
        new_key(folder, now_s=NOW)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {file.name for file in folder.iterdir()} == {f"{kid}.pem", ".lock"}


def test_two_processes_that_make_keys_at_once_make_two_keys_and_one_is_active(
    folder: Path,
) -> None:
    spawn = get_context("spawn")
    make = partial(new_key, now_s=NOW)
    # The barrier lets neither begin before both are there.
    with ProcessPoolExecutor(2, spawn, initializer=spawn.Barrier(2).wait) as pool:
        made = list(pool.map(make, [folder] * 20, chunksize=10))
    # To the second they were made in: no process wrote over what the other had written.
    assert set(list_keys(folder)) == set(made)
    assert len(made) == 20
    assert sorted(states_of(folder).values()) == ["active", *["next"] * 19]


def test_the_folder_may_hold_other_files(folder: Path) -> None:
    put(folder, "README.md", b"keys live here", mode=0o644)
    entry = new_key(folder, now_s=NOW)
    assert states_of(folder) == {entry.kid: "active"}


# States


def test_activating_a_key_retires_the_one_that_signed(folder: Path) -> None:
    old = new_key(folder, now_s=NOW)
    new = new_key(folder, now_s=NOW + 1)
    active = activate(folder, new.kid, now_s=NOW + 2)
    assert active.state is KeyState.ACTIVE
    assert active.activated == "2026-09-21T14:13:22Z"
    assert states_of(folder) == {old.kid: "retired", new.kid: "active"}
    assert list_keys(folder)[0].retired == "2026-09-21T14:13:22Z"


def test_activating_twice_changes_nothing(folder: Path) -> None:
    new_key(folder, now_s=NOW)
    new = new_key(folder, now_s=NOW + 1)
    once = activate(folder, new.kid, now_s=NOW + 2)
    before = (folder / "states.json").stat()
    assert activate(folder, new.kid, now_s=NOW + 3) == once
    after = (folder / "states.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_retired_key_does_not_come_back(folder: Path) -> None:
    old = new_key(folder, now_s=NOW)
    activate(folder, new_key(folder, now_s=NOW + 1).kid, now_s=NOW + 2)
    before = states_of(folder)
    with pytest.raises(KeyRingError, match="retired for good: make a new one"):
        activate(folder, old.kid, now_s=NOW + 3)
    assert states_of(folder) == before


def test_the_active_key_is_neither_retired_nor_removed_before_another_is_active(
    folder: Path,
) -> None:
    entry = new_key(folder, now_s=NOW)
    new_key(folder, now_s=NOW)
    with pytest.raises(KeyRingError, match="activate another one, then retire it"):
        retire(folder, entry.kid, now_s=NOW)
    with pytest.raises(KeyRingError, match="activate another one, then remove it"):
        remove(folder, entry.kid)
    assert states_of(folder)[entry.kid] == "active"


def test_a_next_key_can_be_retired_and_retiring_twice_changes_nothing(folder: Path) -> None:
    new_key(folder, now_s=NOW)
    spare = new_key(folder, now_s=NOW)
    once = retire(folder, spare.kid, now_s=NOW + 5)
    assert (once.state, once.retired) == (KeyState.RETIRED, "2026-09-21T14:13:25Z")
    assert retire(folder, spare.kid, now_s=NOW + 9) == once


def test_a_removed_key_is_gone(folder: Path) -> None:
    active = new_key(folder, now_s=NOW)
    leaked = new_key(folder, now_s=NOW)
    assert remove(folder, leaked.kid) == leaked
    assert states_of(folder) == {active.kid: "active"}
    assert not (folder / f"{leaked.kid}.pem").exists()
    with pytest.raises(KeyRingError, match="no key of the ring begins with"):
        remove(folder, leaked.kid)


def test_a_key_is_named_by_six_characters_or_more_that_only_it_begins_with(folder: Path) -> None:
    new_key(folder, now_s=NOW)
    entry = new_key(folder, now_s=NOW)
    assert activate(folder, entry.kid[:6], now_s=NOW).kid == entry.kid
    for name, complaint in (
        (entry.kid[:5], "at least 6 characters"),
        ("", "at least 6 characters"),
        ("??????", "no key of the ring"),
        (entry.kid + "x", "no key of the ring"),
    ):
        with pytest.raises(KeyRingError, match=complaint):
            activate(folder, name, now_s=NOW)


def test_a_beginning_that_two_keys_share_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_key(folder, now_s=NOW)
    entries = (KeyEntry("abcdef1"), KeyEntry("abcdef2"))
    monkeypatch.setattr("gateway.tokens.keyring.list_keys", lambda _: entries)
    with pytest.raises(KeyRingError, match="2 keys begin with 'abcdef': give more"):
        retire(folder, "abcdef", now_s=NOW)


def test_a_key_put_there_by_hand_counts_as_next(folder: Path) -> None:
    active = new_key(folder, now_s=NOW)
    kid = put_key(folder, generate_private_key(SECP256R1()))
    assert states_of(folder) == {active.kid: "active", kid: "next"}
    assert kid in KeyRing.load(folder).public_keys()
    assert activate(folder, kid, now_s=NOW).state is KeyState.ACTIVE


def test_a_key_that_openssl_wrote_in_the_older_form_is_read(folder: Path) -> None:
    key = generate_private_key(SECP256R1())
    kid = thumbprint(key.public_key())
    put(folder, f"{kid}.pem", pem_of(key, form=PrivateFormat.TraditionalOpenSSL))
    assert states_of(folder) == {kid: "next"}


def test_states_without_a_key_are_passed_over(folder: Path) -> None:
    """As after a restore that brought `states.json` alone: a new key then signs."""
    lost = new_key(folder, now_s=NOW)
    (folder / f"{lost.kid}.pem").unlink()
    assert list_keys(folder) == ()
    entry = new_key(folder, now_s=NOW + 1)
    assert states_of(folder) == {entry.kid: "active"}


# What is refused


def others_may_read(folder: Path, path: Path) -> None:
    path.chmod(0o604)


def group_may_read(folder: Path, path: Path) -> None:
    path.chmod(0o640)


def group_may_write(folder: Path, path: Path) -> None:
    path.chmod(0o620)


def anyone_may_write_the_folder(folder: Path, path: Path) -> None:
    folder.chmod(0o777)


def key_under_another_name(folder: Path, path: Path) -> None:
    path.rename(folder / "active.pem")


def key_of_another_curve(folder: Path, path: Path) -> None:
    path.write_bytes(pem_of(generate_private_key(SECP384R1())))


def key_of_another_kind(folder: Path, path: Path) -> None:
    path.write_bytes(pem_of(Ed25519PrivateKey.generate()))


def key_with_a_password(folder: Path, path: Path) -> None:
    key = generate_private_key(SECP256R1())
    path.write_bytes(pem_of(key, BestAvailableEncryption(b"secret")))


def public_key(folder: Path, path: Path) -> None:
    key = generate_private_key(SECP256R1()).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def nothing_in_it(folder: Path, path: Path) -> None:
    path.write_bytes(b"")


def half_of_it(folder: Path, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def far_too_much(folder: Path, path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n" * 20_000)


def link_to_a_key(folder: Path, path: Path) -> None:
    outside = folder.parent / path.name
    path.rename(outside)
    path.symlink_to(outside)


def link_to_nowhere(folder: Path, path: Path) -> None:
    path.unlink()
    path.symlink_to("/nonexistent")


def folder_named_like_a_key(folder: Path, path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def pipe_named_like_a_key(folder: Path, path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def link_in_place_of_the_states(folder: Path, path: Path) -> None:
    states = folder / "states.json"
    outside = folder.parent / "states.json"
    states.rename(outside)
    states.symlink_to(outside)


def states_that_anyone_may_write(folder: Path, path: Path) -> None:
    (folder / "states.json").chmod(0o602)


def states_that_are(content: bytes) -> Callable[[Path, Path], None]:
    def write(folder: Path, path: Path) -> None:
        (folder / "states.json").write_bytes(content)

    return write


def two_active_keys(folder: Path, path: Path) -> None:
    two = {"a" * 43: {"state": "active"}, "b" * 43: {"state": "active"}}
    (folder / "states.json").write_text(json.dumps({"keys": two}))


DAMAGES = [
    (others_may_read, "chmod 600"),
    (group_may_read, "chmod 600"),
    (group_may_write, "chmod 600"),
    (anyone_may_write_the_folder, "chmod o-w"),
    (key_under_another_name, "rename it to"),
    (key_of_another_curve, "not an EC key on P-256"),
    (key_of_another_kind, "not an EC key on P-256"),
    (key_with_a_password, "not an unencrypted private key"),
    (public_key, "not an unencrypted private key"),
    (nothing_in_it, "not an unencrypted private key"),
    (half_of_it, "not an unencrypted private key"),
    (far_too_much, "larger than"),
    (link_to_a_key, "is a symbolic link: put the file itself here"),
    (link_to_nowhere, "is a symbolic link: put the file itself here"),
    (folder_named_like_a_key, "is not a file"),
    (pipe_named_like_a_key, "is not a file"),
    (link_in_place_of_the_states, "is a symbolic link: put the file itself here"),
    (states_that_anyone_may_write, "chmod o-w"),
    (states_that_are(b""), "damaged"),
    (states_that_are(b"[]"), "damaged"),
    (states_that_are(b'{"keys":{"a":{"state":"active"},"a":{"state":"next"}}}'), "damaged"),
    (states_that_are(b'{"keys":{"a":{"state":"lost"}}}'), "damaged"),
    (states_that_are(b'{"keys":{"a":{}}}'), "damaged"),
    (states_that_are(b'{"keys":{"a":{"state":"next","created":5}}}'), "damaged"),
    (states_that_are(b"[" * 100_000), "damaged"),
    (two_active_keys, "more than one active key"),
]


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES)
def test_a_folder_that_is_not_as_it_must_be_is_refused_with_what_to_do(
    folder: Path, damage: Callable[[Path, Path], None], complaint: str
) -> None:
    entry = new_key(folder, now_s=NOW)
    damage(folder, folder / f"{entry.kid}.pem")
    before = sorted(path.name for path in folder.iterdir())
    for act in (
        list_keys,
        KeyRing.load,
        partial(new_key, now_s=NOW),
        partial(activate, name=entry.kid, now_s=NOW),
    ):
        with pytest.raises(KeyRingError, match=complaint) as caught:
            act(folder)
        assert str(folder) in str(caught.value)
        assert "PRIVATE KEY--" not in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_folder_that_is_missing_is_named(folder: Path) -> None:
    for act in (list_keys, KeyRing.load):
        with pytest.raises(KeyRingError, match=r"keys: No such file or directory"):
            act(folder)


def test_a_lock_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    new_key(folder, now_s=NOW)
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyRingError, match=r"\.lock"):
        new_key(folder, now_s=NOW)
    assert not (tmp_path / "elsewhere").exists()


def test_a_draft_left_by_a_dead_process_does_not_stop_the_next(folder: Path) -> None:
    new_key(folder, now_s=NOW)
    put(folder, ".states.json-0f3bx_2a", b"half")
    entry = new_key(folder, now_s=NOW)
    assert states_of(folder)[entry.kid] == "next"


# The ring in a running gateway


def test_the_ring_signs_with_the_active_key_and_verifies_with_all(folder: Path) -> None:
    kids = [new_key(folder, now_s=NOW + number).kid for number in range(3)]
    activate(folder, kids[1], now_s=NOW + 5)
    ring = KeyRing.load(folder)
    assert ring.active_signing_key.kid == kids[1]
    assert list(ring.public_keys()) == kids
    assert [entry.state.value for entry in ring.entries] == ["retired", "active", "next"]


def test_a_ring_without_an_active_key_verifies_and_does_not_sign(folder: Path) -> None:
    kid = put_key(folder, generate_private_key(SECP256R1()))
    ring = KeyRing.load(folder)
    assert list(ring.public_keys()) == [kid]
    with pytest.raises(KeyRingError, match="no key is active: make one, or activate one"):
        Signer(ring).sign_queue(CLAIMS)


def test_a_reload_picks_up_a_new_key_and_a_new_state(folder: Path) -> None:
    old = new_key(folder, now_s=NOW)
    ring = KeyRing.load(folder)
    before = ring.public_keys()
    signing = ring.active_signing_key
    assert not ring.reload_if_changed()
    new = new_key(folder, now_s=NOW)
    assert ring.reload_if_changed()
    assert set(ring.public_keys()) == {old.kid, new.kid}
    assert ring.active_signing_key is signing
    after = ring.public_keys()
    assert after is not before
    activate(folder, new.kid, now_s=NOW)
    assert ring.reload_if_changed()
    assert ring.active_signing_key.kid == new.kid
    assert ring.public_keys() is after, "the same keys must stay the same object"


def test_a_state_that_changes_no_key_is_taken_up_quietly(folder: Path) -> None:
    new_key(folder, now_s=NOW)
    spare = new_key(folder, now_s=NOW)
    ring = KeyRing.load(folder)
    retire(folder, spare.kid, now_s=NOW)
    assert not ring.reload_if_changed()
    assert [entry.state.value for entry in ring.entries if entry.kid == spare.kid] == ["retired"]


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES)
def test_a_folder_that_breaks_leaves_the_ring_in_force_until_it_is_mended(
    folder: Path, damage: Callable[[Path, Path], None], complaint: str
) -> None:
    entry = new_key(folder, now_s=NOW)
    ring = KeyRing.load(folder)
    signing, public = ring.active_signing_key, ring.public_keys()
    damage(folder, folder / f"{entry.kid}.pem")
    open_before = len(os.listdir("/dev/fd"))
    for _ in range(2):
        assert not ring.reload_if_changed()
        assert ring.trouble is not None
        assert complaint in ring.trouble
        assert ring.active_signing_key is signing
        assert ring.public_keys() is public
    assert len(os.listdir("/dev/fd")) == open_before, "called each second, it would run out"


def test_a_mode_that_is_mended_is_noticed(folder: Path) -> None:
    entry = new_key(folder, now_s=NOW)
    ring = KeyRing.load(folder)
    path = folder / f"{entry.kid}.pem"
    path.chmod(0o644)
    ring.reload_if_changed()
    assert ring.trouble
    path.chmod(0o600)
    assert not ring.reload_if_changed()
    assert ring.trouble is None


def test_a_folder_that_loses_its_active_key_or_itself_goes_on_signing(folder: Path) -> None:
    """An unmounted volume looks like an empty folder, or like none."""
    entry = new_key(folder, now_s=NOW)
    ring = KeyRing.load(folder)
    for path in folder.iterdir():
        path.unlink()
    assert not ring.reload_if_changed()
    assert f"{entry.kid} goes on signing" in str(ring.trouble)
    folder.rmdir()
    assert not ring.reload_if_changed()
    assert "No such file" in str(ring.trouble)
    assert ring.active_signing_key.kid == entry.kid
    new = new_key(folder, now_s=NOW)
    assert ring.reload_if_changed()
    assert ring.trouble is None
    assert ring.active_signing_key.kid == new.kid


def test_a_volume_that_comes_back_as_it_was_is_in_order_again(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    new_key(volume / "keys", now_s=NOW)
    ring = KeyRing.load(volume / "keys")
    volume.rename(tmp_path / "elsewhere")
    ring.reload_if_changed()
    assert ring.trouble is not None
    (tmp_path / "elsewhere").rename(volume)
    assert not ring.reload_if_changed()
    assert ring.trouble is None


def test_a_rotation_strands_no_token_and_a_removal_strands_its_own(folder: Path) -> None:
    old = new_key(folder, now_s=NOW)
    ring = KeyRing.load(folder)
    signer, verifier = Signer(ring), Verifier(ring, ISSUER)
    in_a_pocket, shown_before = signer.sign_queue(CLAIMS), signer.sign_queue(CLAIMS)
    verifier.verify(shown_before, NOW)
    activate(folder, new_key(folder, now_s=NOW).kid, now_s=NOW)
    ring.reload_if_changed()
    fresh = signer.sign_queue(CLAIMS)
    assert fresh.split(".")[0] != in_a_pocket.split(".")[0]
    for token in (in_a_pocket, shown_before, fresh):
        assert verifier.verify(token, NOW) == CLAIMS
    remove(folder, old.kid)
    ring.reload_if_changed()
    for token in (in_a_pocket, shown_before):
        with pytest.raises(TokenRejected) as caught:
            verifier.verify(token, NOW)
        assert caught.value.fault is TokenFault.UNKNOWN_KEY
    assert verifier.verify(fresh, NOW) == CLAIMS
