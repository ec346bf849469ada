"""Holds answers to the OpenAPI document, and remembers which of the documented ones were seen."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator

from tests.support.replies import PROBLEM, Reply

Document: TypeAlias = dict[str, Any]
Answered: TypeAlias = tuple[str, str, int]
"""A path of the document, a method in capitals, and a status."""

_METHODS = ("get", "post", "options")

# Of every answer, and so of none in particular; a proxy in front adds its own `Server` and `Via`.
_OF_HTTP = frozenset(
    {"date", "content-length", "content-type", "connection", "server", "transfer-encoding", "via"}
)


class Contract:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.seen: set[Answered] = set()
        self._paths = [(_pattern(path), path) for path in document["paths"]]

    def documented(self) -> Iterator[Answered]:
        """Name every answer that the document promises."""
        for path, item in self.document["paths"].items():
            for method in _METHODS:
                for status in item.get(method, {}).get("responses", ()):
                    yield path, method.upper(), int(status)

    def check(self, method: str, target: str, reply: Reply) -> None:
        """Refuse an answer of our interface that is not documented, or not as documented."""
        path = self.path_of(target)
        if path is None:
            return
        where = f"{method} {target} {reply.status}"
        operation = self._operation(path, method)
        if operation is None:
            self._check_method_refused(path, method, reply, where)
            return
        self.seen.add((path, "GET" if method == "HEAD" else method, reply.status))
        documented = operation["responses"].get(str(reply.status))
        assert documented is not None, f"{where}: not documented"
        response = self._resolved(documented)
        self._check_headers(response.get("headers", {}), reply, where)
        self._check_body(response.get("content", {}), reply, where, empty=method == "HEAD")

    def check_schema(self, name: str, value: object) -> None:
        """Hold a value to a schema of the document."""
        self._validate({"$ref": f"#/components/schemas/{name}"}, value, name)

    def path_of(self, target: str) -> str | None:
        raw = target.partition("?")[0]
        return next((path for pattern, path in self._paths if pattern.fullmatch(raw)), None)

    def _operation(self, path: str, method: str) -> Document | None:
        item = self.document["paths"][path]
        if item.get("x-any-method"):
            method = "GET"
        operation = item.get("get" if method == "HEAD" else method.lower())
        return None if operation is None else dict(operation)

    def _check_method_refused(self, path: str, method: str, reply: Reply, where: str) -> None:
        """Hold the answer to a method that the document does not name."""
        assert method == "HEAD" or reply.problem == "about:blank", where
        if reply.status in (400, 404):
            return  # The request could not be read at all, or names no event.
        assert reply.status == 405, where
        allowed = {name.strip() for name in (reply.header("allow") or "").split(",")}
        item = self.document["paths"][path]
        named = {method.upper() for method in _METHODS if method in item and method != "options"}
        assert allowed == named | ({"HEAD"} if "GET" in named else set()), where

    def _check_headers(self, documented: Document, reply: Reply, where: str) -> None:
        headers = {name.lower(): self._resolved(value) for name, value in documented.items()}
        present = {name for name, _ in reply.headers}
        required = {name for name, value in headers.items() if value.get("required")}
        assert required <= present, f"{where}: lacks {required - present}"
        unknown = present - headers.keys() - _OF_HTTP
        assert not unknown, f"{where}: undocumented {unknown}"
        for name, value in headers.items():
            for held in reply.all(name):
                instance = int(held) if value["schema"].get("type") == "integer" else held
                self._validate(value["schema"], instance, f"{where}: {name}")

    def _check_body(self, content: Document, reply: Reply, where: str, *, empty: bool) -> None:
        if not content:
            assert reply.body == b"", f"{where}: a body that is not documented"
            return
        kind = (reply.header("content-type") or "").partition(";")[0]
        assert kind in content, f"{where}: {kind} is not documented"
        if empty:
            assert reply.body == b"", where
        elif kind == PROBLEM or kind.endswith("json"):
            self._validate(content[kind]["schema"], reply.json(), where)

    def _validate(self, schema: Document, value: object, where: str) -> None:
        # References count from the document's root.
        whole = {**schema, "components": self.document["components"]}
        errors = [error.message for error in Draft202012Validator(whole).iter_errors(value)]
        assert not errors, f"{where}: {errors} in {value}"

    def _resolved(self, value: Mapping[str, Any]) -> Document:
        while "$ref" in value:
            found: Any = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return dict(value)


def _pattern(path: str) -> re.Pattern[str]:
    """Return what a path template stands for; `{path}` alone spans segments."""
    text = re.escape(path).replace(r"\{path\}", ".*")
    return re.compile(re.sub(r"\\\{[a-z]+\\\}", "[^/]*", text))


CONTRACT = Contract(json.loads((files("gateway.api") / "openapi.json").read_text("utf-8")))
"""What all tests of one run share."""
