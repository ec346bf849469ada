"""A key ring in a Secret as the kubelet mounts it: read, taken up anew, and never laxer than needed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import KeyRingError
from gateway.tokens.keyfolder import read_folder
from gateway.tokens.keyring import KeyRing, new_key

NOW = 1_790_000_000

FIRST, SECOND = "..2026_11_28_18_00_00.1", "..2026_11_28_19_00_00.2"


class Kubelet:
    """Lays a folder out as the kubelet does; that it is mounted read-only is for the test to say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o1777)

    def show(self, source: Path, version: str, mode: int = 0o440) -> Path:
        """Show the files of `source`, all at once; return the folder that holds them."""
        inner = self.folder / version
        inner.mkdir(mode=0o755)
        for file in source.iterdir():
            shown = inner / file.name
            shown.write_bytes(file.read_bytes())
            shown.chmod(mode)
            if not (self.folder / file.name).is_symlink():
                (self.folder / file.name).symlink_to(f"..data/{file.name}")
        draft = self.folder / "..data_tmp"
        draft.symlink_to(version)
        draft.replace(self.folder / "..data")
        return inner


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that the Secret is made of."""
    folder = tmp_path / "source"
    new_key(folder, now_s=NOW)
    return folder


@pytest.fixture
def kubelet(tmp_path: Path) -> Kubelet:
    return Kubelet(tmp_path / "mounted")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mount of a Secret is read-only; a test's own folder cannot be without root's help."""
    real = os.statvfs

    class ReadOnly:
        def __init__(self, path: Path) -> None:
            self.f_flag = real(path).f_flag | os.ST_RDONLY

    monkeypatch.setattr("gateway.tokens.mounted_folder.os.statvfs", ReadOnly)


@pytest.mark.usefixtures("read_only")
def test_a_mounted_secret_is_the_ring_that_it_was_made_of(source: Path, kubelet: Kubelet) -> None:
    kubelet.show(source, FIRST)
    entries = [stored.entry for stored in read_folder(kubelet.folder)]
    assert entries == [stored.entry for stored in read_folder(source)]
    assert KeyRing.load(kubelet.folder).active_signing_key.kid == entries[0].kid


@pytest.mark.usefixtures("read_only")
def test_a_changed_secret_is_taken_up_whole(source: Path, kubelet: Kubelet) -> None:
    kubelet.show(source, FIRST)
    ring = KeyRing.load(kubelet.folder)
    assert not ring.reload_if_changed()
    spare = new_key(source, now_s=NOW + 1)
    kubelet.show(source, SECOND)
    assert ring.reload_if_changed()
    assert spare.kid in ring.public_keys()
    assert ring.trouble is None


@pytest.mark.usefixtures("read_only")
def test_keys_are_not_changed_in_a_mounted_secret(source: Path, kubelet: Kubelet) -> None:
    kubelet.show(source, FIRST)
    with pytest.raises(KeyRingError, match="is mounted from outside: change the keys in"):
        new_key(kubelet.folder, now_s=NOW)


def test_a_layout_that_can_be_written_is_refused(source: Path, kubelet: Kubelet) -> None:
    kubelet.show(source, FIRST)
    with pytest.raises(KeyRingError, match="mount it with readOnly: true"):
        read_folder(kubelet.folder)


def others_may_read(inner: Path, key: Path) -> None:
    key.chmod(0o444)


def group_may_write(inner: Path, key: Path) -> None:
    key.chmod(0o460)


def another_owner(inner: Path, key: Path) -> None:
    os.chown(key, 4711, -1)


def a_group_that_is_not_ours(inner: Path, key: Path) -> None:
    os.chown(key, -1, 4711)


def a_link_in_place_of_a_key(inner: Path, key: Path) -> None:
    outside = inner.parent.parent / key.name
    key.rename(outside)
    key.symlink_to(outside)


def data_leads_elsewhere(inner: Path, key: Path) -> None:
    link = inner.parent / "..data"
    link.unlink()
    link.symlink_to(inner.parent.parent / "source")


def data_leads_up(inner: Path, key: Path) -> None:
    link = inner.parent / "..data"
    link.unlink()
    link.symlink_to("..")


def data_leads_to_another_link(inner: Path, key: Path) -> None:
    inner.rename(inner.parent.parent / "moved")
    inner.symlink_to(inner.parent.parent / "moved")


def anyone_may_write_where_the_files_are(inner: Path, key: Path) -> None:
    inner.chmod(0o777)


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")

DAMAGES = [
    (others_may_read, "give the Secret defaultMode 0400 and the pod an fsGroup"),
    (group_may_write, "give the Secret defaultMode 0400 and the pod an fsGroup"),
    pytest.param(another_owner, "others than its owner may use it", marks=NEEDS_ROOT),
    pytest.param(a_group_that_is_not_ours, "others than its owner may use it", marks=NEEDS_ROOT),
    (a_link_in_place_of_a_key, "is a symbolic link: put the file itself here"),
    (data_leads_elsewhere, "leads out of the folder"),
    (data_leads_up, "leads out of the folder"),
    (data_leads_to_another_link, "is not a folder"),
    (anyone_may_write_where_the_files_are, "chmod o-w"),
]


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize(("damage", "complaint"), DAMAGES)
def test_a_mounted_secret_that_is_not_as_it_must_be_is_refused(
    source: Path, kubelet: Kubelet, damage: Callable[[Path, Path], None], complaint: str
) -> None:
    inner = kubelet.show(source, FIRST)
    (key,) = inner.glob("*.pem")
    damage(inner, key)
    with pytest.raises(KeyRingError, match=complaint):
        read_folder(kubelet.folder)


def test_a_group_may_not_read_a_folder_that_is_only_read_only(
    source: Path, read_only: None
) -> None:
    """Without the kubelet's layout the old rule stands."""
    (key,) = source.glob("*.pem")
    key.chmod(0o440)
    with pytest.raises(KeyRingError, match="chmod 600"):
        read_folder(source)
