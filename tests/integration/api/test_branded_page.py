"""A gateway with a brand: its folder counts from the settings file, its files come over HTTP."""

import re
from pathlib import Path

import pytest

from tests.support.gateways import Tables
from tests.support.pages import Page, plain, room, title_of
from tests.support.staging import Stage

LOGO = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture(scope="module")
def tables(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder: Path = tmp_path_factory.mktemp("brand")
    (folder / "logo.svg").write_bytes(LOGO)
    (folder / "brand.css").write_text(":root { --queue-accent: #705; }")
    (folder / "base.html").write_text(
        '{% extends "built-in/base.html" %}'
        '{% block header %}<img src="{{ asset("logo.svg") }}" alt="Shop">{% endblock %}'
    )
    (folder / "plain.html").write_text("{% broken %}")
    (folder / "texts").mkdir()
    (folder / "texts" / "en.json").write_text('{"title.waiting": "Nice to see you"}')
    return {**tables, "page": {"brand": str(folder)}}


def test_the_pages_are_the_sites_own(stage: Stage) -> None:
    reply = room(stage.visitor())
    (image,) = Page(reply).all("img")
    assert image["alt"] == "Shop"
    # The plain page's own template is broken; what is left of the brand stands.
    assert title_of(plain(stage.waiting())) == "Nice to see you"


def test_a_site_may_serve_an_image_that_does_nothing_by_itself(stage: Stage) -> None:
    (image,) = Page(room(stage.visitor())).all("img")
    assert re.fullmatch(rf"/queue/{stage.event}/room/logo\.[0-9a-f]{{12}}\.svg", image["src"])
    reply = stage.visitor().get(image["src"])
    assert (reply.status, reply.body) == (200, LOGO)
    assert reply.header("content-type") == "image/svg+xml"
    assert reply.header("content-security-policy") == (
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    )


def test_the_style_is_one_file(stage: Stage) -> None:
    (style,) = [name for name in Page(room(stage.visitor())).files if name.endswith(".css")]
    assert stage.visitor().get(style).body.endswith(b":root { --queue-accent: #705; }")
