"""GET /queue/{event}/room: one document for everyone who reads a language, and the files that it loads."""

import gzip
import hashlib
import re

import pytest

from gateway.page.languages import TAGS
from gateway.page.rendering import SCRIPT_IDS
from gateway.ports import StateChange
from tests.support.pages import Page, plain, room, texts_of
from tests.support.replies import Reply
from tests.support.staging import Stage
from tests.support.visitors import Visitor

# What the page may weigh, with everything that it loads, and in how many requests.
MOST_BYTES = 40 * 1024
MOST_REQUESTS = 4


def test_it_is_the_same_for_everyone(stage: Stage) -> None:
    visitors = [stage.visitor(), stage.waiting(), stage.served(), stage.admitted()]
    replies = [room(visitor, "/book") for visitor in visitors] + [room(visitors[0])]
    assert {reply.body for reply in replies} == {replies[0].body}
    assert all(reply.status == 200 and reply.cookies == {} for reply in replies)
    assert b"/book" not in replies[0].body


def test_it_is_the_same_in_every_state(stage: Stage) -> None:
    bodies = {room(stage.visitor()).body}
    for change in (StateChange.PAUSE, StateChange.RESUME, StateChange.BYPASS):
        stage.change(change)
        bodies.add(room(stage.visitor()).body)
    stage.lose()
    bodies.add(room(stage.visitor()).body)
    assert len(bodies) == 1


def test_a_cache_may_keep_it_for_each_language(stage: Stage) -> None:
    reply = room(stage.visitor())
    assert reply.header("cache-control") == "public, max-age=60"
    assert reply.header("vary") == "Accept-Language, Accept-Encoding"


def test_who_has_it_is_sent_no_bytes(stage: Stage) -> None:
    visitor = stage.visitor()
    for coding in ("identity", "gzip"):
        first = room(visitor, accept_encoding=coding)
        known = first.header("etag") or ""
        again = room(visitor, accept_encoding=coding, if_none_match=f'W/{known}, "x"')
        assert (again.status, again.body, again.header("etag")) == (304, b"", known)
        assert room(visitor, accept_encoding=coding, if_none_match='"x"').status == 200
    other = room(visitor, accept_encoding="gzip", if_none_match=room(visitor).header("etag") or "")
    assert other.status == 200


def test_compressed_it_is_the_same_page(stage: Stage) -> None:
    visitor = stage.visitor()
    packed = room(visitor, accept_encoding="br;q=1, gzip;q=0.8")
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == room(visitor, accept_encoding="gzip;q=0").body


@pytest.mark.parametrize(
    ("accepted", "asked", "spoken"),
    [
        ("", "", "en"),
        ("tlh, x", "", "en"),
        ("de", "", "de"),
        ("de-AT", "", "de"),
        ("pt-BR;q=0.3, ja;q=0.9", "", "ja"),
        ("fr;q=0, *", "", "en"),
        ("es;q=0.5, ar;q=0.5", "", "es"),
        ("de", "ar", "ar"),
        ("de", "tlh", "de"),
    ],
)
def test_the_language_is_the_visitors(stage: Stage, accepted: str, asked: str, spoken: str) -> None:
    reply = stage.visitor().navigate(
        f"/queue/{stage.event}/room?lang={asked}", {"accept-language": accepted}
    )
    root = Page(reply).all("html")[0]
    assert (root["lang"], reply.header("content-language")) == (spoken, spoken)
    assert root["dir"] == ("rtl" if spoken == "ar" else "ltr")


@pytest.mark.parametrize("tag", TAGS)
def test_it_brings_along_what_the_script_says_and_where_it_writes(stage: Stage, tag: str) -> None:
    reply = stage.visitor().navigate(f"/queue/{stage.event}/room?lang={tag}")
    page = Page(reply)
    assert set(page.ids) >= SCRIPT_IDS
    assert len(page.ids) == len(set(page.ids))
    assert texts_of(reply).keys() == texts_of(room(stage.visitor())).keys()
    (body,) = page.all("body")
    assert body["data-base"] == f"/queue/{stage.event}/"
    assert page.all("html")[0]["data-event"] == stage.event


def test_the_structure_is_one_that_a_screen_reader_can_follow(stage: Stage) -> None:
    for reply in (room(stage.visitor()), plain(stage.waiting())):
        page = Page(reply)
        assert len(page.all("h1")) == len(page.all("main")) == 1
        named = {nav.get("aria-label") for nav in page.all("nav")}
        assert named == {"Language"}
        (present,) = [link for link in page.all("a") if link.get("aria-current")]
        assert present["lang"] == "en"
        assert all("title" not in attributes for _, attributes in page.tags)
    shell = Page(room(stage.visitor()))
    assert shell.one("live")[1]["aria-live"] == "polite"
    for element in ("progress", "leave-dialog", "cookies"):
        label = shell.one(element)[1]["aria-labelledby"]
        assert label in shell.ids
    assert all(button["type"] == "button" for button in shell.all("button"))


def test_the_policy_allows_what_the_page_needs_and_no_more(stage: Stage) -> None:
    reply = room(stage.visitor())
    assert reply.header("content-security-policy") == (
        "default-src 'none'; script-src 'self'; connect-src 'self'; media-src 'self'; style-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert reply.header("referrer-policy") == "same-origin"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("cross-origin-opener-policy") == "same-origin"
    assert "script" not in (plain(stage.waiting()).header("content-security-policy") or "")


def test_nothing_on_the_pages_needs_more_than_the_policy_allows(stage: Stage) -> None:
    for reply in (room(stage.visitor()), plain(stage.waiting())):
        for tag, attributes in Page(reply).tags:
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            assert tag != "style"
            assert tag != "script" or "src" in attributes or attributes["type"].endswith("json")


def test_no_text_can_end_the_block_of_texts(stage: Stage) -> None:
    body = room(stage.visitor()).body.decode()
    block = body.partition('id="queue-texts">')[2].partition("</script>")[0]
    assert "<" not in block


@pytest.mark.parametrize("tag", TAGS)
def test_the_page_and_all_that_it_loads_is_small(stage: Stage, tag: str) -> None:
    visitor = stage.visitor()
    shell = visitor.navigate(f"/queue/{stage.event}/room?lang={tag}", {"accept-encoding": "gzip"})
    loaded = [
        visitor.get(address, {"accept-encoding": "gzip"}) for address in Page(room(visitor)).files
    ]
    assert all(reply.header("content-encoding") == "gzip" for reply in (shell, *loaded))
    assert 1 + len(loaded) <= MOST_REQUESTS
    assert len(shell.body) + sum(len(reply.body) for reply in loaded) <= MOST_BYTES


def files_of(visitor: Visitor) -> dict[str, Reply]:
    return {address: visitor.get(address) for address in Page(room(visitor)).files}


def test_what_it_loads_may_be_kept_for_ever(stage: Stage) -> None:
    files = files_of(stage.visitor())
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    assert {address.rpartition(".")[2] for address in files} == kinds.keys()
    for address, reply in files.items():
        name = re.fullmatch(
            rf"/queue/{stage.event}/room/[a-z]+\.([0-9a-f]{{12}})\.(css|js)", address
        )
        assert name is not None, address
        assert name[1] == hashlib.sha256(reply.body).hexdigest()[:12]
        assert reply.header("content-type") == kinds[name[2]]
        assert reply.header("cache-control") == "public, max-age=31536000, immutable"
        assert reply.header("x-content-type-options") == "nosniff"
        assert reply.header("vary") == "Accept-Encoding"


def test_modules_import_each_other_by_their_hashed_names(stage: Stage) -> None:
    files = files_of(stage.visitor())
    known = {address.rpartition("/")[2] for address in files}
    imported = {
        name
        for address, reply in files.items()
        if address.endswith(".js")
        for name in re.findall(rb"""from\s*["']\./([^"']+)["']""", reply.body)
    }
    assert imported
    assert {name.decode() for name in imported} <= known


@pytest.mark.parametrize(
    "name", ["room.css", "room.000000000000.css", "..%2froom.css", "plain/", "brand.css", ""]
)
def test_no_other_file_is_there(stage: Stage, name: str) -> None:
    assert stage.visitor().get(f"/queue/{stage.event}/room/{name}").status == 404


def test_a_host_that_is_none_is_told_so(stage: Stage) -> None:
    (address, *_) = files_of(stage.visitor())
    nobody = Visitor(stage.gateway.port, "sale..example", event=stage.event)
    assert nobody.get(address).verdict == (400, "about:blank")
