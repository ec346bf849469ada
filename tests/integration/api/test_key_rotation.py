"""Keys come and go while visitors hold tokens: a rotation breaks none of them."""

import json
import time
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from gateway.tokens.keyring import activate, list_keys, new_key, remove
from tests.support.eventually import eventually
from tests.support.gateways import Tables
from tests.support.minting import Mint
from tests.support.staging import Stage
from tests.support.visitors import Visitor

ON_A_SECOND_LOOK_S = 4.0
"""The gateway looks at its keys once a second."""


@pytest.fixture(scope="module")
def rotating(short_folder: Path) -> Mint:
    """Keys of this module alone."""
    return Mint(short_folder / "rotating-keys")


@pytest.fixture(scope="module")
def tables(tables: Tables, rotating: Mint) -> Tables:
    return {**tables, "keys": {"dir": str(rotating.folder)}}


def kid_of(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def published(visitor: Visitor) -> set[str]:
    return {str(key["kid"]) for key in visitor.get("/.well-known/jwks.json").json()["keys"]}


def test_a_rotation_breaks_no_token_and_a_removal_breaks_its_own(
    stage: Stage, rotating: Mint
) -> None:
    folder = rotating.folder
    (old,) = [key.kid for key in list_keys(folder)]
    waiting, admitted = stage.waiting(), stage.admitted()
    held, place = admitted.held, waiting.place
    asking = stage.visitor()

    # Next: known to everyone before it signs.
    fresh = new_key(folder, now_s=time.time()).kid
    eventually(lambda: published(asking) == {old, fresh}, ON_A_SECOND_LOOK_S)
    assert kid_of(stage.waiting().place) == old

    # Active: signs from now on. What the retired one signed stays good.
    activate(folder, fresh, now_s=time.time())
    eventually(lambda: kid_of(stage.waiting().place) == fresh, ON_A_SECOND_LOOK_S)
    assert published(asking) == {old, fresh}
    assert waiting.call("position").json()["position"] == 1
    assert admitted.get("/book").status == 200
    refreshed = waiting.call("refresh").json()
    assert (kid_of(refreshed["token"]), refreshed["position"]) == (fresh, 1)
    assert kid_of(admitted.claim()["pass"]) == fresh

    # Removed, as after a leak: worthless from now on, whatever it signed.
    remove(folder, old)
    eventually(lambda: published(asking) == {fresh}, ON_A_SECOND_LOOK_S)
    for token in (place, held):
        reply = stage.visitor().get("/book", {"queue-token": token})
        assert reply.verdict == (401, "no-token")
    reply = stage.visitor().call("refresh", {"queue-token": place})
    assert reply.verdict == (401, "no-token")
    assert waiting.call("position").json()["position"] == 1
