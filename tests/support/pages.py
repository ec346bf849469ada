"""The waiting page as a browser reads it."""

import html
import re
from html.parser import HTMLParser
from urllib.parse import quote

from tests.support.replies import Reply
from tests.support.visitors import Visitor


class Page(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(reply.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def forms(self) -> list[str]:
        """Return the calls that the page offers."""
        return [form["action"].rpartition("/")[2] for form in self.all("form")]

    @property
    def refresh(self) -> tuple[int, str] | None:
        """Return when the browser goes on by itself, and where to."""
        for meta in self.all("meta"):
            if meta.get("http-equiv") == "refresh":
                after_s, _, target = meta["content"].partition(";url=")
                return int(after_s), target
        return None

    @property
    def targets(self) -> set[str]:
        """Return every address that the page leads to."""
        found = {link["href"] for link in self.all("a")}
        found |= {form["action"] for form in self.all("form")}
        found |= {field["value"] for field in self.all("input")}
        return found | ({self.refresh[1]} if self.refresh else set())


def title_of(reply: Reply) -> str:
    found = re.search(r"<title>(.*?)</title>", reply.body.decode())
    assert found is not None
    return html.unescape(found[1])


def room(visitor: Visitor, return_to: str | None = None) -> Reply:
    query = "" if return_to is None else f"?return_to={quote(return_to, safe='')}"
    return visitor.navigate(f"/queue/{visitor.event}/room{query}")
