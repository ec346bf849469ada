"""GET /queue/{event}/session.js: one script for every page of the site."""

import gzip
import re

import pytest

from gateway.page.languages import TAGS, built_in_texts
from tests.support.staging import Stage

# What a site's pages load with it, compressed; it has the texts of all languages in it.
MOST_BYTES = 6 * 1024


def test_it_is_the_same_for_everyone_and_every_event(stage: Stage) -> None:
    path = f"/queue/{stage.event}/session.js"
    bodies = {
        visitor.get(target).body
        for visitor in (stage.visitor(), stage.admitted())
        for target in (path, f"{path}?x=1", "/queue/nobody/session.js")
    }
    (body,) = bodies
    text = body.decode()
    assert "__LANGUAGES__" not in text
    for tag in TAGS:
        assert built_in_texts(tag)["session.title"] in text  # type: ignore[operator]
    assert not re.search(r"^\s*(//|\*|/\*)", text, re.MULTILINE)


def test_it_may_be_kept_for_a_while_and_is_small(stage: Stage) -> None:
    path = f"/queue/{stage.event}/session.js"
    visitor = stage.visitor()
    plain, zipped = visitor.get(path), visitor.get(path, {"accept-encoding": "gzip"})
    assert plain.header("content-type") == "text/javascript; charset=utf-8"
    assert plain.header("cache-control") == "public, max-age=600"
    assert zipped.header("content-encoding") == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) <= MOST_BYTES
    tag = zipped.header("etag")
    assert tag is not None
    assert tag != plain.header("etag")
    known = visitor.get(path, {"accept-encoding": "gzip", "if-none-match": tag})
    assert (known.status, known.body, known.header("etag")) == (304, b"", tag)


def test_a_site_can_include_it_from_its_own_origin_alone(stage: Stage) -> None:
    reply = stage.visitor().get(f"/queue/{stage.event}/session.js")
    assert reply.header("cross-origin-resource-policy") == "same-origin"
    assert reply.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("name", ["Sale", "-", "a_b", "a" * 64])
def test_what_is_no_name_of_an_event_has_none(stage: Stage, name: str) -> None:
    assert stage.visitor().get(f"/queue/{name}/session.js").status == 404


def test_it_is_only_read(stage: Stage) -> None:
    path = f"/queue/{stage.event}/session.js"
    assert stage.visitor().ask("POST", path).status == 405
    head = stage.visitor().ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_it_is_there_while_the_events_state_is_lost(stage: Stage) -> None:
    stage.lose()
    assert stage.visitor().get(f"/queue/{stage.event}/session.js").status == 200


def test_a_request_that_names_two_hosts_is_refused(stage: Stage) -> None:
    target = f"/queue/{stage.event}/session.js"
    pairs = [("host", stage.host), ("host", "other.example")]
    assert stage.visitor().ask("GET", target, pairs).status == 400
