"""The waiting page as a browser reads it: the shell, which a script fills in, and the page without one."""

import html
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.replies import Reply
from tests.support.visitors import NAVIGATION, Visitor

FORM = {**NAVIGATION, "content-type": "application/x-www-form-urlencoded"}


class Page(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._form_fields: dict[str, dict[str, str]] = {}
        self._form = ""
        self.feed(reply.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        self.tags.append((tag, held))
        if tag == "form":
            self._form = held["action"]
            self._form_fields[self._form] = {}
        elif tag == "input":
            self._form_fields[self._form][held["name"]] = held["value"]

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def one(self, identity: str) -> tuple[str, dict[str, str]]:
        """Return tag and attributes of the element with an id."""
        (found,) = [element for element in self.tags if element[1].get("id") == identity]
        return found

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    @property
    def forms(self) -> list[str]:
        """Return the calls that the page offers."""
        return [form["action"].partition("?")[0].rpartition("/")[2] for form in self.all("form")]

    @property
    def refresh(self) -> tuple[int, str] | None:
        """Return when the browser goes on by itself, and where to."""
        for meta in self.all("meta"):
            if meta.get("http-equiv") == "refresh":
                after_s, _, target = meta["content"].partition(";url=")
                return int(after_s), target
        return None

    @property
    def links(self) -> dict[str, str]:
        """Return the addresses of the links by the language of those that change it, else by themselves."""
        return {link.get("hreflang", link["href"]): link["href"] for link in self.all("a")}

    @property
    def targets(self) -> set[str]:
        """Return every address that the page leads to."""
        found = {link["href"] for link in self.all("a")}
        found |= {form["action"] for form in self.all("form")}
        found |= {field["value"] for field in self.all("input") if field["name"] == "return_to"}
        return found | ({self.refresh[1]} if self.refresh else set())

    @property
    def files(self) -> list[str]:
        """Return the addresses of all that a browser loads for the page."""
        scripts = [script["src"] for script in self.all("script") if "src" in script]
        return [link["href"] for link in self.all("link")] + scripts

    def fields(self, verb: str) -> tuple[str, dict[str, str]]:
        """Return the action of a form and its hidden fields."""
        ((action, fields),) = [
            (action, fields)
            for action, fields in self._form_fields.items()
            if action.partition("?")[0].endswith(f"/{verb}")
        ]
        return action, fields


def title_of(reply: Reply) -> str:
    found = re.search(r"<title>(.*?)</title>", reply.body.decode())
    assert found is not None
    return html.unescape(found[1])


def texts_of(reply: Reply) -> dict[str, Any]:
    """Return the texts that the shell brings along for its script."""
    found = re.search(
        r'<script type="application/json" id="queue-texts">(.*?)</script>', reply.body.decode()
    )
    assert found is not None
    return dict(json.loads(found[1]))


def room(visitor: Visitor, return_to: str | None = None, **headers: str) -> Reply:
    """Open the waiting page as a browser with a script does."""
    query = "" if return_to is None else f"?return_to={quote(return_to, safe='')}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return visitor.navigate(f"/queue/{visitor.event}/room{query}", named)


def plain(visitor: Visitor, return_to: str | None = None, **query: str) -> Reply:
    """Open the page without a script."""
    fields = ({} if return_to is None else {"return_to": return_to}) | query
    text = f"?{urlencode(fields)}" if fields else ""
    return visitor.navigate(f"/queue/{visitor.event}/room/plain{text}")


def without_script(location: str) -> str:
    """Return where a browser without a script ends up that is sent to the waiting page."""
    return location.replace("/room", "/room/plain", 1)


def onward(visitor: Visitor, return_to: str | None = None) -> Reply:
    query = "" if return_to is None else f"?return_to={quote(return_to, safe='')}"
    return visitor.navigate(f"/queue/{visitor.event}/onward{query}")


def press(
    visitor: Visitor, page: Reply, verb: str, headers: Mapping[str, str] | None = None
) -> Reply:
    """Press the button of one of the page's forms."""
    action, fields = Page(page).fields(verb)
    return visitor.ask("POST", action, {**FORM, **(headers or {})}, urlencode(fields))
