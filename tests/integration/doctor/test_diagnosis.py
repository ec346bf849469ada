"""`POST /queue/{event}/diagnosis`: for who can write the ledger, once; for others it is not there."""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from gateway.api.diagnosis import LOOK_UP_EVERY_S
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.queue import DIAGNOSIS_LIFE_S, diagnosis_name
from gateway.queue.desk import hashed
from tests.integration.doctor.chains import EVENT, HOST, Site
from tests.support.eventually import eventually
from tests.support.replies import Reply, ask
from tests.support.servers import RealServer

T = TypeVar("T")


def ledger_of(site: Site, act: Callable[[RedisLedger], Awaitable[T]]) -> T:
    async def run() -> T:
        ledger = RedisLedger(site.gateway.settings.ledger.url)
        try:
            return await act(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(run())


def new_code(site: Site, event: str = EVENT) -> str:
    code = secrets.token_urlsafe(32)
    ledger_of(
        site,
        lambda ledger: ledger.put_handover(
            EventId(event), diagnosis_name(code), "doctor", DIAGNOSIS_LIFE_S
        ),
    )
    return code


def diagnose(site: Site, code: object, event: str = EVENT, *fields: tuple[str, str]) -> Reply:
    headers = [("host", HOST), ("content-type", "application/json"), *fields]
    body = json.dumps({"code": code}).encode()
    return ask(site.gateway.port, "POST", f"/queue/{event}/diagnosis", headers, body)


def answered(site: Site, code: str, *fields: tuple[str, str]) -> Reply:
    """Ask until the gateway looks codes up again: it does so only so often."""
    replies: list[Reply] = []

    def is_answered() -> bool:
        replies.append(diagnose(site, code, EVENT, *fields))
        return replies[-1].status == 200

    eventually(is_answered, 5)
    return replies[-1]


def lookups(valkey: RealServer) -> int:
    """Return how many codes were looked up in the ledger."""
    rows = str(valkey.raw("INFO", "commandstats")).splitlines()
    line = next((row for row in rows if row.startswith("cmdstat_getdel:")), "")
    return int(line.partition("calls=")[2].partition(",")[0] or 0)


def is_refused(site: Site, valkey: RealServer, code: str) -> bool:
    """Whether a code is looked up and found to be none."""
    before, replies = lookups(valkey), set[int]()

    def is_looked_up() -> bool:
        replies.add(diagnose(site, code).status)
        return lookups(valkey) > before

    eventually(is_looked_up, 5)
    return replies == {404}


def test_a_code_is_answered_once(deployed: Site, valkey: RealServer) -> None:
    code = new_code(deployed)
    document = answered(deployed, code).json()
    assert (document["event"], document["mode"], document["host"]) == (EVENT, "enforce", HOST)
    assert (document["peer"], document["peer_trusted"]) == ("127.0.0.1", False)
    assert is_refused(deployed, valkey, code)


def test_a_stranger_is_answered_as_where_nothing_is(deployed: Site) -> None:
    headers = [("host", HOST)]
    nothing = ask(deployed.gateway.port, "POST", f"/queue/{EVENT}/nothing", headers, b"")
    for code in ("", "x", "A" * 43, secrets.token_urlsafe(32), "A" * 5000):
        reply = diagnose(deployed, code)
        assert (reply.status, reply.body) == (404, nothing.body), code


def test_the_code_of_another_event_or_of_a_handover_is_none(
    deployed: Site, valkey: RealServer
) -> None:
    other = new_code(deployed, "watched")
    handover = secrets.token_urlsafe(32)
    ledger_of(
        deployed,
        lambda ledger: ledger.put_handover(EventId(EVENT), hashed(handover), "a pass", 30),
    )
    for code in (other, handover):
        assert is_refused(deployed, valkey, code)
    # And none of them was used up by it.
    event, watched = EventId(EVENT), EventId("watched")
    assert ledger_of(deployed, lambda ledger: ledger.take_handover(event, hashed(handover)))
    assert ledger_of(deployed, lambda ledger: ledger.take_handover(watched, diagnosis_name(other)))


def test_it_tells_no_token_and_no_cookies_value(deployed: Site) -> None:
    secret = "t0k3n-v4lu3"
    fields = [
        ("cookie", f"queue-{EVENT}={secret}; session={secret}"),
        ("queue-token", secret),
        ("authorization", f"Bearer {secret}"),
        ("x-forwarded-for", "198.51.100.7"),
        ("queue-position", "3"),
    ]
    reply = answered(deployed, new_code(deployed), *fields)
    document = reply.json()
    assert secret not in reply.body.decode()
    assert document["cookies"] == [f"queue-{EVENT}", "session"]
    assert document["queue_fields"] == ["queue-position", "queue-token"]
    assert ["x-forwarded-for", "198.51.100.7"] in document["fields"]
    # Nobody has named a proxy at this address: what it says is not believed.
    assert document["address"] == "127.0.0.1"
    assert reply.header("cache-control") == "no-store"


def test_strangers_cost_the_ledger_few_calls(deployed: Site, valkey: RealServer) -> None:
    before, wrong = lookups(valkey), 200
    began_s = time.monotonic()
    for _ in range(wrong):
        diagnose(deployed, secrets.token_urlsafe(32))
    lasted_s = time.monotonic() - began_s
    assert lookups(valkey) - before <= lasted_s / LOOK_UP_EVERY_S + 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"code": 1}', b'{"code": "x", "more": "y"}'])
def test_a_bad_body_is_a_bad_request_or_nothing(deployed: Site, body: bytes) -> None:
    headers = [("host", HOST), ("content-type", "application/json")]
    reply = ask(deployed.gateway.port, "POST", f"/queue/{EVENT}/diagnosis", headers, body)
    assert reply.status in (400, 404)
