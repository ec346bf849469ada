"""Writes the vectors that clients in any language are held to: `python -m tests.vectors.make_vectors`.

Everything comes from the gateway's own code, so the vectors say what it does. Run it when a rule changes on
purpose; tokens are signed anew each time, by a key that is thrown away.
"""

import base64
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jwt.algorithms import ECAlgorithm

from gateway.client.documents import Poll
from gateway.client.pace import enter_delay, may_hold_for, poll_after, retry_after, when_full
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.draw import Draw, commitment_to
from gateway.domain.events import EventState, LetIn, turn_of
from gateway.domain.holes import Holes
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo, Turn, ahead_of
from gateway.domain.waiting import Wait, WaitCurve
from gateway.pointer import pointer_document
from gateway.tokens.codec import POINTER_TYP, Signer
from gateway.tokens.compact import encode_segment
from gateway.tokens.jwks import jwks_document
from gateway.tokens.keyring import KeyRing, new_key
from tests.support.reads import event

FOLDER = Path(__file__).parent

ISSUER = "admission-gateway"
SALE = EventId("sale")
NOW_S = 1_800_000_000
GENERATION = Generation(1_799_990_000)

SEED = bytes(range(32))
HOLES = Holes(((5, 9), (20, 20), (100, 199)))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        for keys in (ours, theirs):
            new_key(keys, now_s=NOW_S)
        ring, stranger = KeyRing.load(ours), KeyRing.load(theirs)
        write("keys", json.loads(jwks_document(ring.public_keys())))
        write("tokens", tokens(ring, stranger))
        write("pointers", pointers(ring, stranger))
    write("turns", {"draws": list(map(drawn, (1, 2, 3, 5, 10, 64, 65, 1000, 65_537, 2**33 + 1)))})
    write("places", {"places": places()})
    write("waits", {"waits": waits()})
    write("back_off", back_off())


def write(name: str, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=True)
    (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")


# --- What is signed ------------------------------------------------------------------------------


def tokens(ring: KeyRing, stranger: KeyRing) -> dict[str, Any]:
    signer = Signer(ring)
    place = QueueClaims(
        ISSUER, SALE, "bWFkZS1ieS1oYW5k", Position(7), GENERATION, NOW_S, NOW_S + 86_400, 1500
    )
    held = PassClaims(ISSUER, SALE, "bWFkZS1ieS1oYW5k", Position(7), GENERATION, NOW_S, NOW_S + 600)
    good = signer.sign_queue(place)
    header, payload, signature = good.split(".")

    def changed(**members: object) -> str:
        return signer.sign("queue+jwt", {**place.to_payload(), **members})

    def with_header(members: Mapping[str, object]) -> str:
        return signed_as_it_is(ring, json.dumps(members).encode(), place.to_payload())

    kid = signer.kid
    plain = {"alg": "ES256", "kid": kid, "typ": "queue+jwt"}
    forged = encode_segment(json.dumps({**place.to_payload(), "pos": 1}).encode()).decode()
    genuine = {
        "a place": good,
        "a place with a head start": signer.sign_queue(replace(place, head_start=3)),
        "the highest position": signer.sign_queue(replace(place, position=Position(2**53 - 1))),
    }
    refused = [
        ("a pass", signer.sign_pass(held), "wrong-type"),
        (
            "a pointer document",
            signer.sign_pointer(statement_of(pointer_document(event(9, 3)))),
            "wrong-type",
        ),
        ("another's key", Signer(stranger).sign_queue(place), "unknown-key"),
        ("another payload", f"{header}.{forged}.{signature}", "bad-signature"),
        ("another event", changed(aud="other"), "wrong-event"),
        ("another issuer", changed(iss="them"), "wrong-issuer"),
        ("a position that is true", changed(pos=True), "bad-claims"),
        ("a position of zero", changed(pos=0), "bad-claims"),
        ("a position in text", changed(pos="7"), "bad-claims"),
        ("an end before the beginning", changed(exp=NOW_S), "bad-claims"),
        ("no algorithm", with_header({**plain, "alg": "none"}), "malformed"),
        ("a header with its own key", with_header({**plain, "jwk": {}}), "malformed"),
        ("no type", with_header({"alg": "ES256", "kid": kid}), "malformed"),
        ("padding", f"{header}=.{payload}.{signature}", "malformed"),
        ("two segments", f"{header}.{payload}", "malformed"),
        ("nothing", "", "malformed"),
        ("another spelling of the signature", other_spelling(good), "malformed"),
    ]
    return {
        "event": SALE,
        "issuer": ISSUER,
        "genuine": [
            {"name": name, "token": token, "claims": claims_of(token)}
            for name, token in genuine.items()
        ],
        "refused": [
            {"name": name, "token": token, "fault": fault} for name, token, fault in refused
        ],
    }


def pointers(ring: KeyRing, stranger: KeyRing) -> dict[str, Any]:
    signer = Signer(ring)
    draw = Draw(commitment_to(SEED), SEED.hex(), 1000)
    history = tuple(LetIn(100 * n, 50, 1) for n in range(1, 12))
    snapshots = {
        "nobody yet": event(0, 0),
        "a queue": event(5000, 300, holes=HOLES, message="Grüße 🎟"),
        "with a waiting time": event(5000, 550, history=history, open_ms=1_130_000),
        "before the draw": event(
            1000, 0, state=EventState.SCHEDULED, draw=Draw(commitment_to(SEED)), message="Soon."
        ),
        "after the draw": event(1200, 10, draw=draw),
        "paused": event(9, 3, state=EventState.PAUSED),
        "closed": event(9, 3, state=EventState.CLOSED),
        "suspended": event(9, 3, state=EventState.SUSPENDED),
        "deleted": event(9, 3, state=EventState.DELETED),
    }
    documents = {
        name: pointer_document(replace(snapshot, generation=GENERATION))
        for name, snapshot in snapshots.items()
    }
    base = statement_of(documents["a queue"])
    good = signer.sign_pointer(base)
    header, _, signature = good.split(".")

    def changed(**members: object) -> str:
        return signer.sign_pointer({**base, **members})

    forged = encode_segment(json.dumps({**base, "served_up_to": 4000}).encode()).decode()
    refused = [
        ("a place", signer.sign("queue+jwt", base), "wrong-type"),
        ("a voucher", signer.sign("voucher+jwt", {"aud": SALE}), "wrong-type"),
        ("another's key", Signer(stranger).sign_pointer(base), "unknown-key"),
        ("another pointer", f"{header}.{forged}.{signature}", "bad-signature"),
        ("another event", changed(aud="other", event="other"), "wrong-event"),
        ("another issuer", changed(iss="them"), "wrong-issuer"),
        ("two events", changed(event="other"), "bad-claims"),
        ("two generations", changed(gen=GENERATION + 1), "bad-claims"),
        ("a pointer in text", changed(served_up_to="300"), "bad-claims"),
        ("a pointer below zero", changed(served_up_to=-1), "bad-claims"),
        ("a hole without an end", changed(holes=[[5]]), "bad-claims"),
        ("no poll", changed(poll=None), "bad-claims"),
        (
            "a list",
            signed_as_it_is(
                ring,
                json.dumps({"alg": "ES256", "kid": signer.kid, "typ": POINTER_TYP}).encode(),
                [base],
            ),
            "malformed",
        ),
        ("nothing", "", "malformed"),
    ]
    return {
        "event": SALE,
        "issuer": ISSUER,
        "genuine": [
            {
                "name": name,
                "statement": signer.sign_pointer(statement_of(document)),
                "issued_at": NOW_S,
                "document": document,
            }
            for name, document in documents.items()
        ],
        "refused": [
            {"name": name, "statement": text, "fault": fault} for name, text, fault in refused
        ],
    }


def statement_of(document: Mapping[str, Any]) -> dict[str, Any]:
    claims = {"iss": ISSUER, "aud": SALE, "gen": document["generation"], "iat": NOW_S}
    return {**document, **claims}


def signed_as_it_is(ring: KeyRing, header: bytes, payload: object) -> str:
    """Sign what our signer never would."""
    signing_input = encode_segment(header) + b"." + encode_segment(json.dumps(payload).encode())
    key = ring.active_signing_key.private_key
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signing_input, key)
    return (signing_input + b"." + encode_segment(signature)).decode()


def other_spelling(token: str) -> str:
    """Set a bit that belongs to no byte of the signature."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) | 1]


def claims_of(token: str) -> Any:
    segment = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


# --- What is worked out --------------------------------------------------------------------------


def drawn(count: int) -> dict[str, Any]:
    draw = Draw(commitment_to(SEED), SEED.hex(), count)
    positions = {1, 2, 3, count // 2, count - 1, count, count + 1, count + 1000}
    cases = [(position, 0) for position in sorted(positions) if position >= 1]
    cases += [(1, 2), (count, 1), (count + 5, 10_000_000_000)]
    return {
        "draw": {"commitment": draw.commitment, "seed": draw.seed, "count": count},
        "turns": [
            {"position": position, "head_start": start, "turn": turn}
            for position, start in cases
            if (turn := turn_of(Position(position), start, draw)) is not None
        ],
    }


def places() -> list[dict[str, Any]]:
    turns = (1, 4, 5, 9, 10, 20, 21, 99, 100, 150, 199, 200, 1000)
    return [
        {
            "turn": turn,
            "served_up_to": served,
            "holes": [list(hole) for hole in holes.ranges],
            "ahead": ahead_of(Turn(turn), ServedUpTo(served), holes),
        }
        for holes in (Holes(), HOLES)
        for served in (0, 4, 7, 9, 50, 150, 199, 5000)
        for turn in turns
    ]


def waits() -> list[dict[str, Any]]:
    curves = (
        ((0, 10, 70), (1, 10, 70)),
        ((0, 0, 60), (49, 5, 90), (50, 61, 240), (99, 70, 300), (600, 601, 1777)),
        ((0, 3, 7), (7, 11, 29), (4 * 4**7, 123_457, 765_433)),
    )
    found: list[dict[str, Any]] = []
    for curve in curves:
        for ahead in (0, 1, 2, 6, 7, 8, 33, 49, 50, 51, 98, 99, 100, 599, 601, 5000, 1_000_001):
            wait = WaitCurve(curve).at(ahead)
            found.append(
                {
                    "curve": [list(point) for point in curve],
                    "ahead": ahead,
                    "low": wait.low_s,
                    "high": wait.high_s,
                }
            )
    return found


CHANCES = (0, 0.25, 0.5, 0.999)


def back_off() -> dict[str, Any]:
    poll = Poll()
    bounds = {"nearest": 2, "farthest": 60, "unknown": 10, "heartbeat": 15}
    fronts: list[tuple[int | None, tuple[int, int] | None]]
    fronts = [(None, None), (0, None), (99, None), (1000, None), (10**6, None)]
    fronts += [(3, (0, 60)), (30, (45, 90)), (500, (333, 900)), (10**5, (7200, 9000))]
    return {
        "poll": [
            {
                "poll": bounds,
                "ahead": ahead,
                "wait": None if wait is None else {"low": wait[0], "high": wait[1]},
                "chance": chance,
                "seconds": poll_after(poll, ahead, None if wait is None else Wait(*wait), chance),
            }
            for ahead, wait in fronts
            for chance in CHANCES
        ],
        "retry": [
            {"failures": failures, "chance": chance, "seconds": retry_after(failures, chance)}
            for failures in (1, 2, 3, 5, 6, 7, 20)
            for chance in CHANCES
        ],
        "full": [
            {
                "times": times,
                "least": least,
                "left": left,
                "chance": chance,
                "seconds": when_full(times, least, left, chance),
            }
            for times in (1, 2, 5, 30)
            for least in (0, 5, 90)
            for left in (0, 20, 900)
            for chance in CHANCES
        ],
        "enter": [
            {
                "turn": turn,
                "served_before": before,
                "served_up_to": served,
                "most": most,
                "seconds": enter_delay(turn, before, served, most),
            }
            for turn in (1, 6, 500, 10_000)
            for before, served in ((0, 10), (5, 5), (5, 10_005), (0, 100_000))
            for most in (0, 10, 870)
        ],
        "hold": [
            {
                "window": window,
                "since_turn": since,
                "margin": 30,
                "seconds": may_hold_for(window, since, 30),
            }
            for window in (0, 60, 900)
            for since in (0, 40, 1000)
        ],
    }


if __name__ == "__main__":
    main()
