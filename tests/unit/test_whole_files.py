"""A file is whole in its old state or whole in its new one, and nothing else is left beside it."""

import os
from pathlib import Path

import pytest

from gateway.whole_files import create_whole, replace_whole, usual_mode


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_what_is_replaced_is_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path, umask: int
) -> None:
    path = tmp_path / "record"
    before = os.umask(umask)
    try:
        replace_whole(path, b"one")
        replace_whole(path, b"two")
    finally:
        os.umask(before)
    assert contents(tmp_path) == {"record": b"two"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_secret_has_the_mode_that_any_other_file_gets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_whole(tmp_path / "page", b"one", mode=usual_mode())
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody else's")
    (tmp_path / "record").symlink_to(elsewhere)
    replace_whole(tmp_path / "record", b"ours")
    assert not (tmp_path / "record").is_symlink()
    assert contents(tmp_path) == {"elsewhere": b"somebody else's", "record": b"ours"}


def test_what_is_there_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_whole(path, b"one")
    first = path.stat()
    with pytest.raises(FileExistsError):
        create_whole(path, b"two")
    assert contents(tmp_path) == {"key": b"one"}
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (first.st_ino, 0o600)


def test_what_cannot_be_put_in_place_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    with pytest.raises(OSError, match="record"):
        replace_whole(tmp_path / "record", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
