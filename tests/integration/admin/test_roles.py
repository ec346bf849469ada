"""Who may do what: each call, for each role and for nobody."""

import pytest

from gateway.admin.openapi import SAID
from gateway.operators.keys import Role
from tests.support.admin import AdminPort, House, open_house, patiently

# Written down once more: a role that the table of calls gives away by mistake must not pass.
LEAST = {
    "GET /admin/session": Role.VIEW,
    "DELETE /admin/session": Role.VIEW,
    "GET /admin/events": Role.VIEW,
    "POST /admin/events": Role.ADMIN,
    "GET /admin/events/{event}": Role.VIEW,
    "DELETE /admin/events/{event}": Role.ADMIN,
    "GET /admin/events/{event}/log": Role.VIEW,
    "GET /admin/events/{event}/course": Role.VIEW,
    "POST /admin/events/{event}/release": Role.RELEASE,
    "POST /admin/events/{event}/state": Role.RELEASE,
    "POST /admin/events/{event}/message": Role.RELEASE,
    "PATCH /admin/events/{event}/policy": Role.ADMIN,
    "POST /admin/events/{event}/reset": Role.ADMIN,
    "GET /admin/events/{event}/sessions/{position}": Role.VIEW,
    "POST /admin/events/{event}/sessions/{position}/end": Role.RELEASE,
    "POST /admin/events/{event}/sessions/{position}/extend": Role.RELEASE,
}
CHANGES = {
    "pause": Role.RELEASE,
    "resume": Role.RELEASE,
    "open": Role.ADMIN,
    "close": Role.ADMIN,
    "bypass": Role.ADMIN,
    "end-bypass": Role.ADMIN,
}


def test_every_call_is_in_the_table() -> None:
    assert {*LEAST, "POST /admin/session"} == SAID.keys()


@pytest.mark.parametrize("call", LEAST)
@pytest.mark.parametrize("role", [None, *Role])
def test_a_call_is_for_its_role_and_those_above(
    port: AdminPort, call: str, role: Role | None
) -> None:
    method, _, path = call.partition(" ")
    # No event of that name: who may ask is told so, or what the body lacks.
    path = path.removeprefix("/admin").format(event="nowhere", position=1)
    body: dict[str, str] | None = None if method == "GET" else {}

    reply = port.ask(method, path, body, role=role)

    if role is None:
        assert (reply.status, reply.problem) == (401, "operator-required")
    elif role.covers(LEAST[call]):
        assert reply.status not in (401, 403), reply
        assert reply.status < 500, reply
    else:
        assert (reply.status, reply.problem) == (403, "role-required")
        assert LEAST[call].value in reply.json()["detail"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", list(Role))
def test_a_change_of_state_is_for_its_role_and_those_above(
    port: AdminPort, change: str, role: Role
) -> None:
    body = {"change": change} | ({"for": "1m"} if change == "bypass" else {})

    reply = port.ask("POST", "/events/nowhere/state", body, role=role)

    assert reply.problem == ("no-such-event" if role.covers(CHANGES[change]) else "role-required")


@pytest.mark.parametrize("role", list(Role))
def test_a_session_has_the_role_of_its_key(port: AdminPort, event: str, role: Role) -> None:
    reply = port.sign_in(role).ask("POST", f"/events/{event}/release", {"by": 1})

    assert reply.status == (200 if role.covers(Role.RELEASE) else 403)


def test_without_an_operator_it_says_which_command_to_type() -> None:
    with open_house(roles=False) as house:
        for headers in ({}, {"authorization": "Bearer gwop_" + "0" * 64}):
            reply = house.port.ask("GET", "/events", role=None, headers=headers)
            assert reply.status == 401
            assert "gateway operator add" in reply.json()["detail"]
        made = house.operator("operator", "add", "anna", "--role", "view", "--json")
        assert_let_in(house, made.document["key"])


def assert_let_in(house: House, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    patiently(
        lambda: house.port.ask("GET", "/events", role=None, headers=headers).status == 200, 10
    )
