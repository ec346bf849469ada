"""What the booking site signs about a visitor: an identity, or an invitation with a head start."""

import base64
import json

import pytest

from gateway.domain.positions import EventId
from gateway.tokens.codec import Signer
from gateway.tokens.keyring import KeyRing
from gateway.tokens.vouchers import hashed_subject
from tests.support.minting import Mint, now_s
from tests.support.pages import plain, press
from tests.support.staging import OpenStage, Stage

ANNA = "anna@shop.example"
FORBIDDEN = (403, "about:blank")


def payload_of(token: str) -> dict[str, object]:
    segment = token.split(".")[1]
    held: dict[str, object] = json.loads(
        base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    )
    return held


def test_one_visitor_of_the_site_has_one_place_in_all_browsers(
    open_stage: OpenStage, site: Mint
) -> None:
    stage = open_stage(one_place_per_sub=True)
    first = stage.visitor().call("join", voucher=site.voucher(stage.event, ANNA))
    stage.waiting()
    again = stage.visitor().call("join", voucher=site.voucher(stage.event, ANNA))
    other = stage.visitor().call("join", voucher=site.voucher(stage.event, "ben"))
    assert [reply.status for reply in (first, again, other)] == [201, 200, 201]
    assert [reply.json()["position"] for reply in (first, again, other)] == [1, 1, 3]


def test_an_event_may_leave_it_at_that(stage: Stage, site: Mint) -> None:
    voucher = site.voucher(stage.event, ANNA)
    assert [stage.visitor().join(voucher=voucher)["position"] for _ in range(2)] == [1, 2]


def test_the_page_without_a_script_explains_that_a_voucher_is_asked_for(
    open_stage: OpenStage,
) -> None:
    visitor = open_stage(voucher_required=True).visitor()
    back = press(visitor, plain(visitor), "join")
    assert back.location == f"/queue/{visitor.event}/room/plain?problem=voucher"
    assert "for invited visitors" in visitor.navigate(back.location).body.decode()


def test_an_identity_is_kept_as_an_hmac_and_never_as_it_is(
    open_stage: OpenStage, site: Mint
) -> None:
    stage = open_stage(one_place_per_sub=True)
    visitor = stage.visitor()
    visitor.join(voucher=site.voucher(stage.event, ANNA))
    name = hashed_subject(b"0123456789abcdef0123456789abcdef", EventId(stage.event), ANNA)
    assert payload_of(visitor.place)["sub"] == name
    server = stage.operator.server
    for key in server.command("KEYS", f"q:*{stage.event}*"):
        assert ANNA.encode() not in server.dump(key)


def test_a_visitor_without_a_voucher_has_a_random_name(stage: Stage) -> None:
    names = {str(payload_of(stage.waiting().place)["sub"]) for _ in range(5)}
    assert len(names) == 5
    assert all(len(base64.urlsafe_b64decode(name + "==")) == 16 for name in names)


def test_an_invitation_puts_its_bearer_ahead(stage: Stage, site: Mint) -> None:
    for _ in range(9):
        stage.waiting()
    visitor = stage.visitor()
    place = visitor.join(voucher=site.voucher(stage.event, ANNA, adv=4))
    assert (place["position"], place["turn"], place["ahead"]) == (10, 6, 5)
    assert (place["head_start"], visitor.call("position").json()["head_start"]) == (4, 4)
    assert payload_of(visitor.place)["adv"] == 4


def test_an_invitation_never_gives_a_turn_that_has_passed(stage: Stage, site: Mint) -> None:
    for _ in range(5):
        stage.waiting()
    stage.release(3)
    place = stage.visitor().join(voucher=site.voucher(stage.event, ANNA, adv=1000))
    assert (place["position"], place["turn"], place["status"]) == (6, 4, "waiting")


def test_a_head_start_is_the_sites_word_alone(stage: Stage, mint: Mint) -> None:
    # Our own queue keys do not speak for the site.
    voucher = mint.voucher(stage.event, ANNA, adv=5)
    assert stage.visitor().call("join", voucher=voucher).verdict == FORBIDDEN


def test_an_event_may_ask_for_a_voucher(open_stage: OpenStage, site: Mint) -> None:
    stage = open_stage(voucher_required=True)
    refused = stage.visitor().call("join")
    assert refused.verdict == FORBIDDEN
    assert stage.visitor().join(voucher=site.voucher(stage.event, ANNA))["position"] == 1


def test_a_place_already_held_needs_no_second_voucher(open_stage: OpenStage, site: Mint) -> None:
    stage = open_stage(voucher_required=True)
    visitor = stage.visitor()
    visitor.join(voucher=site.voucher(stage.event, ANNA))
    assert visitor.call("join").status == 200


@pytest.mark.parametrize("required", [False, True])
def test_no_voucher_but_a_genuine_one_gives_a_place(
    open_stage: OpenStage, site: Mint, mint: Mint, *, required: bool
) -> None:
    stage = open_stage(voucher_required=required)
    event, now = stage.event, now_s()
    good = site.voucher(event, ANNA)
    foreign = Signer(KeyRing.load(site.folder))
    bad = {
        "nonsense": "nonsense",
        "empty": "",
        "outside ASCII": "ünsinn",
        "a changed signature": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "another event": site.voucher("sale-0", ANNA),
        "over": site.voucher(event, ANNA, iat=now - 600, exp=now - 1),
        "from the future": site.voucher(event, ANNA, iat=now + 120, exp=now + 600),
        "too long a life": site.voucher(event, ANNA, iat=now, exp=now + 90_000),
        "a fraction": site.voucher(event, ANNA, adv=1.5),
        "a negative head start": site.voucher(event, ANNA, adv=-1),
        "true for a number": site.voucher(event, ANNA, adv=True),
        "an unknown claim": site.voucher(event, ANNA, admin=True),
        "no subject": site.voucher(event, ""),
        "a queue token": mint.place(event, stage.generation),
        "another kind, under the site's key": foreign.sign(
            "queue+jwt", {"iss": "x", "aud": event, "sub": "x", "iat": now, "exp": now + 60}
        ),
    }
    for note, voucher in bad.items():
        assert stage.visitor().call("join", voucher=voucher).verdict == FORBIDDEN, note
    assert stage.operator.read(event).issued == 0
    assert stage.visitor().join(voucher=good)["position"] == 1


def test_an_idempotency_key_gives_the_named_visitors_place_again(stage: Stage, site: Mint) -> None:
    headers = {"idempotency-key": "a-random-key-of-the-client"}
    voucher = site.voucher(stage.event, ANNA)
    first = stage.visitor().call("join", headers, voucher=voucher)
    again = stage.visitor().call("join", headers, voucher=voucher)
    assert (again.status, again.json()["position"]) == (200, first.json()["position"])
    names = {payload_of(reply.json()["token"])["sub"] for reply in (first, again)}
    assert len(names) == 1
