"""The waiting page and the forms lead nowhere but back to the site, and show nothing as markup."""

import re
from urllib.parse import quote

import pytest

from gateway.ports import StateChange
from tests.support.pages import Page, onward, plain, room
from tests.support.staging import OpenStage, Stage

HOSTILE = (
    "//evil.example",
    "///evil.example",
    "////evil.example/%2e%2e",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/%09/evil.example",
    "/%5cevil.example",
    "/%2f%2fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/./\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://evil.example",
    "HTTPS://evil.example",
    "http://evil.example:80/book",
    "http://{host}.evil.example/",
    "http://{host}@evil.example/",
    "http://evil.example@{host}/",
    "http://{host}:80@evil.example/",
    "http://{host}:@evil.example",
    "http://{host}%2eevil.example/",
    "http://{host}%00.evil.example/",
    "http://{host}\\.evil.example/",
    "http://{host}\\@evil.example/",
    "http://{host}#@evil.example/",
    "http://{host}?@evil.example/",
    "http://{host};.evil.example/",
    "http://x{host}/",
    "http://evil.example#{host}",
    "http://evil.example?{host}",
    "http://evil.example/{host}",
    "http://[::1]/",
    "http://127.0.0.1/",
    "ftp://{host}/",
    "ws://{host}/",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "mailto:x@evil.example",
    "evil.example",
    "@evil.example",
    "?x",
    "#x",
    "/book#@evil.example",
    "/book;//evil.example",
    "/book/../..//evil.example",
    "/book\r\nLocation: https://evil.example",
    "/book\r\nSet-Cookie: x=y",
    "/book\x00",
    "/bo\xf6k",
    "/%ff",
    "/%u002f",
    " /book",
    "/book /x",
    '"><script>alert(1)</script>',
    '/"><script>alert(1)</script>',
    "/'onmouseover='alert(1)",
)


def hostile(stage: Stage) -> list[str]:
    long = "/" + "a" * 3000
    return [text.replace("{host}", stage.host) for text in (*HOSTILE, long)]


def leads_off(target: str, stage: Stage) -> bool:
    """Whether a browser could leave the site, or this page's forms, by an address."""
    return not (
        target == "/"
        or target.startswith(f"/queue/{stage.event}/")
        or re.fullmatch(r"/'onmouseover='alert\(1\)", target)  # A path like any other, if quoted.
    )


def test_it_leads_nowhere_but_back_to_the_site(stage: Stage) -> None:
    waiting, served, admitted = stage.visitor(), stage.visitor(), stage.admitted()
    stranger = stage.visitor()
    served.join()
    stage.release()
    waiting.join()
    wrong = []
    for text in hostile(stage):
        for visitor in (stranger, waiting, served):
            page = Page(plain(visitor, text))
            assert not page.all("script"), text
            wrong += [(text, target) for target in page.targets if leads_off(target, stage)]
        for reply in (plain(admitted, text), onward(admitted, text), onward(stranger, text)):
            assert reply.status == 303
            wrong += [(text, reply.location)] if leads_off(reply.location, stage) else []
        enter = admitted.navigate(f"/queue/{stage.event}/enter?code=x&to={quote(text, safe='')}")
        wrong += [(text, enter.location)] if leads_off(enter.location, stage) else []
    assert wrong == []


@pytest.mark.parametrize("fields", [{}, {"plain": "1"}])
@pytest.mark.parametrize("verb", ["join", "claim", "leave"])
def test_no_form_leads_off_the_site(stage: Stage, verb: str, fields: dict[str, str]) -> None:
    visitor = stage.admitted()
    wrong = []
    for text in hostile(stage):
        reply = visitor.call(verb, {"accept": "text/html"}, return_to=text, **fields)
        assert reply.status == 303
        wrong += [(text, reply.location)] if leads_off(reply.location, stage) else []
        assert set(reply.cookies) <= {f"queue-{stage.event}", f"pass-{stage.event}"}
    assert wrong == []


@pytest.mark.parametrize(
    "target",
    ["/", "/book", "/book/7?seat=1&row=a", "/b%C3%BCcher/", "/a?next=//evil.example", "/~x"],
)
def test_it_leads_back_to_where_the_visitor_was_going(stage: Stage, target: str) -> None:
    visitor = stage.admitted()
    assert onward(visitor, target).location == target
    assert visitor.navigate(plain(visitor, target).location).location == target


def test_a_way_told_twice_is_none(stage: Stage) -> None:
    reply = stage.admitted().navigate(f"/queue/{stage.event}/onward?return_to=/a&return_to=/b")
    assert reply.location == "/"


def test_nothing_that_others_wrote_is_markup(open_stage: OpenStage) -> None:
    stage = open_stage()
    visitor = stage.waiting()
    marked = '</p><script>alert("1")</script><b onclick=x>&amp;'
    stage.change(StateChange.PAUSE, message=marked)
    reply = plain(visitor, '/book?x="><script>alert(1)</script>')
    page = Page(reply)
    assert marked in page.text
    assert not page.all("script")
    assert not page.all("b")
    assert b"<script" not in reply.body


def test_the_page_without_a_script_forbids_scripts_frames_and_keeping(stage: Stage) -> None:
    reply = plain(stage.waiting())
    policy = reply.header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script" not in policy
    assert reply.header("cache-control") == "no-store"
    assert reply.header("content-type") == "text/html; charset=utf-8"


def test_the_shell_says_nothing_of_the_way(stage: Stage) -> None:
    for text in hostile(stage):
        assert room(stage.visitor(), text).body == room(stage.visitor()).body


def test_a_head_of_the_pages_has_no_body(stage: Stage) -> None:
    for page in ("room", "room/plain"):
        reply = stage.waiting().ask("HEAD", f"/queue/{stage.event}/{page}")
        assert (reply.status, reply.body) == (200, b"")


def test_the_page_shows_no_token(stage: Stage) -> None:
    visitor = stage.served()
    for page in (plain(visitor, "/book"), room(visitor, "/book")):
        assert visitor.place.encode() not in page.body
        assert visitor.place[-43:].encode() not in page.body
