"""Every known way to spell a protected path or a host so that a careless gate does not see it.

`tests/data/bypass_targets.json` and `tests/data/hosts.json` hold the spellings, each with the answer
that it must get; here the whole of both goes through the canonicaliser and many tables of routes.
"""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from gateway.domain.positions import EventId
from gateway.domain.routes import (
    Designation,
    EventRoute,
    OpenPath,
    PathEntry,
    Protected,
    RouteTable,
    Undesignated,
    UnknownHost,
    find_clashes,
)
from gateway.domain.targets import NotCanonical, Target, canonical_host, canonical_target

DATA = Path(__file__).parents[2] / "data"
HOST = "booking.example"


class TargetCase(TypedDict):
    target: str
    note: str
    expect: str


class HostCase(TypedDict):
    hosts: list[str]
    note: str
    expect: str


TARGETS: list[TargetCase] = json.loads((DATA / "bypass_targets.json").read_text("utf-8"))
HOSTS: list[HostCase] = json.loads((DATA / "hosts.json").read_text("utf-8"))


def entries(*texts: str) -> tuple[PathEntry, ...]:
    return tuple(PathEntry.parse(text) for text in texts)


OPEN = entries(
    "/healthz", "/favicon.ico", "/robots.txt", "/assets/", "GET,HEAD /public/", "/webhooks/payment"
)
WHOLE = EventRoute(EventId("whole"), (HOST,))
WHOLE_WITH_OPEN = EventRoute(EventId("whole"), (HOST,), open_paths=OPEN)
BOOK = EventRoute(EventId("book"), (HOST,), ("/book",), OPEN)
SEAT = EventRoute(EventId("seat"), (HOST,), ("/book/seat",), entries("/book/assets/"))
CONCERT = EventRoute(EventId("concert"), (HOST,), ("/concert", "/film/"), OPEN)
ELSEWHERE = EventRoute(EventId("elsewhere"), ("other.example",), ("/",), OPEN)
EVERY_HOST = EventRoute(EventId("every"), ("*",), open_paths=OPEN)

STATIC = frozenset({"static.example"})
ANY_OTHER = frozenset({"*"})

TABLES = {
    "one event covers the host": RouteTable((WHOLE,)),
    "one event covers the host, with an open list": RouteTable((WHOLE_WITH_OPEN,), STATIC),
    "one prefix": RouteTable((BOOK,), STATIC),
    "only another event's prefix": RouteTable((CONCERT,), STATIC),
    "two prefixes, one inside the other": RouteTable((BOOK, SEAT), STATIC),
    "several events": RouteTable((CONCERT, BOOK, ELSEWHERE), STATIC),
    "a prefix inside a covered host": RouteTable((WHOLE_WITH_OPEN, BOOK, CONCERT), STATIC),
    "an event on every host": RouteTable((EVERY_HOST,), STATIC),
    "an event on every host and one on this": RouteTable((EVERY_HOST, BOOK), STATIC),
    "every other host is open": RouteTable((WHOLE_WITH_OPEN, ELSEWHERE), ANY_OTHER),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS", "PROPFIND", "get", "GET ", "", "*", "GET,HEAD")


def read(target: str) -> Target:
    # As a server hands it over: the first '?' parts the query from the path.
    path, _, query = target.encode("latin-1").partition(b"?")
    return canonical_target(path, query)


def designations(host: str, target: Target) -> list[tuple[str, str, Designation]]:
    return [
        (name, method, table.designate(host, method, target))
        for name, table in TABLES.items()
        for method in METHODS
    ]


@pytest.mark.parametrize("case", TARGETS, ids=lambda case: case["note"])
def test_no_spelling_of_a_protected_path_is_judged_open(case: TargetCase) -> None:
    try:
        target = read(case["target"])
    except NotCanonical:
        assert case["expect"] == "refused"
        return
    assert case["expect"] == "protected", "read as canonical"
    for name, method, designation in designations(HOST, target):
        assert isinstance(designation, Protected), (name, method)


@pytest.mark.parametrize("case", HOSTS, ids=lambda case: case["note"])
def test_no_spelling_of_a_host_is_a_way_around_the_gate(case: HostCase) -> None:
    try:
        host = canonical_host([value.encode("latin-1") for value in case["hosts"]])
    except NotCanonical:
        assert case["expect"] == "refused"
        return
    assert case["expect"] == ("named" if host == HOST else "unknown")
    for name, table in TABLES.items():
        if table.open_hosts is ANY_OTHER and host != HOST:
            continue  # The operator's own choice.
        designation = table.designate(host, "GET", canonical_target(b"/book/seat"))
        named = host == HOST or "every host" in name
        assert isinstance(designation, Protected if named else UnknownHost), name


def test_the_corpora_are_as_large_as_they_claim_and_repeat_nothing() -> None:
    targets = [case["target"] for case in TARGETS]
    assert len(targets) >= 400
    assert len(set(targets)) == len(targets)
    assert {case["expect"] for case in TARGETS} == {"refused", "protected"}
    assert len({tuple(case["hosts"]) for case in HOSTS}) == len(HOSTS) >= 100
    assert {case["expect"] for case in HOSTS} == {"refused", "named", "unknown"}


def test_the_tables_hold_what_a_settings_file_may_hold() -> None:
    for table in TABLES.values():
        assert find_clashes(table.routes) == []


def test_the_open_lists_of_the_tables_do_open_what_they_name() -> None:
    # Otherwise the corpus would prove nothing.
    table = TABLES["one event covers the host, with an open list"]
    for path in (b"/healthz", b"/assets/x.css", b"/assets/", b"/public/a/b", b"/webhooks/payment"):
        assert isinstance(table.designate(HOST, "GET", canonical_target(path)), OpenPath)
    open_host = table.designate("static.example", "GET", canonical_target(b"/book/seat"))
    assert isinstance(open_host, Undesignated)
