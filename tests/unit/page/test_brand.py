"""A site's own look: what is good is used, what is not is left out and told, before a visitor comes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.page.brand import LARGEST_FILE, Brand, read_brand
from gateway.page.languages import load_languages
from gateway.page.pages import read_look
from gateway.page.plain_values import sample_values
from gateway.page.rendering import Renderer
from gateway.page.statics import built_in, scripts, static_file

Write = Callable[[str, str | bytes], None]

# The smallest SVG there is.
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, content: str | bytes) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return put


class Shown:
    """The two pages of a site, and what was said about its folder."""

    def __init__(self, brand: Brand, lang: str = "en") -> None:
        languages = load_languages(brand.texts)
        style = static_file("room.css", built_in("room.css") + brand.style)
        renderer = Renderer(brand, languages, style, scripts())
        self.troubles = [*brand.troubles, *renderer.try_brand(sample_values)]
        language = languages.choose(lang, "")
        self.room = renderer.room(language, "sale", "/queue/sale/", [])
        values = next(iter(sample_values(language)))
        self.plain = renderer.plain(language, "sale", "/queue/sale/", [], values)


OURS = Shown(Brand())


def test_without_a_folder_the_pages_are_ours() -> None:
    assert read_brand(None) == Brand()
    assert OURS.troubles == []


def test_an_empty_folder_changes_nothing(tmp_path: Path) -> None:
    shown = Shown(read_brand(tmp_path))
    assert (shown.room, shown.plain, shown.troubles) == (OURS.room, OURS.plain, [])


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    shown = Shown(read_brand(tmp_path / "brand"))
    assert shown.room == OURS.room
    (trouble,) = shown.troubles
    assert "there is no such folder" in trouble


def test_one_frame_brands_both_pages(tmp_path: Path, write: Write) -> None:
    write("logo.svg", LOGO)
    write(
        "base.html",
        '{% extends "built-in/base.html" %}'
        '{% block header %}<img src="{{ asset("logo.svg") }}" alt="Shop">{% endblock %}',
    )
    shown = Shown(read_brand(tmp_path))
    assert shown.troubles == []
    for page in (shown.room, shown.plain):
        assert re.search(r'<img src="/queue/sale/room/logo\.[0-9a-f]{12}\.svg" alt="Shop">', page)
    assert shown.room.count("</h1>") == 1


@pytest.mark.parametrize("block", ["title", "head", "header", "main", "footer"])
def test_every_block_of_the_frame_can_be_filled(tmp_path: Path, write: Write, block: str) -> None:
    for page in ("room", "plain"):
        write(
            f"{page}.html",
            f'{{% extends "built-in/{page}.html" %}}'
            f"{{% block {block} %}}{{{{ super() }}}}Hello{{% endblock %}}",
        )
    shown = Shown(read_brand(tmp_path))
    assert shown.troubles == []
    assert shown.room.count("Hello") == shown.plain.count("Hello") == 1


@pytest.mark.parametrize("block", ["before", "after"])
def test_something_can_be_put_before_and_after_the_queue(
    tmp_path: Path, write: Write, block: str
) -> None:
    write(
        "room.html",
        f'{{% extends "built-in/room.html" %}}{{% block {block} %}}Hello{{% endblock %}}',
    )
    shown = Shown(read_brand(tmp_path))
    assert (shown.room.count("Hello"), shown.plain) == (1, OURS.plain)


def test_parts_of_templates_can_be_included(tmp_path: Path, write: Write) -> None:
    write("imprint.html", "<p>Shop Ltd</p>")
    write(
        "base.html",
        '{% extends "built-in/base.html" %}'
        '{% block footer %}{% include "imprint.html" %}{% endblock %}',
    )
    assert "<p>Shop Ltd</p>" in Shown(read_brand(tmp_path)).plain


BROKEN: dict[str, str | bytes] = {
    "syntax": "{% if %}",
    "unknown block end": "{% block main %}",
    "unknown variable": '{% extends "built-in/room.html" %}{% block before %}{{ nobody }}{% endblock %}',
    "unknown text": '{% extends "built-in/room.html" %}{% block before %}{{ t("x") }}{% endblock %}',
    "missing asset": (
        '{% extends "built-in/room.html" %}{% block before %}{{ asset("no.svg") }}{% endblock %}'
    ),
    "missing parent": '{% extends "nobody.html" %}',
    "missing ids": "<!doctype html><title>x</title><h1 id=title>x</h1>",
    "reaching into Python": (
        '{% extends "built-in/room.html" %}'
        '{% block before %}{{ t.__globals__["json"] }}{% endblock %}'
    ),
    "division by zero": '{% extends "built-in/room.html" %}{% block before %}{{ 1 / 0 }}{% endblock %}',
    "itself": '{% extends "room.html" %}',
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("note", BROKEN)
def test_a_broken_template_falls_back_and_is_told(tmp_path: Path, write: Write, note: str) -> None:
    write("room.html", BROKEN[note])
    shown = Shown(read_brand(tmp_path))
    assert shown.room == OURS.room
    (trouble,) = shown.troubles
    assert trouble.startswith("room.html: ")


def test_one_broken_page_leaves_the_other_branded(tmp_path: Path, write: Write) -> None:
    write("room.html", "{% if %}")
    write(
        "plain.html",
        '{% extends "built-in/plain.html" %}{% block before %}Hello{% endblock %}',
    )
    shown = Shown(read_brand(tmp_path))
    assert shown.room == OURS.room
    assert "Hello" in shown.plain
    assert len(shown.troubles) == 1


def test_a_missing_id_is_named(tmp_path: Path, write: Write) -> None:
    write("room.html", OURS.room.replace('id="live"', "").replace("{", "").replace("}", ""))
    (trouble,) = Shown(read_brand(tmp_path)).troubles
    assert "lacks the id live" in trouble


def test_a_plain_page_without_its_forms_is_not_used(tmp_path: Path, write: Write) -> None:
    write("plain.html", "<!doctype html><h1>{{ title }}</h1>")
    shown = Shown(read_brand(tmp_path))
    assert shown.plain == OURS.plain
    (trouble,) = shown.troubles
    assert "lacks the form" in trouble


def test_a_plain_template_is_tried_in_every_case(tmp_path: Path, write: Write) -> None:
    # It fails only where an opening is counted down to, in one language.
    write(
        "plain.html",
        '{% extends "built-in/plain.html" %}{% block after %}'
        '{% if problem and language.tag == "ja" %}{{ nobody }}{% endif %}{% endblock %}',
    )
    assert len(Shown(read_brand(tmp_path)).troubles) == 1


def test_a_page_without_its_script_is_not_used(tmp_path: Path, write: Write) -> None:
    write("room.html", '{% extends "built-in/room.html" %}{% block head %}{% endblock %}')
    (trouble,) = Shown(read_brand(tmp_path)).troubles
    assert "lacks the page's script" in trouble


@pytest.mark.parametrize("page", ["room", "plain"])
def test_a_template_that_fails_only_later_falls_back_then(
    tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture, page: str
) -> None:
    write(
        f"{page}.html",
        f'{{% extends "built-in/{page}.html" %}}{{% block before %}}'
        '{% if event != "sample" %}{{ nobody }}{% endif %}{% endblock %}',
    )
    shown = Shown(read_brand(tmp_path))
    assert (shown.room, shown.plain, shown.troubles) == (OURS.room, OURS.plain, [])
    assert [record.message for record in caplog.records] == ["the brand has a mistake"]


def test_the_log_says_at_the_start_what_is_wrong(
    tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("room.html", "{% if %}")
    write("texts/de.json", "[")
    read_look(tmp_path)
    troubles = [str(vars(record)["trouble"]) for record in caplog.records]
    assert [trouble.partition(":")[0] for trouble in troubles] == ["texts/de.json", "room.html"]
    assert "line 1" in troubles[1]


def test_a_templates_values_are_escaped(tmp_path: Path, write: Write) -> None:
    write(
        "plain.html",
        '{% extends "built-in/plain.html" %}{% block before %}{{ "<b>" }}{% endblock %}',
    )
    shown = Shown(read_brand(tmp_path))
    assert "&lt;b&gt;" in shown.plain


def test_the_style_comes_after_ours_and_finds_the_images(tmp_path: Path, write: Write) -> None:
    write("wave.png", b"\x89PNG")
    write("brand.css", ':root { --queue-accent: #a00; background: url( "wave.png" ) }')
    brand = read_brand(tmp_path)
    name = brand.images["wave.png"].name
    assert brand.style.decode() == f':root {{ --queue-accent: #a00; background: url("{name}") }}'
    assert brand.troubles == ()


def test_an_image_that_the_style_does_not_find_is_told(tmp_path: Path, write: Write) -> None:
    write("brand.css", "body { background: url(no.png) }")
    assert read_brand(tmp_path).troubles == ("brand.css: there is no image no.png",)


def test_single_texts_are_the_sites_own(tmp_path: Path, write: Write) -> None:
    write("texts/de.json", '{"title.loading": "Moin"}')
    brand = read_brand(tmp_path)
    assert '<h1 id="title">Moin</h1>' in Shown(brand, "de").room
    assert Shown(brand).room == OURS.room


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("texts/de.json", '{"title.loading": ""}', "title.loading: must be a text"),
        ("texts/de.json", '{"no.such": "x"}', "no.such: there is no such text"),
        (
            "texts/ja.json",
            '{"ahead": {"one": "{n}"}}',
            "ahead: must be an object with exactly other",
        ),
        ("texts/de.json", '{"updated.at": "{zeit}"}', "updated.at: the placeholders are {time}"),
        ("texts/de.json", "[", "is not JSON"),
        ("texts/de.json", "[]", "must be an object"),
        ("texts/xx.json", "{}", "is not one of"),
        ("notes.txt", "x", "is not served"),
        ("a b.png", "x", "is not served"),
        ("big.png", b"x" * (LARGEST_FILE + 1), "is larger than"),
    ],
)
def test_what_is_wrong_in_the_folder_is_told_and_left_out(
    tmp_path: Path, write: Write, name: str, content: str | bytes, said: str
) -> None:
    write(name, content)
    shown = Shown(read_brand(tmp_path), "de")
    (trouble,) = shown.troubles
    assert trouble.startswith(name)
    assert said in trouble
    assert Shown(Brand(), "de").room == shown.room


def test_an_image_is_served_as_what_it_is(tmp_path: Path, write: Write) -> None:
    for name in ("a.png", "a.svg", "a.webp", "a.jpg", "a.ico"):
        write(name, "x")
    kinds = {
        name: dict(image.prepared.plain.headers)[b"content-type"]
        for name, image in read_brand(tmp_path).images.items()
    }
    assert kinds == {
        "a.png": b"image/png",
        "a.svg": b"image/svg+xml",
        "a.webp": b"image/webp",
        "a.jpg": b"image/jpeg",
        "a.ico": b"image/x-icon",
    }


def test_all_processes_prepare_the_same_bytes(tmp_path: Path, write: Write) -> None:
    write("logo.svg", LOGO)
    first, second = read_brand(tmp_path), read_brand(tmp_path)
    assert first == second
    zipped = first.images["logo.svg"].prepared.zipped
    assert zipped is not None
    # No time and no file name in the gzip header (RFC 1952, section 2.3).
    assert zipped.body[3:8] == bytes(5)
