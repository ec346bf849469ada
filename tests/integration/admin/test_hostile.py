"""What strangers try: guessing keys, flooding, bodies without end, documents of any kind."""

import json
import socket
from pathlib import Path

import pytest

from tests.support.admin import AdminPort, House, open_house, patiently

WRONG = "gwop_" + "0" * 64


def wrong(port: AdminPort, key: str = WRONG) -> tuple[int, str | None]:
    reply = port.ask("GET", "/events", role=None, headers={"authorization": f"Bearer {key}"})
    return reply.status, reply.header("retry-after")


def test_who_guesses_keys_is_slowed_down_and_nobody_is_locked_out() -> None:
    with open_house() as house:
        port = house.port
        port.is_patient = False
        statuses = [wrong(port)[0] for _ in range(12)]
        assert statuses[:10] == [401] * 10
        assert statuses[-1] == 429
        status, retry_after = wrong(port)
        assert status == 429
        assert int(retry_after or 0) >= 1
        signed_in = port.ask("POST", "/session", {"key": WRONG}, role=None)
        assert (signed_in.status, signed_in.problem) == (429, "too-many-requests")
        # The same address, and a genuine key: nobody can keep the operators out.
        assert port.ask("GET", "/events").status == 200
        assert port.sign_in().ask("GET", "/session").status == 200


def test_one_operator_cannot_take_all_the_time() -> None:
    with open_house() as house:
        house.port.is_patient = False
        replies = (house.port.ask("GET", "/session", role="view") for _ in range(4000))
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.problem == "too-many-requests"
        assert refused.header("retry-after")
        assert house.port.ask("GET", "/session", role="admin").status == 200


@pytest.mark.parametrize(
    "shown",
    ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", f"Bearer {WRONG[:-1]}", f"bearer\t{WRONG}",
     f"Bearer {WRONG} {WRONG}", "Bearer \xff", "Bearer " + "a" * 9000],
)  # fmt: skip
def test_what_is_no_key_opens_nothing(port: AdminPort, shown: str) -> None:
    reply = port.ask("GET", "/events", role=None, headers={"authorization": shown})

    assert reply.status in (401, 429)
    assert (reply.header("www-authenticate") == "Bearer") == (reply.status == 401)


def test_a_bad_key_is_not_made_good_by_a_session(port: AdminPort) -> None:
    reply = port.sign_in().ask("GET", "/events", but={"authorization": f"Bearer {WRONG}"})

    assert reply.status in (401, 429)


def test_a_damaged_file_changes_nothing_and_is_told_of() -> None:
    with open_house() as house:
        good = house.file.read_text()
        house.file.write_text(good[: len(good) // 2])
        patiently(lambda: troubles(house))
        assert house.port.ask("GET", "/events").status == 200
        assert wrong(house.port)[0] == 401
        # Whoever can write the file can make themselves an operator.
        house.file.write_text(json.dumps({"operators": []}))
        house.file.chmod(0o666)
        patiently(lambda: any("chmod 600" in trouble for trouble in troubles(house)))
        assert house.port.ask("GET", "/events").status == 200
        house.file.chmod(0o600)
        patiently(lambda: house.port.ask("GET", "/events").status == 401)


def troubles(house: House) -> list[str]:
    return [line["trouble"] for line in house.log_lines() if "trouble" in line]


def test_with_a_damaged_file_it_starts_all_the_same_and_lets_nobody_in() -> None:
    with open_house(roles=False) as house:
        house.file.write_text("{")
        house.file.chmod(0o600)
        patiently(lambda: troubles(house))
        reply = house.port.ask("GET", "/events", role=None)
        assert reply.status == 401
        assert "cannot be read" in reply.json()["detail"]
        assert house.port.send("GET", "/healthz").status == 200


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_body_without_end_is_cut_off(port: AdminPort, signed_in: bool) -> None:
    path = "/admin/events/x/release" if signed_in else "/admin/session"
    fields = {"authorization": f"Bearer {port.keys['admin']}"} if signed_in else {}
    fields["content-type"] = "application/json"

    reply = port.send("POST", path, b'{"key": "' + b"a" * 40_000 + b'"}', fields)

    assert (reply.status, reply.problem) == (413, "too-large")
    assert reply.header("connection") == "close"


def test_a_body_that_never_comes_is_not_waited_for() -> None:
    with (
        open_house(settings="[server]\nreceive_timeout_s = 1.0\n") as house,
        socket.create_connection((house.port.host, house.port.port)) as connection,
    ):
        connection.settimeout(20)
        connection.sendall(
            b"POST /admin/session HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        assert b" 408 " in answer.partition(b"\r\n")[0] or answer == b""


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"by"', b'{"by": 1, "by2": 1}', b'{"by": "1"}', b'{"by": true}',
     b'{"by": 1.5}', b'{"by": -1}', b'{"by": 0}', b'{"by": 9007199254740992}', b'{"by": NaN}',
     b'{"by": 1e400}', b'{"by": 1, "to": 2}', b'{"by": 1, "id": ""}', b'{"by": 1, "dry_run": 1}',
     b'{"by": 1, "reason": "' + b"x" * 201 + b'"}', b"[" * 9000, b"\xff\xfe", b'{"by": "\xff"}',
     b'{"to": null}', b'{"by": {"$gt": 0}}', b'{"by":1}garbage'],
)  # fmt: skip
def test_what_is_no_release_changes_nothing_and_says_what_would_be(
    port: AdminPort, event: str, body: bytes
) -> None:
    fields = {
        "authorization": f"Bearer {port.keys['admin']}",
        "content-type": "application/json",
    }
    reply = port.send("POST", f"/admin/events/{event}/release", body, fields)

    assert (reply.status, reply.problem) == (400, "bad-input")
    assert reply.json()["detail"].endswith(".")
    assert port.ask("GET", f"/events/{event}").json()["served_up_to"] == 0


@pytest.mark.parametrize(
    "path",
    ["/events/UPPER", "/events/..", "/events/%2e%2e", "/events/a%2fb", "/events/a b".replace(" ", "%20"),
     "/events/" + "a" * 64, "/events/x/sessions/0", "/events/x/sessions/-1", "/events/x/sessions/1e3",
     "/events/x/sessions/99999999999999999", "/events/x/sessions/%D9%A1", "/events/", "//events"],
)  # fmt: skip
def test_a_path_that_names_nothing_is_not_found(port: AdminPort, path: str) -> None:
    assert port.ask("GET", path).status == 404


def test_a_field_that_came_twice_is_refused(port: AdminPort) -> None:
    with socket.create_connection((port.host, port.port)) as connection:
        connection.settimeout(20)
        key = port.keys["admin"].encode()
        connection.sendall(
            b"GET /admin/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"authorization: Bearer " + key + b"\r\nauthorization: Bearer x\r\n\r\n"
        )
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_neither_keys_nor_sessions_get_into_the_log_or_the_file(house: House) -> None:
    port = house.port
    browser = port.sign_in()
    browser.ask("POST", "/events/nowhere/release", {"by": 1})
    port.ask("POST", "/session", {"key": WRONG}, role=None)
    port.ask("GET", "/events", role=None, headers={"host": "evil.example"})
    port.ask("POST", "/events/nowhere/state", {"change": "open"}, role="view")
    log = (house.folder / "errors.log").read_text()
    for secret in (*port.keys.values(), WRONG, browser.cookie.partition("=")[2]):
        assert secret not in log
        assert not any(secret in text for text in contents(house.folder))
    lines = [line for line in house.log_lines() if line["logger"] == "gateway.admin.interface"]
    problems = {line.get("problem") for line in lines}
    assert {"no-such-event", "wrong-host", "role-required"} <= problems


def contents(folder: Path) -> list[str]:
    return [
        path.read_text("latin-1")
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size
    ]
