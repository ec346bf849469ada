"""Sessions of browsers: their cookie, their end, and what another page cannot make them do."""

import json

import pytest

from tests.support.admin import AdminPort, House, open_house, patiently
from tests.support.replies import Reply

RELEASE = {"by": 1}


def test_a_session_is_a_cookie_that_no_script_and_no_other_site_can_use(port: AdminPort) -> None:
    reply = port.ask("POST", "/session", {"key": port.keys["release"]}, role=None)

    cookie = reply.header("set-cookie") or ""
    name, *attributes = cookie.split("; ")
    assert name.startswith("operator-session=")
    assert set(attributes) == {"Path=/admin", "Max-Age=43200", "HttpOnly", "SameSite=Strict"}
    document = reply.json()
    assert (document["name"], document["role"]) == ("release", "release")
    browser = port.sign_in("release")
    assert browser.ask("GET", "/session").json().keys() == document.keys()


def test_over_tls_the_cookie_is_bound_to_the_host() -> None:
    with open_house(env={"GATEWAY_SERVER__TRUSTED_PROXIES": "127.0.0.1"}) as house:
        reply = house.port.ask(
            "POST",
            "/session",
            {"key": house.port.keys["view"]},
            role=None,
            headers={"x-forwarded-proto": "https"},
        )
    name, *attributes = (reply.header("set-cookie") or "").split("; ")
    assert name.startswith("__Host-operator-session=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= set(attributes)


def test_signing_out_ends_the_session(port: AdminPort) -> None:
    browser, other = port.sign_in(), port.sign_in()
    assert browser.ask("DELETE", "/session").status == 204

    reply = browser.ask("GET", "/session")

    assert (reply.status, reply.problem) == (401, "session-over")
    assert "Max-Age=0" in (reply.header("set-cookie") or "")
    assert other.ask("GET", "/session").status == 200


@pytest.mark.parametrize(
    ("but", "status", "problem"),
    [
        ({"operator-request": None}, 403, "cross-site"),
        ({"operator-request": "0"}, 403, "cross-site"),
        ({"origin": "https://evil.example"}, 403, "cross-site"),
        ({"origin": "null"}, 403, "cross-site"),
        ({"origin": "http://[::1"}, 403, "cross-site"),
        ({"origin": "http://127.0.0.1:1"}, 403, "cross-site"),
        ({"origin": "file://127.0.0.1"}, 403, "cross-site"),
        ({"origin": None, "sec-fetch-site": None}, 403, "cross-site"),
        ({"origin": None, "sec-fetch-site": "none"}, 403, "cross-site"),
        ({"origin": None, "sec-fetch-site": "cross-site"}, 403, "cross-site"),
        ({"sec-fetch-site": "cross-site"}, 403, "cross-site"),
        ({"sec-fetch-site": "same-site"}, 403, "cross-site"),
        ({"content-type": "text/plain"}, 415, "json-only"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "json-only"),
        ({"content-type": "application/jsonp"}, 415, "json-only"),
        ({"content-type": None}, 415, "json-only"),
        ({"cookie": "operator-session=stale"}, 401, "session-over"),
        ({"cookie": "operator-session=a; operator-session=b"}, 401, "session-over"),
        ({"cookie": "other=1"}, 401, "operator-required"),
    ],
)
def test_a_change_that_no_page_of_ours_asked_for_is_refused(
    port: AdminPort, event: str, but: dict[str, str | None], status: int, problem: str
) -> None:
    browser = port.sign_in()

    reply = browser.ask("POST", f"/events/{event}/release", {"by": 1}, but=but)

    assert (reply.status, reply.problem) == (status, problem)
    assert port.ask("GET", f"/events/{event}").json()["served_up_to"] == 0


@pytest.mark.parametrize(
    "but",
    [
        {},
        {"origin": None},
        {"sec-fetch-site": None},
        {"content-type": "application/json; charset=utf-8"},
    ],
)
def test_what_a_page_of_ours_sends_is_enough(
    port: AdminPort, event: str, but: dict[str, str | None]
) -> None:
    reply = port.sign_in().ask("POST", f"/events/{event}/release", RELEASE, but=but)

    assert reply.status == 200, reply


def test_also_a_change_without_a_body_says_that_it_is_json(port: AdminPort, event: str) -> None:
    browser, path = port.sign_in(), f"/events/{event}/sessions/1/end"

    assert browser.ask("POST", path).problem == "no-such-session"
    for kind in (None, "text/plain"):
        assert browser.ask("POST", path, but={"content-type": kind}).problem == "json-only"


def test_each_change_by_session_is_guarded(port: AdminPort) -> None:
    document = port.send("GET", "/admin/openapi.json").json()
    browser = port.sign_in()
    for path, item in document["paths"].items():
        for method in item:
            if method == "get" or path == "/admin/session":
                continue
            place = path.removeprefix("/admin").format(event="nowhere", position=1)
            reply = browser.ask(method.upper(), place, {}, but={"operator-request": None})
            assert (reply.status, reply.problem) == (403, "cross-site"), (method, path)


def test_another_page_can_neither_sign_in_nor_look(port: AdminPort, event: str) -> None:
    body = {"key": port.keys["view"]}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert (
            port.ask("POST", "/session", body, role=None, headers=headers).problem == "cross-site"
        )
        assert port.ask("GET", f"/events/{event}", headers=headers).problem == "cross-site"
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert port.ask("POST", "/session", body, role=None, headers=form).problem == "json-only"


@pytest.mark.parametrize("path", ["/admin/session", "/admin/events", "/admin/openapi.json"])
def test_no_other_origin_is_ever_granted_anything(port: AdminPort, path: str) -> None:
    asked = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "operator-request,content-type",
    }
    for reply in (port.send("OPTIONS", path, headers=asked), port.send("GET", path)):
        assert not [name for name, _ in reply.headers if name.startswith("access-control-")]
    assert port.send("OPTIONS", path, headers=asked).status == 405


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/admin/session", "/admin/events/x", "/admin/no/such/place"]
)
def test_every_answer_is_framed_by_nobody(port: AdminPort, path: str) -> None:
    reply = port.send("GET", path)

    assert "frame-ancestors 'none'" in (reply.header("content-security-policy") or "")
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("x-frame-options") == "DENY"
    assert (reply.header("cache-control") or "").startswith("no-")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example",
     "10.0.0.9", "[::2]"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/admin/events", "/admin/session", "/admin/"])
def test_a_page_whose_name_was_rebound_reads_nothing(port: AdminPort, host: str, path: str) -> None:
    reply = port.ask("GET", path.removeprefix("/admin"), headers={"host": host})

    assert (reply.status, reply.problem) == (421, "wrong-host")
    assert "[admin] hosts" in reply.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:81", "LOCALHOST", "[::1]:9", "127.8.8.8"])
def test_loopback_is_reached_by_all_its_names(port: AdminPort, host: str) -> None:
    assert port.ask("GET", "/events", headers={"host": host}).status == 200


def test_further_names_are_in_the_settings() -> None:
    with open_house(settings='[admin]\nhosts = ["ops.example"]\n') as house:
        assert house.port.ask("GET", "/events", headers={"host": "ops.example:99"}).status == 200
        assert house.port.ask("GET", "/events", headers={"host": "x.example"}).status == 421
        assert house.port.send("GET", "/healthz", headers={"host": "x.example"}).status == 200


def test_a_key_that_is_removed_opens_nothing_any_more(house: House) -> None:
    made = house.operator("operator", "add", "leaver", "--role", "admin", "--json").document
    port = AdminPort(house.port.url, {"admin": made["key"]})
    patiently(lambda: port.ask("GET", "/session").status == 200)
    browser = port.sign_in()
    assert browser.ask("GET", "/session").status == 200

    assert house.operator("operator", "remove", "leaver", "--yes").code == 0

    patiently(lambda: browser.ask("GET", "/session").status == 401)
    assert browser.ask("GET", "/session").problem == "session-over"
    assert is_no_key(port.ask("GET", "/session"))


def is_no_key(reply: Reply) -> bool:
    """Whether a key was not accepted; other tests' wrong keys may have come first."""
    return reply.problem == "key-refused" or (
        reply.problem == "too-many-requests" and "wrong keys" in reply.json()["detail"]
    )


def test_a_key_ends_when_it_was_to_end(house: House) -> None:
    words = ("operator", "add", "brief", "--role", "view", "--expires", "1h", "--json")
    made = house.operator(*words).document
    port = AdminPort(house.port.url, {"admin": made["key"]})
    patiently(lambda: port.ask("GET", "/session").status == 200)
    browser = port.sign_in()
    for asked in (browser.ask("GET", "/session"), port.ask("GET", "/session")):
        assert asked.json()["expires_at"] == made["expires"]

    change(house, "brief", expires="2026-01-01T00:00:00+00:00")

    patiently(lambda: browser.ask("GET", "/session").status == 401)
    assert is_no_key(port.ask("GET", "/session"))
    assert house.operator("operator", "remove", "brief", "--yes").code == 0


def test_another_role_counts_at_once_in_a_running_session(house: House) -> None:
    made = house.operator("operator", "add", "turning", "--role", "view", "--json").document
    port = AdminPort(house.port.url, {"admin": made["key"]})
    patiently(lambda: port.ask("GET", "/session").status == 200)
    browser = port.sign_in()

    change(house, "turning", role="release")

    patiently(lambda: browser.ask("GET", "/session").json()["role"] == "release")
    assert house.operator("operator", "remove", "turning", "--yes").code == 0


def change(house: House, name: str, **fields: str) -> None:
    """Change an operator's entry by hand."""
    file = json.loads(house.file.read_text())
    for entry in file["operators"]:
        if entry["name"] == name:
            entry |= fields
    house.file.write_text(json.dumps(file))
