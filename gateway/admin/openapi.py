"""The OpenAPI document of the admin interface, made of its calls and of what their bodies are read as."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from gateway.admin import bodies
from gateway.admin.problems import Problem
from gateway.admin.views import MOST_ENTRIES, SHORT
from gateway.domain.positions import MAX_POSITION
from gateway.operators.keys import Role


class Described(Protocol):
    """A call, as far as the document tells of it."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def role(self) -> Role | None: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What the document says of a call beside its way and its role.

    Attributes:
        name: The `operationId`.
        fields: Members of the answer that are always there.
        body: What its body is read as; None for a call without one.
        query: Names and schemas of its query.
    """

    name: str
    summary: str
    fields: Sequence[str] = ()
    body: Any = None
    status: int = 200
    query: Mapping[str, Any] | None = None


_EVENT: Final = "/admin/events/{event}"
_SESSION: Final = f"{_EVENT}/sessions/{{position}}"
_WHO: Final = ("name", "role", "expires_at")
_STATE: Final = ("event", "state")
_OF_SESSION: Final = ("event", "generation", "position", "session")

SAID: Final[Mapping[str, Said]] = {
    "POST /admin/session": Said(
        "signIn",
        "Show a key once, and get a session as an HttpOnly cookie: for browsers.",
        _WHO,
        bodies.SignIn,
    ),
    "GET /admin/session": Said("whoAmI", "Who asks, and until when.", _WHO),
    "DELETE /admin/session": Said("signOut", "End the session.", status=204),
    "GET /admin/events": Said("listEvents", "All events in short.", ("events",)),
    "POST /admin/events": Said(
        "createEvent",
        "Create an event, as gateway event create.",
        (*_STATE, "policy"),
        bodies.Create,
        status=201,
    ),
    f"GET {_EVENT}": Said(
        "watchEvent",
        "How an event stands, as gateway watch --json; with series=1 also the last ten minutes as "
        "`series`: 40 values each, 15 s apart, the latest last.",
        (*SHORT, "policy", "at", "arrivals_per_min", "let_in_per_min", "gateways"),
        query={"series": {"enum": ["1"]}},
    ),
    f"DELETE {_EVENT}": Said(
        "deleteEvent",
        "Delete an event for good, as gateway event delete; confirm is its name.",
        _STATE,
        bodies.Delete,
    ),
    f"GET {_EVENT}/log": Said(
        "readLog",
        "The operator log, oldest first, as gateway log --json.",
        ("event", "entries", "head", "whole", "faults", "notices"),
        query={"limit": {"type": "integer", "minimum": 1, "maximum": MOST_ENTRIES}},
    ),
    f"GET {_EVENT}/course": Said(
        "readCourse",
        "How the sale went: what gateway report tells and plots; both null before two samples.",
        ("event", "summary", "course"),
    ),
    f"POST {_EVENT}/release": Said(
        "release",
        "Let people in, as gateway release; the same id is carried out once. What is out of the ordinary "
        "is answered with confirmation-required and `would`, and done with confirm: true.",
        ("event", "before", "after", "people", "capped", "repeated", "dry_run", "id", "unusual"),
        bodies.Release,
    ),
    f"POST {_EVENT}/state": Said(
        "changeState",
        "Open, pause, resume, close, bypass, end-bypass, as gateway event does. All but pause and resume "
        "need the role admin; close and bypass need confirm: true.",
        _STATE,
        bodies.State,
    ),
    f"POST {_EVENT}/message": Said(
        "setMessage",
        "What the waiting page says, in any state; an empty text takes it away.",
        (*_STATE, "message"),
        bodies.SetMessage,
    ),
    f"PATCH {_EVENT}/policy": Said(
        "changePolicy",
        "Change rules, named as in an event's file (max_sessions, window, …), beside `reason`; what is not "
        "named stays.",
        ("event", "changes", "policy"),
        bodies.PolicyChange,
    ),
    f"POST {_EVENT}/reset": Said(
        "resetEvent",
        "Begin a new queue, as gateway event reset; confirm is the event's name.",
        (*_STATE, "generation", "previous_generation"),
        bodies.Reset,
    ),
    f"GET {_SESSION}": Said("showSession", "How a visitor's session stands.", _OF_SESSION),
    f"POST {_SESSION}/end": Said(
        "endSession", "End a visitor's session.", _OF_SESSION, bodies.EndSession
    ),
    f"POST {_SESSION}/extend": Said(
        "extendSession",
        "Let a visitor's session run for so long from now.",
        ("event", "generation", "position", "extended", "session_ends_at"),
        bodies.ExtendSession,
    ),
}

_INTRODUCTION: Final = (
    "What operators do at a terminal, over HTTP. Scripts send Authorization: Bearer KEY with each request. "
    "Browsers sign in once; a change with a session needs besides the field Operator-Request: 1, "
    "content-type application/json, and the page's own Origin or Sec-Fetch-Site: same-origin.\n\n"
    "Roles: view, release, admin; each may do what those before it may. Make operators with gateway "
    "operator add.\n\n"
    "Names of fields are those of the commands' --json. Everything that goes wrong is a problem document "
    "(RFC 9457) with a `type` from a closed list, or about:blank where the status says all. HEAD is "
    "answered wherever GET is."
)


def openapi_document(calls: Sequence[Described]) -> bytes:
    """Return the document (OpenAPI 3.1) of the calls."""
    kinds = [said.body for said in SAID.values() if isinstance(said.body, type)]
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Admission gateway: the operators' interface",
            "version": "1",
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The admin port that served this document."}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "operator-session"},
            },
        },
    }
    return json.dumps(document, indent=1).encode()


_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"enum": ["about:blank", *(problem.word for problem in Problem)]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "question": {"type": "string", "description": "What an operator is to be asked."},
        "would": {"type": "object", "description": "What the call would do."},
        "mistakes": {"type": "array", "items": {"type": "string"}},
        "id": {"description": "Ask again with it: what was done is not done twice."},
    },
}

_PARAMETERS: Final[Mapping[str, Any]] = {
    "event": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
    "position": {"type": "integer", "minimum": 1, "maximum": MAX_POSITION},
}


def _operation(call: Described) -> dict[str, Any]:
    said = SAID[f"{call.method} {call.path}"]
    operation: dict[str, Any] = {
        "operationId": said.name,
        "summary": said.summary,
        "security": [] if call.role is None else [{"key": []}, {"session": []}],
        "responses": {str(said.status): _good(said), "default": _BAD},
    }
    if call.role is not None:
        operation["x-role"] = call.role.value
        operation["description"] = f"Needs the role {call.role.value}."
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _PARAMETERS.items()
        if f"{{{name}}}" in call.path
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in (said.query or {}).items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if said.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": _schema(said.body)}}}
    return operation


def _good(said: Said) -> dict[str, Any]:
    if not said.fields:
        return {"description": "Done."}
    schema = {"type": "object", "required": list(said.fields)}
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


_BAD: Final[dict[str, Any]] = {
    "description": "Why not, and what to do.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _schema(body: Any) -> Any:
    if isinstance(body, type):
        return {"$ref": f"#/components/schemas/{body.__name__}"}
    return msgspec.json.schema(body)
