"""Keys, probes and the interface's own document."""

import json
from importlib.resources import files

import pytest

from gateway.tokens.jwks import parse_jwk_set
from tests.support.staging import Stage

DOCUMENTS = ("/.well-known/jwks.json", "/openapi.json")


def test_the_public_keys_are_a_jwk_set_without_anything_private(stage: Stage) -> None:
    reply = stage.visitor().get("/.well-known/jwks.json")
    assert reply.header("content-type") == "application/jwk-set+json"
    assert set(parse_jwk_set(reply.body)) == set(stage.mint.kids)
    for key in reply.json()["keys"]:
        assert not {"d", "k", "p", "q"} & key.keys()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_public_document_may_be_kept_for_five_minutes(stage: Stage, path: str) -> None:
    visitor = stage.visitor()
    reply = visitor.get(path)
    assert reply.header("cache-control") == "public, max-age=300"
    assert reply.header("access-control-allow-origin") == "*"
    assert visitor.get(path).body == reply.body
    unchanged = visitor.get(path, {"if-none-match": reply.header("etag") or ""})
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert visitor.get(path, {"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize("path", [*DOCUMENTS, "/healthz", "/readyz"])
def test_a_head_of_a_document_has_no_body(stage: Stage, path: str) -> None:
    head, full = stage.visitor().ask("HEAD", path), stage.visitor().get(path)
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(full.body))


def test_the_document_served_is_the_one_in_the_package(stage: Stage) -> None:
    reply = stage.visitor().get("/openapi.json")
    assert reply.body == (files("gateway.api") / "openapi.json").read_bytes()


def test_the_probes_say_that_all_is_well(stage: Stage) -> None:
    assert stage.visitor().get("/healthz").body == b"ok\n"
    # Events of the settings that no test has made yet are named below it, and this one is not.
    said = stage.visitor().get("/readyz").body.decode().splitlines()
    assert said[0] == "ready"
    assert not [line for line in said if f"event {stage.event}:" in line]


def test_our_own_paths_are_exact(stage: Stage) -> None:
    # Anything near them is the booking site's, and so needs a pass.
    for path in (
        "/healthz/",
        "/healthz/x",
        "/Healthz",
        "/openapi.json/",
        "/auth/",
        "/authx",
        "/queue",
    ):
        assert stage.visitor().get(path).verdict == (401, "no-token"), path
    assert json.loads(stage.visitor().get("/healthz/", {"queue-token": "x"}).body)["status"] == 401


def test_metrics_are_not_for_visitors(stage: Stage) -> None:
    assert stage.visitor().get("/metrics").verdict == (401, "no-token")
