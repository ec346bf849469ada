"""GET /queue/{event}/pointer.jws: the pointer document as a statement that anybody can check."""

import time
from pathlib import Path

import pytest

from gateway.domain.positions import EventId
from gateway.ports import StateChange
from gateway.tokens.jwks import parse_jwk_set
from gateway.tokens.statements import PointerStatement, verify_pointer
from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Tables, write_settings
from tests.support.replies import Reply
from tests.support.staging import LISTED_ORIGIN, OpenStage, Stage
from tests.support.visitors import Visitor

ISSUER = "admission-gateway"


def signed(visitor: Visitor, headers: dict[str, str] | None = None) -> Reply:
    return visitor.get(f"/queue/{visitor.event}/pointer.jws", headers)


def said(visitor: Visitor, reply: Reply | None = None) -> PointerStatement:
    """Check a statement as a stranger would: by the keys that the gateway publishes."""
    keys = parse_jwk_set(visitor.get("/.well-known/jwks.json").body)
    text = (reply or signed(visitor)).body.decode("ascii")
    return verify_pointer(text, keys, expect_event=EventId(visitor.event), expect_issuer=ISSUER)


def test_it_says_what_the_plain_document_says(stage: Stage) -> None:
    for _ in range(3):
        stage.waiting()
    stage.release(2)
    visitor = stage.visitor()
    eventually(lambda: said(visitor).document == visitor.call("").json())
    statement = said(visitor)
    assert statement.document["served_up_to"] == 2
    assert statement.generation == stage.generation
    assert abs(statement.issued_at - time.time()) < 60


def test_it_is_a_jose_of_a_type_of_its_own(stage: Stage) -> None:
    reply = signed(stage.visitor())
    assert reply.header("content-type") == "application/jose"
    assert reply.header("cache-control") == "public, max-age=1"
    assert reply.header("access-control-allow-origin") == "*"
    assert reply.cookies == {}


def test_it_is_signed_once_for_everyone(stage: Stage) -> None:
    # Signatures of one content differ; the same bytes are the same signature.
    replies = [signed(stage.visitor()) for _ in range(20)]
    eventually(lambda: signed(stage.visitor()).body == signed(stage.visitor()).body)
    # A change of the document within those calls may cause a second one.
    assert len({reply.body for reply in replies}) <= 2


def test_who_holds_it_already_gets_no_bytes(stage: Stage) -> None:
    visitor = stage.visitor()
    etag = signed(visitor).header("etag") or ""
    assert etag.startswith('W/"')
    for held in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        reply = signed(visitor, {"if-none-match": held})
        assert (reply.status, reply.body) == (304, b"")
        assert reply.header("etag") == etag
    assert signed(visitor, {"if-none-match": '"other"'}).status == 200


def test_its_name_changes_with_what_it_says(stage: Stage) -> None:
    visitor = stage.waiting()
    before = signed(visitor)
    stage.release()
    eventually(lambda: said(visitor).document["served_up_to"] == 1)
    after = signed(visitor, {"if-none-match": before.header("etag") or ""})
    assert after.status == 200
    assert after.header("etag") != before.header("etag")


def test_it_tells_of_a_lost_and_of_a_deleted_event(open_stage: OpenStage) -> None:
    lost, deleted = open_stage(), open_stage()
    signed(lost.visitor())
    lost.lose()
    deleted.delete()
    eventually(lambda: said(lost.visitor()).document["state"] == "suspended")
    assert said(deleted.visitor()).document["state"] == "deleted"


def test_it_tells_of_a_pause_and_of_a_new_generation(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.change(StateChange.PAUSE, message="Back soon.")
    eventually(lambda: said(visitor).document["message"] == "Back soon.")
    before = said(visitor).generation
    stage.begin_new_generation()
    eventually(lambda: said(visitor).generation > before)


def test_it_admits_nobody_and_holds_no_place(stage: Stage) -> None:
    visitor = stage.visitor()
    statement = signed(visitor).body.decode("ascii")
    for headers in (
        {"queue-token": statement},
        {"authorization": f"Bearer {statement}"},
        {"cookie": f"queue-{stage.event}={statement}; pass-{stage.event}={statement}"},
    ):
        assert visitor.call("position", headers).verdict == (401, "no-token")
        assert visitor.call("claim", headers).verdict == (401, "no-token")
        assert visitor.call("refresh", headers).verdict == (401, "no-token")
        assert visitor.get("/", headers).verdict == (401, "no-token")


def test_what_cannot_be_read_or_is_not_there(stage: Stage) -> None:
    visitor = stage.visitor()
    target = f"/queue/{stage.event}/pointer.jws"
    assert visitor.get("/queue/nobody-made-this/pointer.jws").verdict == (404, "about:blank")
    assert visitor.get(target, {"host": "two hosts"}).status == 400
    assert visitor.ask("POST", target).verdict == (405, "about:blank")
    asked = {"origin": LISTED_ORIGIN, "access-control-request-method": "GET"}
    assert visitor.ask("OPTIONS", target, asked).status == 204
    assert visitor.ask("OPTIONS", target).verdict == (405, "about:blank")
    assert visitor.ask("OPTIONS", target, {**asked, "host": "two hosts"}).status == 400
    assert visitor.ask("OPTIONS", "/queue/No_Name/pointer.jws", asked).status == 404


def test_a_head_says_how_long_it_is(stage: Stage) -> None:
    visitor = stage.visitor()
    head = visitor.ask("HEAD", f"/queue/{stage.event}/pointer.jws")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(signed(visitor).body))


def test_who_has_public_keys_only_signs_nothing(
    stage: Stage, tables: Tables, short_folder: Path
) -> None:
    folder = short_folder / "public-keys-only"
    folder.mkdir()
    keys = {"jwks": str(stage.mint.write_jwks(folder / "keys.jwks")), "dir": str(folder / "none")}
    settings = write_settings(folder / "gateway.toml", {**tables, "keys": keys})
    with Gateway(settings).running() as edge:
        eventually(lambda: edge.knows(stage.event) is not None)
        visitor = Stage(edge, stage.operator, stage.mint, stage.event).visitor()
        assert visitor.call("").status == 200
        reply = signed(visitor)
        assert reply.verdict == (404, "about:blank")
        assert f"/queue/{stage.event}" in reply.json()["detail"]


@pytest.mark.parametrize("held", ["place", "held"])
def test_no_token_is_a_statement(stage: Stage, held: str) -> None:
    token = getattr(stage.mint, held)(stage.event, stage.generation)
    visitor = stage.visitor()
    with pytest.raises(Exception, match="wrong-type"):
        said(visitor, Reply(200, (), token.encode()))
