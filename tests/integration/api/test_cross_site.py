"""Who may call from a page of another site: the origins that an event lists, and nobody else."""

import pytest

from tests.support.replies import Reply
from tests.support.staging import LISTED_ORIGIN, Stage
from tests.support.visitors import Visitor

VERBS = ("join", "claim", "extend", "refresh", "leave")
FORBIDDEN = (403, "about:blank")

ACCEPTED = {
    "no browser": {},
    "its own page": {"origin": "http://{host}"},
    "its own page over TLS": {"origin": "https://{host}"},
    "its own page at a port": {"origin": "https://{host}:8443"},
    "a listed origin": {"origin": LISTED_ORIGIN},
    "a listed origin, which is another site": {
        "origin": LISTED_ORIGIN,
        "sec-fetch-site": "cross-site",
    },
    "its own page, as browsers tell": {
        "origin": "http://{host}",
        "sec-fetch-site": "same-origin",
    },
    "the address bar": {"sec-fetch-site": "none"},
    "its own page without an origin": {"sec-fetch-site": "same-origin"},
}
REFUSED = {
    "another site": {"origin": "https://evil.example"},
    "a sandbox": {"origin": "null"},
    "nothing": {"origin": ""},
    "a name in front": {"origin": "https://evil.{host}"},
    "a name behind": {"origin": "https://{host}.evil.example"},
    "a letter in front": {"origin": "https://x{host}"},
    "the host as a user": {"origin": "https://{host}@evil.example"},
    "the host as a path": {"origin": "https://evil.example/{host}"},
    "another scheme": {"origin": "ftp://{host}"},
    "no scheme": {"origin": "{host}"},
    "a scheme-relative one": {"origin": "//{host}"},
    "an extension": {"origin": "chrome-extension://{host}"},
    "half an address": {"origin": "http://[::1"},
    "no host": {"origin": "http://"},
    "a listed origin at another port": {"origin": f"{LISTED_ORIGIN}:8443"},
    "a listed origin without TLS": {"origin": LISTED_ORIGIN.replace("https", "http")},
    "a listed origin and a slash": {"origin": f"{LISTED_ORIGIN}/"},
    "a listed origin and more": {"origin": f"{LISTED_ORIGIN}.evil.example"},
    "another site, as browsers tell": {"sec-fetch-site": "cross-site"},
    "a neighbour, as browsers tell": {"sec-fetch-site": "same-site"},
    "an unknown word": {"sec-fetch-site": "trust-me"},
    "nothing at all": {"sec-fetch-site": ""},
}


def named(stage: Stage, headers: dict[str, str]) -> dict[str, str]:
    return {name: value.format(host=stage.host) for name, value in headers.items()}


@pytest.mark.parametrize("note", ACCEPTED)
def test_a_join_is_taken_from(stage: Stage, note: str) -> None:
    assert stage.visitor().call("join", named(stage, ACCEPTED[note])).status == 201


@pytest.mark.parametrize("note", REFUSED)
def test_a_join_is_not_taken_from(stage: Stage, note: str) -> None:
    reply = stage.visitor().call("join", named(stage, REFUSED[note]))
    assert reply.verdict == FORBIDDEN
    assert stage.operator.read(stage.event).issued == 0


def test_two_origins_are_none(stage: Stage) -> None:
    headers = [("origin", f"http://{stage.host}"), ("origin", "https://evil.example")]
    assert stage.visitor().call("join", headers).verdict == (400, "about:blank")


@pytest.mark.parametrize("verb", VERBS)
def test_no_call_that_changes_something_is_taken_from_another_site(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    cookies = dict(visitor.cookies)
    for headers in REFUSED.values():
        assert visitor.call(verb, named(stage, headers)).verdict == FORBIDDEN
    assert visitor.cookies == cookies
    assert stage.operator.read(stage.event).active_sessions == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_page_of_a_listed_origin_may_read_every_answer(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    answers = [
        visitor.call(verb, {"origin": LISTED_ORIGIN}),
        stage.visitor().call(verb, {"origin": LISTED_ORIGIN}),
        stage.visitor().call(verb, {"origin": LISTED_ORIGIN}, nonsense="1"),
    ]
    assert answers[2].status == 400
    for reply in answers:
        assert reply.header("access-control-allow-origin") == LISTED_ORIGIN
        assert reply.header("vary") == "Origin"
        exposed = (reply.header("access-control-expose-headers") or "").split(", ")
        assert {"Retry-After", "Queue-Event", "Queue-Position", "Queue-Visitor"} <= set(exposed)
        # Cookies stay with the site: a page elsewhere shows its token itself.
        assert reply.header("access-control-allow-credentials") is None


@pytest.mark.parametrize("verb", ["position", *VERBS])
def test_a_page_of_any_other_origin_may_read_none(stage: Stage, verb: str) -> None:
    reply = stage.waiting().call(verb, {"origin": "https://evil.example"})
    assert reply.header("access-control-allow-origin") is None
    # A cache must not give it to a page of a listed origin.
    assert reply.header("vary") == "Origin"


@pytest.mark.parametrize("verb", ["", "position", *VERBS])
def test_a_preflight_is_answered_without_a_token(stage: Stage, verb: str) -> None:
    method = "POST" if verb in VERBS else "GET"
    reply = preflight(stage.visitor(), verb, LISTED_ORIGIN, method)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.header("access-control-allow-origin") == LISTED_ORIGIN
    assert reply.header("access-control-allow-methods") == method
    allowed = (reply.header("access-control-allow-headers") or "").lower().split(", ")
    assert {"queue-token", "authorization", "content-type", "idempotency-key"} <= set(allowed)
    assert stage.operator.read(stage.event).issued == 0


@pytest.mark.parametrize("page", ["room", "room/plain", "onward", "enter"])
def test_no_page_is_for_scripts_of_other_origins(stage: Stage, page: str) -> None:
    reply = stage.waiting().call(page, {"origin": LISTED_ORIGIN})
    assert reply.header("access-control-allow-origin") is None
    assert preflight(stage.visitor(), page, LISTED_ORIGIN, "GET").status == 405


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{LISTED_ORIGIN}.evil.example"]
)
def test_a_preflight_from_elsewhere_allows_nothing(stage: Stage, origin: str) -> None:
    reply = preflight(stage.visitor(), "join", origin, "POST")
    assert reply.status == 204
    assert reply.header("access-control-allow-origin") is None


def preflight(visitor: Visitor, verb: str, origin: str, method: str) -> Reply:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "queue-token, idempotency-key",
    }
    return visitor.ask("OPTIONS", f"/queue/{visitor.event}/{verb}".rstrip("/"), headers)
