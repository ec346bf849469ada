"""The OpenAPI document is sound, says what the code says, and promises nothing that never comes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from gateway.api.app import AUTH_PATH, HEALTH_PATH, JWKS_PATH, OPENAPI_PATH, READY_PATH
from gateway.domain.admission import STATUS_OF, ProblemType
from gateway.domain.events import EventState
from gateway.edge.forward_auth import Profile
from tests.support.contract import CONTRACT

DOCUMENT = CONTRACT.document
COMPONENTS: dict[str, Any] = DOCUMENT["components"]


# Reserved in the closed list of problem types; nothing in this gateway says them yet.
def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in ("get", "post", "options"):
            if method in item:
                yield f"{method} {path}", item[method]


def test_it_is_an_openapi_document() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_operation_has_a_name_of_its_own_and_says_what_it_is_for() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for where, operation in operations():
        assert operation["summary"], where
        assert "security" in operation, where
        assert set(operation["tags"]) <= tags, where


def test_it_names_every_component_for_use() -> None:
    used = set(re.findall(r'#/components/(\w+/[\w-]+)"', str(DOCUMENT).replace("'", '"')))
    held = {
        f"{kind}/{name}"
        for kind in ("schemas", "responses", "headers", "parameters")
        for name in COMPONENTS[kind]
    }
    assert used == held


def test_the_problem_types_are_the_closed_list() -> None:
    listed = set(COMPONENTS["schemas"]["ProblemType"]["enum"])
    assert listed == {"about:blank", *(problem.value for problem in ProblemType)}


def problem_types(response: dict[str, Any]) -> set[str]:
    content = response.get("content", {}).get("application/problem+json")
    if content is None or "allOf" not in content["schema"]:
        return set()
    narrowed = content["schema"]["allOf"][1]["properties"]["type"]
    return set(narrowed.get("enum", [narrowed.get("const")])) - {"about:blank"}


def test_every_problem_type_comes_with_its_own_status() -> None:
    said: set[str] = set()
    for where, operation in operations():
        for status, response in operation["responses"].items():
            name = response.get("$ref", "").rpartition("/")[2]
            types = problem_types(COMPONENTS["responses"].get(name, response))
            said |= types
            if name == "AuthForbidden":
                continue  # nginx understands no other status.
            for problem in types:
                assert STATUS_OF[ProblemType(problem)] == int(status), (where, problem)
    assert said == {problem.value for problem in ProblemType}


def test_it_knows_every_state_and_every_profile() -> None:
    states = COMPONENTS["schemas"]["State"]["enum"]
    assert states == [state.value for state in EventState]
    (profile,) = [
        parameter["schema"]["enum"]
        for parameter in DOCUMENT["paths"]["/auth"]["get"]["parameters"]
        if parameter["name"] == "profile"
    ]
    assert profile == [member.value for member in Profile]


def test_it_names_every_path_that_is_answered() -> None:
    own = {
        AUTH_PATH,
        HEALTH_PATH,
        JWKS_PATH,
        OPENAPI_PATH,
        READY_PATH,
        f"{AUTH_PATH}/envoy/{{path}}",
    }
    verbs = ("position", "join", "claim", "extend", "refresh", "leave", "events", "ws")
    pages = ("room", "room/plain", "room/{file}", "session.js", "onward", "enter")
    calls = (*verbs, "pointer.jws", *pages)
    queue = {"/queue/{event}", *(f"/queue/{{event}}/{call}" for call in calls)}
    assert set(DOCUMENT["paths"]) == own | queue


def test_every_documented_answer_was_seen(request: pytest.FixtureRequest) -> None:
    """Runs last: what the document promises came back in some test of this folder."""
    folder = request.path.parent
    ran = {item.path for item in request.session.items}
    if not set(folder.glob("test_*.py")) <= ran or request.config.option.keyword:
        pytest.skip("only a run of the whole folder can tell")
    missing = sorted(set(CONTRACT.documented()) - CONTRACT.seen)
    assert not missing, "\n".join(map(str, missing))
