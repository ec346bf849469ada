"""Nothing of ours, or that pretends to be, reaches the backend; the rest does, to the byte."""

import pytest

from tests.support.gateways import BACKEND_BODY, let_through
from tests.support.replies import ask_raw
from tests.support.staging import OpenStage, Stage

# A token of somebody else's service, as an `Authorization` may hold.
FOREIGN_JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0."
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)

SPELLINGS = [
    *("Queue-Event", "Queue-Position", "Queue-Visitor", "Queue-Session", "Queue-Status"),
    *("queue-position", "QUEUE-POSITION", "qUeUe-pOsItIoN"),
    *("Queue_Position", "queue_position", "QUEUE_VISITOR", "Queue.Position", "queue.visitor"),
    *("Queue-", "queue_", "Queue-Position-", "Queue--Position", "Queue_-Event", "Queue-Anything"),
    *("Queue.Event_x", "QUEUE.TOKEN", "Queue_Token"),
]


def test_every_spelling_of_our_fields_from_a_client_is_removed(stage: Stage) -> None:
    visitor = stage.admitted()
    honest = visitor.get("/book")
    assert honest.status == 200
    said = stage.backend.last.queue_headers
    for name in SPELLINGS:
        assert visitor.get("/book", {name: "999"}).status == 200
        assert stage.backend.last.queue_headers == said, name
        for spelled in ("queue-event", "queue-position", "queue-visitor"):
            assert len(stage.backend.last.all(spelled)) == 1


@pytest.mark.parametrize("target", ["/book", "/assets/x.css", "/about"])
def test_they_are_removed_all_at_once_and_on_open_paths_too(stage: Stage, target: str) -> None:
    visitor = stage.admitted()
    visitor.get(target, [(name, "999") for name in SPELLINGS])
    assert "999" not in stage.backend.last.queue_headers.values()


@pytest.mark.parametrize(
    "name", ["X-Queue-Position", "Queued", "Queueing-Style", "Que-ue", "X-Queue"]
)
def test_fields_that_only_look_like_ours_are_kept(stage: Stage, name: str) -> None:
    stage.admitted().get("/book", {name: "x"})
    assert stage.backend.last.all(name.lower()) == ["x"]


def test_our_cookies_are_removed_and_the_others_kept_to_the_byte(stage: Stage) -> None:
    visitor = stage.admitted()
    ours = f"queue-{stage.event}={visitor.place}; pass-{stage.event}={visitor.held}"
    kept = 'a=b; c="d, e";f=%20;  g=h=i ; j; =k; é=ü'
    first, rest = kept.split(";", 1)
    visitor.get("/book", {"cookie": f"{ours}; {kept}"})
    assert stage.backend.last.all("cookie") == [kept]
    visitor.get("/book", {"cookie": f"{first}; {ours};{rest}"})
    assert stage.backend.last.all("cookie") == [kept]
    visitor.get("/book", {"cookie": f"{kept}; {ours}"})
    assert stage.backend.last.all("cookie") == [kept]


def test_a_field_that_held_only_our_cookies_is_gone(stage: Stage) -> None:
    visitor = stage.admitted()
    visitor.get("/book")
    assert stage.backend.last.all("cookie") == []


def test_cookies_in_two_fields_stay_in_two_fields(stage: Stage) -> None:
    visitor = stage.admitted()
    visitor.get("/book", [("cookie", f"a=b; pass-{stage.event}={visitor.held}"), ("cookie", "c=d")])
    assert stage.backend.last.all("cookie") == ["a=b", "c=d"]


def test_the_cookies_of_our_other_events_are_removed_and_nobody_elses(
    open_stage: OpenStage,
) -> None:
    other, stage = open_stage(), open_stage()
    visitor = stage.admitted()
    cookie = (
        f"queue-{other.event}=x; __Host-pass-{other.event}=y; pass-{stage.event}={visitor.held}; "
        "queue-theirs=1; pass-theirs=2; queue=3; passport=4; xqueue-sale-1=5"
    )
    visitor.get("/book", {"cookie": cookie})
    assert stage.backend.last.all("cookie") == [
        "queue-theirs=1; pass-theirs=2; queue=3; passport=4; xqueue-sale-1=5"
    ]


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {FOREIGN_JWT}",
        "Bearer opaque-token",
        "bearer  two-spaces",
        "Basic dXNlcjpwYXNz",
        'Digest username="x", uri="/"',
        "Negotiate YII=",
        "",
    ],
)
def test_the_backends_own_credential_passes_unchanged_beside_our_pass(
    stage: Stage, value: str
) -> None:
    visitor = stage.admitted()
    assert visitor.get("/book", {"authorization": value}).status == 200
    assert stage.backend.last.all("authorization") == [value.strip()]
    header = {"authorization": value, "queue-token": visitor.held, "cookie": ""}
    assert visitor.get("/book", header).status == 200
    assert stage.backend.last.all("authorization") == [value.strip()]
    assert stage.backend.last.all("queue-token") == []


def test_a_foreign_credential_is_never_a_reason_to_refuse(stage: Stage) -> None:
    reply = stage.visitor().get("/book", {"authorization": f"Bearer {FOREIGN_JWT}"})
    assert reply.verdict == (401, "no-token")
    assert (
        stage.waiting().call("position", {"authorization": f"Bearer {FOREIGN_JWT}"}).status == 200
    )


def test_a_credential_of_ours_goes_no_further(stage: Stage) -> None:
    visitor = stage.admitted()
    for token in (visitor.held, visitor.place):
        visitor.get("/book", {"authorization": f"Bearer {token}"})
        assert stage.backend.last.all("authorization") == []
    # Also one that did not verify: whose it is shows in its header.
    visitor.get("/assets/x", {"authorization": f"Bearer {visitor.held[:-8]}AAAAAAAA"})
    assert stage.backend.last.all("authorization") == []


def test_everything_else_arrives_as_it_was_sent(stage: Stage) -> None:
    visitor = stage.admitted()
    sent = [
        ("x-a", "1"),
        ("x-a", "2"),
        ("X_B", "under_score"),
        ("x.c", "dot"),
        ("accept-language", "de;q=0.5, en"),
        ("x-latin", "é"),
    ]
    visitor.get("/b%C3%BCcher/a,b;".rstrip(";") + "?x=1&x=2&%20", sent)
    seen = stage.backend.last
    assert seen.target == "/b%C3%BCcher/a,b?x=1&x=2&%20"
    for name, value in sent:
        assert value in seen.all(name.lower())
    assert seen.all("x-a") == ["1", "2"]


def test_a_connection_field_takes_nothing_of_ours_away(stage: Stage) -> None:
    held = stage.admitted().held
    request = (
        f"GET /book HTTP/1.1\r\nhost: {stage.host}\r\nqueue-token: {held}\r\n"
        "connection: close, queue-event, queue-position, queue-visitor\r\n\r\n"
    )
    reply = ask_raw(stage.gateway.port, request.encode())
    assert reply is not None
    assert reply.body == BACKEND_BODY
    assert set(stage.backend.last.queue_headers) == {
        "queue-event",
        "queue-position",
        "queue-visitor",
    }


@pytest.mark.parametrize("name", ["queue~position", "queue!visitor", "QUEUE+event", "queue_x"])
def test_no_other_separator_makes_a_field_of_ours(stage: Stage, name: str) -> None:
    visitor = stage.admitted()
    assert let_through(visitor.get("/book", {name: "9"}))
    assert stage.backend.last.all(name.lower()) == []


@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_an_open_path_is_open_for_the_method_that_was_sent(stage: Stage, name: str) -> None:
    assert let_through(stage.visitor().get("/about", {name: "DELETE"}))
    assert stage.backend.last.all(name) == []
    assert let_through(stage.admitted().get("/about/1", {name: "DELETE"}))
    assert stage.backend.last.all(name) == ["DELETE"]


def test_what_a_pass_has_earned_is_private_where_the_backend_says_nothing(stage: Stage) -> None:
    assert stage.admitted().get("/book").header("cache-control") in ("private", "no-store")
    visitor = stage.admitted()
    stage.backend.says["/said"] = [("cache-control", "public, max-age=9")]
    assert visitor.get("/quiet").header("cache-control") == "private"
    assert visitor.get("/said").header("cache-control") == "public, max-age=9"
