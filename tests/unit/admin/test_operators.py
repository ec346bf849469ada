"""The file of the operators, keys and roles."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, OperatorFileError
from gateway.operators.file import MOST_OPERATORS, OperatorFile, add, read_operators, remove
from gateway.operators.keys import KEY_PREFIX, Operator, Role, digest_of, find, new_key

NOW_S = 1_800_000_000


def test_a_role_covers_itself_and_those_before_it() -> None:
    covered = {(a, b) for a in Role for b in Role if a.covers(b)}
    assert covered == {
        (Role.VIEW, Role.VIEW),
        (Role.RELEASE, Role.VIEW),
        (Role.RELEASE, Role.RELEASE),
        (Role.ADMIN, Role.VIEW),
        (Role.ADMIN, Role.RELEASE),
        (Role.ADMIN, Role.ADMIN),
    }


def test_a_key_is_found_by_its_hash_and_by_nothing_near_it() -> None:
    keys = [new_key() for _ in range(3)]
    operators = [Operator(f"o{n}", Role.VIEW, digest_of(key), NOW_S) for n, key in enumerate(keys)]
    for number, key in enumerate(keys):
        found = find(operators, key)
        assert found is not None
        assert found.name == f"o{number}"
        for near in (key[:-1], key + "0", key.upper(), " " + key, key + "\n", digest_of(key), ""):
            assert find(operators, near) is None


@pytest.mark.parametrize(
    "weak", ["", "admin", KEY_PREFIX, KEY_PREFIX + "0" * 63, "Gwop_" + "0" * 64]
)
def test_a_weak_key_that_somebody_wrote_into_the_file_is_none(weak: str) -> None:
    assert find([Operator("x", Role.ADMIN, digest_of(weak), NOW_S)], weak) is None


def test_an_operator_is_kept_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "operators.json"
    made, key = add(file, "anna", Role.ADMIN, now_s=NOW_S + 0.9, expires_at=NOW_S + 60)

    assert read_operators(file) == (made,)
    assert made == Operator("anna", Role.ADMIN, digest_of(key), NOW_S, NOW_S + 60)
    assert not made.is_expired(NOW_S + 59.9)
    assert made.is_expired(NOW_S + 60)
    assert [path.name for path in tmp_path.iterdir() if "lock" not in path.name] == [file.name]


def test_a_name_is_given_once_unless_its_key_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "operators.json"
    _, first = add(file, "anna", Role.VIEW, now_s=NOW_S)
    with pytest.raises(Conflict, match="gateway operator remove anna"):
        add(file, "anna", Role.ADMIN, now_s=NOW_S)
    made, second = add(file, "anna", Role.ADMIN, now_s=NOW_S, replace=True)

    assert find(read_operators(file), first) is None
    assert find(read_operators(file), second) == made


def test_writers_at_once_lose_nobody(tmp_path: Path) -> None:
    file = tmp_path / "operators.json"
    threads = [
        threading.Thread(target=add, args=(file, f"o{n}", Role.VIEW), kwargs={"now_s": NOW_S})
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {operator.name for operator in read_operators(file)} == {f"o{n}" for n in range(12)}


def entry(**other: Any) -> dict[str, Any]:
    good = {
        "name": "anna",
        "role": "view",
        "sha256": "a" * 64,
        "created": "2026-01-01T00:00:00+00:00",
        "expires": None,
    }
    return {**good, **other}


@pytest.mark.parametrize(
    "document",
    [
        {"operators": [entry(role="root")]},
        {"operators": [entry(sha256="A" * 64)]},
        {"operators": [entry(sha256="a" * 63)]},
        {"operators": [entry(sha256="a" * 64 + "\n")]},
        {"operators": [entry(name="")]},
        {"operators": [entry(name="a\nb")]},
        {"operators": [entry(created="now")]},
        {"operators": [entry(created="2026-01-01T00:00:00")]},
        {"operators": [entry(expires=5)]},
        {"operators": [entry(more=1)]},
        {"operators": [entry(), entry(sha256="b" * 64)]},
        {"operators": [entry(), entry(name="bea")]},
        {"operators": [entry(name=f"o{n}", sha256=f"{n:064x}") for n in range(MOST_OPERATORS + 1)]},
        {"operators": None},
        [],
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_refused_whole(tmp_path: Path, document: Any) -> None:
    file = tmp_path / "operators.json"
    file.write_text(json.dumps(document))
    file.chmod(0o600)
    with pytest.raises(OperatorFileError, match=r"operators\.json"):
        read_operators(file)


def test_the_last_good_state_stays_in_force(tmp_path: Path) -> None:
    path = tmp_path / "operators.json"
    file = OperatorFile(path)
    assert list(file.operators) == []

    made, _ = add(path, "anna", Role.VIEW, now_s=NOW_S)
    assert file.reload_if_changed()
    assert not file.reload_if_changed()
    good = path.read_bytes()
    path.write_bytes(good[:-9])
    assert not file.reload_if_changed()
    assert file.trouble is not None
    assert list(file.operators) == [made]
    path.write_bytes(good)
    file.reload_if_changed()
    assert list(file.operators) == [made]
    assert not file.trouble

    remove(path, "anna")
    assert file.reload_if_changed()
    assert list(file.operators) == []


def test_a_file_that_is_taken_away_takes_all_operators_away(tmp_path: Path) -> None:
    path = tmp_path / "operators.json"
    add(path, "anna", Role.VIEW, now_s=NOW_S)
    file = OperatorFile(path)
    path.unlink()

    assert file.reload_if_changed()
    assert list(file.operators) == []


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "operators.json"
    add(path, "anna", Role.VIEW, now_s=NOW_S)
    path.chmod(mode)
    with pytest.raises(OperatorFileError, match="chmod 600"):
        read_operators(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorFileError, match="cannot be written"):
        add(tmp_path / "file" / "operators.json", "anna", Role.VIEW, now_s=NOW_S)
