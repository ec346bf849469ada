"""The console's page and files: cached as they may be, and nothing in them that a strict policy forbids."""

import gzip
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from starlette.routing import Router
from starlette.testclient import TestClient

from gateway.admin.console import console_routes
from tests.support.colours import contrast

STATIC = files("gateway.admin.console") / "static"
CSS = (STATIC / "console.css").read_text("utf-8")
SCRIPTS = {item.name: item.read_text("utf-8") for item in STATIC.iterdir() if ".js" in item.name}


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Router(list(console_routes())))


@pytest.fixture(scope="module")
def page(client: TestClient) -> str:
    return client.get("/admin/").text


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name: value or "" for name, value in attrs}))

    def values(self, name: str) -> list[str]:
        return [held[name] for _, held in self.seen if name in held]


def test_the_page_is_asked_after_each_time_and_known_by_its_tag(client: TestClient) -> None:
    answer = client.get("/admin/", headers={"accept-encoding": "identity"})
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in answer.headers
    known = {"if-none-match": answer.headers["etag"], "accept-encoding": "identity"}
    assert client.get("/admin/", headers=known).status_code == 304
    assert client.get("/admin/", headers={"if-none-match": '"other"'}).status_code == 200


def test_without_its_slash_it_is_found_all_the_same(client: TestClient) -> None:
    answer = client.get("/admin", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
    assert client.post("/admin/").status_code == 405


def test_compressed_it_is_the_same_page(client: TestClient) -> None:
    with client.stream("GET", "/admin/", headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        body = b"".join(answer.iter_raw())
    plain = client.get("/admin/", headers={"accept-encoding": "identity"})
    assert gzip.decompress(body) == plain.content
    assert answer.headers["etag"] != plain.headers["etag"]


def test_all_that_the_page_names_is_there_and_kept_for_ever(client: TestClient, page: str) -> None:
    tags = _Tags(page)
    named = [path for path in (*tags.values("href"), *tags.values("src")) if path[0] != "#"]
    assert len(named) == len(SCRIPTS) + len(("style", "icon"))
    for path in named:
        assert re.fullmatch(r"console/[a-z]+\.[0-9a-f]{12}\.[a-z]+", path), path
        answer = client.get(f"/admin/{path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (
            200,
            "public, max-age=31536000, immutable",
        )


def test_the_scripts_name_each_other_by_their_hashes(client: TestClient, page: str) -> None:
    held = {
        path: client.get(f"/admin/{path}").text for path in re.findall(r"console/\S+?\.js", page)
    }
    imported = {name for text in held.values() for name in re.findall(r'from "\./(\S+)"', text)}
    assert imported
    assert {f"console/{name}" for name in imported} <= held.keys()


def test_the_policy_lets_nothing_in_and_sends_no_form(client: TestClient) -> None:
    policy = set(client.get("/admin/").headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "require-trusted-types-for 'script'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    }


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(page: str) -> None:
    tags = _Tags(page)
    assert [held for tag, held in tags.seen if tag == "script" and "src" not in held] == []
    assert "<style" not in page
    assert [
        name for _, held in tags.seen for name in held if name == "style" or name[:2] == "on"
    ] == []
    for text in (page, CSS, *SCRIPTS.values()):
        assert set(re.findall(r"https?://[^\"\s]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in CSS
    assert "@import" not in CSS


def test_the_scripts_find_every_element_that_they_ask_for(page: str) -> None:
    ids = set(_Tags(page).values("id"))
    named = re.compile(r'\b(?:byId|input|show|write|list|on)\("([a-z_-]+)"')
    asked = [name for text in SCRIPTS.values() for name in named.findall(text)]
    assert len(set(asked)) > 40
    assert set(asked) <= ids


def test_every_field_has_a_label(page: str) -> None:
    tags = _Tags(page)
    labelled = set(tags.values("for"))
    fields = [held for tag, held in tags.seen if tag in ("input", "textarea")]
    alone = [held["id"] for held in fields if held.get("type") != "checkbox"]
    assert set(alone) <= labelled


def test_no_script_keeps_anything_or_writes_markup() -> None:
    for text in SCRIPTS.values():
        for forbidden in (
            "localStorage",
            "sessionStorage",
            "document.cookie",
            "innerHTML",
            "eval(",
        ):
            assert forbidden not in text


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))


LIGHT = colours(CSS[: CSS.index("@media")])
DARK = colours(CSS[CSS.index("@media (prefers-color-scheme: dark)") :])


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read_and_every_edge_seen(scheme: dict[str, str]) -> None:
    for behind in ("background", "surface"):
        for text in ("text", "muted", "accent", "good", "warn", "bad"):
            assert contrast(scheme[text], scheme[behind]) >= 4.5, (text, behind)
        assert contrast(scheme["border"], scheme[behind]) >= 3
    assert contrast(scheme["text"], scheme["alarm"]) >= 4.5
    assert contrast(scheme["on-accent"], scheme["accent"]) >= 4.5
    assert contrast(scheme["accent"], scheme["track"]) >= 3


@pytest.mark.parametrize(
    "feature",
    ["prefers-color-scheme: dark", "prefers-reduced-motion: reduce", "forced-colors: active"],
)
def test_what_the_operator_prefers_is_heeded(feature: str) -> None:
    assert f"@media ({feature})" in CSS
