"""A proxy that verifies passes itself: the acceptance test of every front, and what is its own.

What it admits without asking, it admits as strictly as the gateway. So each test about a bad pass looks at
whether the gateway was asked: whoever was not asked about was admitted.
"""

import json
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from gateway.domain.claims import LEEWAY_S
from gateway.domain.targets import NotCanonical, canonical_host, canonical_target
from gateway.proxyconfig import Knowledge, ProxyFolder
from gateway.tokens.compact import decode_segment, encode_segment
from gateway.tokens.keyring import KeyRing
from tests.integration.fronts import test_every_front as acceptance
from tests.support.eventually import eventually
from tests.support.fronts import Before, Front
from tests.support.gateways import BACKEND_BODY, Gateway
from tests.support.line_speed import Asked, SyncCommand, Syncing, Verifier
from tests.support.minting import Mint, now_s
from tests.support.staging import Stage

# Here a pass needs no gateway, which is what these two look at.
EXCEPTIONS = {
    "test_nobody_passes_while_nobody_listens_where_the_gateway_was",
    "test_nobody_passes_while_the_gateway_says_nothing",
}

for _name, _test in vars(acceptance).items():
    if _name.startswith("test_") and _name not in EXCEPTIONS:
        globals()[_name] = _test

A_WHILE_S = 12.0


def test_a_pass_is_admitted_without_asking(before: Before) -> None:
    visitor = before.admitted()
    visitor.get("/book/0")
    first = before.front.door.count("/auth")
    for number in range(20):
        assert visitor.get(f"/book/{number}?seat={number}").status == 200
    assert before.front.door.count("/auth") == first
    said = before.site.last.queue_headers
    assert (said["queue-event"], said["queue-position"]) == (before.stage.event, "1")
    assert len(said["queue-visitor"]) >= 22


def test_a_pass_in_its_own_field_is_admitted_without_asking(
    common_asked: Asked, common_held: str
) -> None:
    was_asked, reply = common_asked.of([("queue-token", common_held)])
    assert (was_asked, reply.body) == (False, BACKEND_BODY)


# --- what is no good pass


def signed(mint: Mint, header: bytes, payload: bytes) -> str:
    """Sign whatever it is with the key that everybody trusts."""
    key = KeyRing.load(mint.folder).active_signing_key.private_key
    message = encode_segment(header) + b"." + encode_segment(payload)
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(message, key)
    return (message + b"." + encode_segment(signature)).decode()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, payload, _ = token.split(".")
    return json.loads(decode_segment(head.encode())), json.loads(decode_segment(payload.encode()))


def compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _of_header(**changes: Any) -> Callable[[Stage, str], str]:
    def make(stage: Stage, held: str) -> str:
        header, payload = parts(held)
        return signed(stage.mint, compact(header | changes), compact(payload))

    return make


def _of_payload(**changes: Any) -> Callable[[Stage, str], str]:
    def make(stage: Stage, held: str) -> str:
        header, payload = parts(held)
        return signed(stage.mint, compact(header), compact(payload | changes))

    return make


def _of_claims(**changes: Any) -> Callable[[Stage, str], str]:
    return lambda stage, _: stage.mint.held(stage.event, stage.generation, **changes)


def _other_mint(stage: Stage) -> Mint:
    return Mint(Path(tempfile.mkdtemp(prefix="other-", dir=stage.mint.folder.parent)) / "keys")


def _with_unknown_key(stage: Stage, _: str) -> str:
    return _other_mint(stage).held(stage.event, stage.generation)


def _known_name_on_unknown_key(stage: Stage, held: str) -> str:
    header, payload = parts(held)
    return signed(_other_mint(stage), compact(header), compact(payload))


def _signed_by_hmac(stage: Stage, held: str) -> str:
    header, payload = parts(held)
    message = (
        encode_segment(compact(header | {"alg": "HS256"})) + b"." + encode_segment(compact(payload))
    )
    key = KeyRing.load(stage.mint.folder).public_keys()[header["kid"]]
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return (message + b"." + encode_segment(digest(pem, message, sha256))).decode()


def _next_spelling(token: str) -> str:
    """Return the same token with a last character that says the same bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) + 1]


def _twisted(token: str) -> str:
    """Return the token with the other signature that ECDSA has for it, which is as genuine."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    message, _, signature = token.rpartition(".")
    raw = decode_segment(signature.encode())
    s = order - int.from_bytes(raw[32:], "big")
    return f"{message}.{encode_segment(raw[:32] + s.to_bytes(32, 'big')).decode()}"


def _with_signature(signature: bytes) -> Callable[[Stage, str], str]:
    return lambda _, held: f"{held.rpartition('.')[0]}.{encode_segment(signature).decode()}"


def _with_payload_of(stage: Stage, held: str) -> str:
    head, _, signature = held.split(".")
    other = stage.mint.held(stage.event, stage.generation, 999)
    return f"{head}.{other.split('.')[1]}.{signature}"


NO_GOOD_PASS: dict[str, Callable[[Stage, str], str]] = {
    "a queue token": lambda stage, _: stage.mint.place(stage.event, stage.generation, 5),
    "another event's": lambda stage, _: stage.mint.held("sale-219", stage.generation),
    "an older life's": lambda stage, _: stage.mint.held(stage.event, stage.generation - 1),
    "ended just now": lambda stage, _: stage.mint.held(
        stage.event, stage.generation, issued_at=now_s() - 600, expires_at=now_s()
    ),
    "ended long ago": _of_claims(issued_at=1_600_000_000, expires_at=1_600_000_600),
    "of tomorrow": lambda stage, _: stage.mint.held(
        stage.event, stage.generation, issued_at=now_s() + LEEWAY_S + 30
    ),
    "ends before it begins": lambda stage, _: stage.mint.held(
        stage.event, stage.generation, issued_at=now_s() + 50, expires_at=now_s() + 40
    ),
    "another issuer's": _of_claims(issuer="somebody"),
    "of an unknown key": _with_unknown_key,
    "of a known key's name": _known_name_on_unknown_key,
    "alg none": _of_header(alg="none"),
    "alg in small letters": _of_header(alg="es256"),
    "signed by the public key": _signed_by_hmac,
    "typ JWT": _of_header(typ="JWT"),
    "typ in capitals": _of_header(typ="PASS+JWT"),
    "crit": _of_header(crit=["exp"]),
    "jwk": _of_header(jwk={"kty": "EC"}),
    "position true": _of_payload(pos=True),
    "position as text": _of_payload(pos="1"),
    "position 0": _of_payload(pos=0),
    "position below 0": _of_payload(pos=-1),
    "position 1.0": _of_payload(pos=1.0),
    "two audiences": lambda stage, held: _of_payload(aud=[stage.event, "b"])(stage, held),
    "a claim that nobody knows": _of_payload(admin=True),
    "end as text": _of_payload(exp="9999999999"),
    "an end that never comes": _of_payload(exp=10**18),
    "visitor empty": _of_payload(sub=""),
    "a name twice": lambda stage, held: signed(
        stage.mint,
        compact(parts(held)[0]),
        compact(parts(held)[1]).replace(b'"pos":1', b'"pos":2,"pos":1'),
    ),
    "another spelling of the same bytes": lambda _, held: _next_spelling(held),
    "padding": lambda _, held: held + "=",
    "something behind it": lambda _, held: held + "A",
    "something before it": lambda _, held: "A" + held,
    "quotes around it": lambda _, held: f'"{held}"',
    "no signature": lambda _, held: held.rpartition(".")[0] + ".",
    "a signature of zeros": _with_signature(bytes(64)),
    "another payload": _with_payload_of,
    "four segments": lambda _, held: f"{held}.AAAA",
    "nothing": lambda _, __: "",
}


@pytest.mark.parametrize("what", NO_GOOD_PASS)
def test_what_is_no_good_pass_is_never_admitted_here(
    what: str, common: Before, common_asked: Asked, common_held: str
) -> None:
    assert common_asked(common_held)[0] is False
    reached = common.reached
    token = NO_GOOD_PASS[what](common.stage, common_held)
    was_asked, reply = common_asked(token)
    assert was_asked
    assert reply.status in (400, 401, 410, 429)
    by_field, reply = common_asked.of([("queue-token", token)])
    assert by_field
    assert reply.status in (400, 401, 410, 429)
    assert common.reached == reached


def test_a_pass_of_a_later_life_is_asked_about(asked: Asked, stage: Stage, front: Front) -> None:
    # An event of its own: it proves to the gateway that the ledger has lost something.
    later = stage.mint.held(stage.event, stage.generation + 1)
    was_asked, reply = asked(later)
    assert (was_asked, reply.status) == (True, 410)
    assert front.site.seen == []


GOOD_IN_ANOTHER_FORM: dict[str, Callable[[Stage, str], str]] = {
    "bound to a key": lambda stage, _: stage.mint.held(
        stage.event, stage.generation, key_thumbprint="A" * 43
    ),
    "header in another order": lambda stage, held: signed(
        stage.mint, compact(dict(reversed(parts(held)[0].items()))), compact(parts(held)[1])
    ),
    "payload in another order": lambda stage, held: signed(
        stage.mint, compact(parts(held)[0]), compact(dict(reversed(parts(held)[1].items())))
    ),
    "a visitor of other characters": lambda stage, _: stage.mint.held(
        stage.event, stage.generation, visitor="a b/c"
    ),
}


@pytest.mark.parametrize("what", GOOD_IN_ANOTHER_FORM)
def test_a_good_pass_in_a_form_of_its_own_is_asked_about(
    what: str, common: Before, common_asked: Asked, common_held: str
) -> None:
    was_asked, reply = common_asked(GOOD_IN_ANOTHER_FORM[what](common.stage, common_held))
    assert (was_asked, reply.status) == (True, 200)


def test_the_other_signature_of_a_pass_is_of_the_same_session(
    asked: Asked, stage: Stage, front: Front
) -> None:
    token = stage.admitted().held
    for form in (token, _twisted(token)):
        assert asked(form)[0] is False
        assert front.site.last.queue_headers["queue-position"] == "1"
    stage.operator.end(stage.event, 1)
    eventually(lambda: asked(token)[0] and asked(_twisted(token))[0], A_WHILE_S)


# --- carriers


def test_two_carriers_are_asked_about_and_refused(
    verifier: Verifier, common: Before, common_asked: Asked, common_held: str
) -> None:
    stage, held = common.stage, common_held
    name = stage.event
    other = stage.mint.held(name, stage.generation, 2)
    place = stage.mint.place(name, stage.generation)
    place_of_another = stage.mint.place(name, stage.generation, 2)
    reached = common.reached
    for fields in (
        [("cookie", f"pass-{name}={held}; pass-{name}={other}")],
        [("cookie", f"pass-{name}={held}"), ("cookie", f"pass-{name}={other}")],
        [("cookie", f"pass-{name}={held};pass-{name} ={other}; x=pass-{name}={held}")],
        [("cookie", f"pass-{name}={held}; queue-{name}={other}")],
        [("cookie", f"pass-{name}={held}; queue-{name}={place}; queue-{name}={place_of_another}")],
        [("cookie", f"pass-{name}={held}"), ("queue-token", other)],
        [("queue-token", held), ("queue-token", other)],
        [("cookie", f"pass-{name}={held}"), ("authorization", f"Bearer {other}")],
        [("cookie", f"pass-{name}={held}"), ("authorization", f"bEARER   {other}")],
    ):
        was_asked, reply = common_asked.of(fields)
        assert was_asked, fields
        is_joined = verifier.joins_fields and len({field for field, _ in fields}) < len(fields)
        assert reply.status in ((401,) if is_joined else (400, 200)), fields
        if reply.status == 200:
            # Of these the gateway sees one pass only.
            assert common.site.last.queue_headers["queue-position"] == "1"
            reached += 1
    assert common.reached == reached


def test_what_looks_like_the_cookie_is_not_taken_for_it(
    common: Before, common_asked: Asked, common_held: str
) -> None:
    name, held = common.stage.event, common_held
    for cookie in (
        f"xpass-{name}={held}",
        f"pass-{name}x={held}",
        f"PASS-{name.upper()}={held}",
        f"x=pass-{name}={held}",
        f'x="; pass-{name}={held}"',
        f"__Host-pass-{name}={held}",
        f"pass-{name} = {held}",
    ):
        assert common_asked.of([("cookie", cookie)])[0], cookie


def test_a_place_beside_the_pass_does_not_mean_asking(
    common: Before, common_asked: Asked, common_held: str
) -> None:
    stage, held = common.stage, common_held
    place = stage.mint.place(stage.event, stage.generation)
    for cookie in (
        f"basket=1; queue-{stage.event}={place}; pass-{stage.event}={held}",
        f"pass-{stage.event}={held};queue-{stage.event}={place};theme=dark",
    ):
        was_asked, reply = common_asked.of([("cookie", cookie), ("authorization", "Basic eDp5")])
        assert (was_asked, reply.status) == (False, 200)


def test_with_a_pass_no_target_goes_through_that_the_gateway_refuses(
    common: Before, common_held: str
) -> None:
    got_by: list[str] = []
    for case in json.loads((acceptance.DATA / "bypass_targets.json").read_text("utf-8")):
        reached = common.reached
        acceptance.send_raw(
            common,
            f"GET {case['target']} HTTP/1.1\r\nHost: {common.stage.host}\r\n"
            f"Cookie: pass-{common.stage.event}={common_held}\r\nConnection: close\r\n\r\n",
        )
        for seen in common.site.seen[reached:]:
            path, _, query = seen.target.partition("?")
            try:
                canonical_target(path.encode("latin-1"), query.encode("latin-1"))
            except NotCanonical:
                got_by.append(case["target"])
    assert got_by == []


def test_with_a_pass_no_host_goes_through_that_the_gateway_refuses(
    common: Before, common_held: str
) -> None:
    for case in json.loads((acceptance.DATA / "hosts.json").read_text("utf-8")):
        reached = common.reached
        hosts = "".join(f"Host: {host}\r\n" for host in case["hosts"])
        hosts = hosts.replace("booking.example", common.stage.host)
        acceptance.send_raw(
            common,
            f"GET /book HTTP/1.1\r\n{hosts}Cookie: pass-{common.stage.event}={common_held}\r\n"
            "Connection: close\r\n\r\n",
        )
        for seen in common.site.seen[reached:]:
            named = [host.encode() for host in seen.all("host")]
            assert canonical_host(named) == common.stage.host, case


def test_what_a_listed_origin_asks_beforehand_is_the_gateways(
    common: Before, common_held: str
) -> None:
    first = common.front.door.count("/auth")
    fields = {
        "origin": "https://elsewhere.example",
        "access-control-request-method": "GET",
        "cookie": f"pass-{common.stage.event}={common_held}",
    }
    assert common.visitor().ask("OPTIONS", "/book", fields).status == 401
    assert common.front.door.count("/auth") == first + 1


def test_an_ended_pass_is_asked_about_and_may_still_finish(
    common: Before, common_asked: Asked
) -> None:
    stage = common.stage
    ended = stage.mint.held(
        stage.event, stage.generation, issued_at=now_s() - 600, expires_at=now_s() - 5
    )
    was_asked, reply = common_asked(ended, "/pay")
    assert (was_asked, reply.status) == (True, 200)
    was_asked, reply = common_asked(ended, "/book")
    assert (was_asked, reply.status) == (True, 410)


# --- what changes on the night


def test_a_session_that_was_ended_is_refused(before: Before, asked: Asked) -> None:
    visitor, other = before.admitted(), before.admitted()
    left, stays = visitor.held, other.held
    for token in (left, stays):
        assert asked(token)[0] is False
    visitor.call("leave")
    eventually(lambda: asked(left)[0], A_WHILE_S)
    before.stage.settle()
    assert asked(left)[1].status == 410
    assert asked(stays)[0] is False


def test_a_new_life_of_the_queue_ends_the_passes_of_the_old_one(
    asked: Asked, stage: Stage, held: str
) -> None:
    assert asked(held)[0] is False
    stage.begin_new_generation()
    eventually(lambda: asked(held)[0], A_WHILE_S)
    assert asked(held)[1].status == 410
    anew = stage.mint.held(stage.event, stage.generation)
    eventually(lambda: not asked(anew)[0], A_WHILE_S)


def test_while_nobody_listens_where_the_gateway_was_held_passes_go_on(
    before: Before, asked: Asked, held: str
) -> None:
    reached = before.reached
    with before.front.wire.refusing():
        assert asked(held)[1].status == 200
        for visitor in (before.visitor().get("/book"), before.visitor().get("/assets/x.css")):
            assert visitor.status == before.kind.away
    assert before.reached == reached + 1


def test_when_nobody_keeps_it_fresh_everything_is_asked_and_then_fails_closed(
    gateway: Gateway, stage: Stage, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    asked = Asked(lone_front, stage)
    assert asked(held)[0] is True
    with Syncing(gateway, stage.event, folder, good_for_s=2).running():
        eventually(lambda: not asked(held)[0], A_WHILE_S)
    eventually(lambda: asked(held)[0], A_WHILE_S)
    assert asked(held)[1].status == 200
    reached = len(lone_front.site.seen)
    with lone_front.wire.refusing():
        assert asked(held)[1].status == 503
    assert len(lone_front.site.seen) == reached


def test_a_clock_that_jumped_back_does_not_make_old_news_good(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    # As if the last read had been made on a clock an hour ahead of today's.
    asked, keys = Asked(lone_front, stage), KeyRing.load(mint.folder).public_keys()
    known = Knowledge(stage.generation, {}, keys)
    sync = folder.sync(good_for_s=5)
    sync.tell(known, read_at_s=time.time())
    assert asked(held)[0] is False
    sync.tell(known, read_at_s=time.time() + 3600)
    assert asked(held)[0] is True


def test_the_end_of_a_pass_is_reckoned_on_the_ledgers_clock(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    asked, keys = Asked(lone_front, stage), KeyRing.load(mint.folder).public_keys()
    sync = folder.sync(good_for_s=300)
    for ahead_s, expected in ((590, False), (601, True), (-59, False), (-120, True)):
        known = Knowledge(stage.generation, {}, keys, clock_ahead_s=ahead_s)
        sync.tell(known, read_at_s=time.time())
        # Beyond the end of the pass, or so long before its issue that it is from the future.
        assert asked(held)[0] is expected, ahead_s


# --- the command


def test_the_command_keeps_it_fresh_until_it_is_killed(
    config: Path, stage: Stage, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    asked = Asked(lone_front, stage)
    with SyncCommand(config, stage.event, folder.folder, "--every", "0.2").running() as command:
        said = command.said()
        assert (said["event"], said["generation"]) == (stage.event, stage.generation)
        assert (said["ended"], said["whole"], said["reloaded"]) == (0, True, None)
        assert asked(held)[0] is False
        visitor = stage.admitted()
        stage.operator.end(stage.event, 1)
        assert command.said()["ended"] == 1
        assert asked(visitor.held)[0] is True
    eventually(lambda: asked(held)[0], A_WHILE_S)


def test_the_command_ends_with_the_event(
    config: Path, stage: Stage, lone_front: Front, folder: ProxyFolder, held: str
) -> None:
    asked = Asked(lone_front, stage)
    with SyncCommand(config, stage.event, folder.folder, "--every", "0.2").running() as command:
        command.said()
        assert asked(held)[0] is False
        stage.delete()
        assert command.code() == 3
        assert asked(held)[0] is True
        assert asked(held)[1].status == 410
