"""Hosts, prefixes and open lists: protect by default, the longest prefix wins."""

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
    canonical_path,
    find_clashes,
    parse_host,
)
from gateway.domain.targets import canonical_target

HOST = "booking.example"


def route(
    name: str,
    *prefixes: str,
    hosts: tuple[str, ...] = (HOST,),
    opened: tuple[str, ...] = (),
    finish: tuple[str, ...] = (),
) -> EventRoute:
    return EventRoute(
        event=EventId(name),
        hosts=hosts,
        prefixes=prefixes,
        open_paths=tuple(PathEntry.parse(text) for text in opened),
        finish_paths=tuple(PathEntry.parse(text) for text in finish),
    )


def designate(
    table: RouteTable, path: str, *, host: str = HOST, method: str = "GET"
) -> Designation:
    return table.designate(host, method, canonical_target(path.encode()))


def owners(designation: Designation) -> list[str]:
    assert isinstance(designation, Protected), designation
    return [route.event for route in designation.events]


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/", "site"),
        ("/book", "book"),
        ("/book/", "book"),
        ("/book/1", "book"),
        ("/bookshop", "site"),
        ("/book-2", "site"),
        ("/book.html", "site"),
        ("/book/vip", "vip"),
        ("/book/vip/", "vip"),
        ("/book/vip/1", "vip"),
        ("/book/vips", "book"),
        ("/book/x/vip", "book"),
        ("/x/book/vip", "site"),
    ],
)
def test_the_longest_prefix_of_whole_segments_wins(path: str, owner: str) -> None:
    site, book, vip = route("site"), route("book", "/book"), route("vip", "/book/vip")
    for order in ((site, book, vip), (vip, book, site), (book, vip, site)):
        assert owners(designate(RouteTable(order), path)) == [owner]


def test_a_prefix_with_a_final_slash_covers_the_folder_s_own_name_too() -> None:
    table = RouteTable((route("book", "/book/"), route("site")))
    assert owners(designate(table, "/book")) == ["book"]
    assert owners(designate(table, "/bookshop")) == ["site"]


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/book", "/BOOK/seat"),
        ("/Book", "/book/seat"),
        ("/konzert-%C3%BC", "/konzert-%c3%9c/1"),
        ("/a(b)", "/a%28b%29/1"),
        ("/a%28b%29", "/A(B)/1"),
        ("/caf%C3%A9", "/cafe%CC%81"),
        ("/book", "/%EF%BC%A2ook"),
    ],
)
def test_a_prefix_holds_for_every_spelling_that_a_backend_may_read_as_it(
    prefix: str, path: str
) -> None:
    table = RouteTable((route("one", prefix), route("two", "/other")))
    assert owners(designate(table, path)) == ["one"]


def test_a_path_that_no_prefix_covers_needs_a_pass_of_any_event_on_the_host() -> None:
    table = RouteTable((route("one", "/one", "/more"), route("two", "/two")))
    assert sorted(owners(designate(table, "/else"))) == ["one", "two"]


def test_an_event_without_prefixes_covers_its_whole_hosts() -> None:
    table = RouteTable((route("one", hosts=("a.example", "b.example")),))
    for host in ("a.example", "b.example"):
        for path in ("/", "/x", "/x/y.css", "/healthz"):
            assert owners(designate(table, path, host=host)) == ["one"]


def test_a_host_that_nobody_names_is_unknown_and_not_open() -> None:
    table = RouteTable((route("one"),), frozenset({"static.example"}))
    assert isinstance(designate(table, "/", host="evil.example"), UnknownHost)
    assert isinstance(designate(table, "/", host="static.example"), Undesignated)
    assert not table.names_host("static.example")
    assert not table.names_host("evil.example")
    assert table.names_host(HOST)


def test_every_other_host_is_open_only_where_the_operator_says_so() -> None:
    table = RouteTable((route("one"),), frozenset({"*"}))
    assert isinstance(designate(table, "/", host="evil.example"), Undesignated)
    assert owners(designate(table, "/")) == ["one"]


def test_an_event_on_every_host_protects_hosts_that_nobody_names() -> None:
    table = RouteTable((route("every", hosts=("*",)), route("one", "/one")), frozenset({"*"}))
    assert owners(designate(table, "/", host="evil.example")) == ["every"]
    assert owners(designate(table, "/one", host="evil.example")) == ["every"]
    assert owners(designate(table, "/one")) == ["one"]
    assert table.names_host("evil.example")


def test_a_host_that_an_event_names_is_protected_even_if_it_is_listed_as_open() -> None:
    table = RouteTable((route("one"),), frozenset({HOST, "*"}))
    assert owners(designate(table, "/")) == ["one"]


def test_a_table_without_events_opens_nothing() -> None:
    assert isinstance(designate(RouteTable(()), "/"), UnknownHost)


@pytest.mark.parametrize(
    ("entry", "method", "path", "covered"),
    [
        ("/healthz", "GET", "/healthz", True),
        ("/healthz", "POST", "/HEALTHZ", True),
        ("/healthz", "GET", "/healthz/", False),
        ("/healthz", "GET", "/healthz/x", False),
        ("/healthz", "GET", "/healthz.css", False),
        ("/healthz", "GET", "/x/healthz", False),
        ("/assets/", "GET", "/assets/", True),
        ("/assets/", "GET", "/assets/a/b.css", True),
        ("/assets/", "GET", "/assets", False),
        ("/assets/", "GET", "/assetsx/a", False),
        ("GET,HEAD /p", "GET", "/p", True),
        ("GET,HEAD /p", "HEAD", "/p", True),
        ("GET,HEAD /p", "POST", "/p", False),
        ("GET,HEAD /p", "get", "/p", False),
        ("GET,HEAD /p", "GET,HEAD", "/p", False),
        ("GET,HEAD /p", "*", "/p", False),
        ("* /p", "PROPFIND", "/p", True),
        ("M-SEARCH /p", "M-SEARCH", "/p", True),
    ],
)
def test_an_entry_is_methods_and_an_exact_path_or_a_folder(
    entry: str, method: str, path: str, covered: bool
) -> None:
    target = canonical_target(path.encode())
    assert PathEntry.parse(entry).covers(method, target) is covered


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "healthz",
        "GET",
        "GET healthz",
        "get /p",
        "Get /p",
        "GET, HEAD /p",
        "GET  /p",
        " /p",
        "GET ",
        "GET,/p",
        ", /p",
        "GET, /p",
        "GET,,HEAD /p",
        "GET,* /p",
        "G3T /p",
        "ÄNDERE /p",
        "GET\t/p",
        "GET /p /q",
        "/p/*/../q",
        "//p",
        "/p;x",
        "/p?x",
        "/p#x",
        "/%70",
        "/é",
        "*.css",
        "/p ",
    ],
)
def test_an_entry_that_would_never_match_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"methods|the path|the target"):
        PathEntry.parse(text)


def test_an_open_entry_opens_for_its_methods_and_protects_for_the_rest() -> None:
    table = RouteTable((route("one", opened=("POST /webhooks/payment", "/assets/")),))
    assert isinstance(designate(table, "/webhooks/payment", method="POST"), OpenPath)
    assert owners(designate(table, "/webhooks/payment", method="GET")) == ["one"]
    assert isinstance(designate(table, "/assets/x.css", method="DELETE"), OpenPath)


def test_an_event_s_open_entry_opens_nothing_under_another_event_s_prefix() -> None:
    table = RouteTable((route("one", "/one", opened=("/two/free",)), route("two", "/two")))
    assert owners(designate(table, "/two/free")) == ["two"]


def test_an_open_entry_holds_where_no_prefix_covers() -> None:
    one, two = route("one", "/one", opened=("/free",)), route("two", "/two")
    opened = designate(RouteTable((two, one)), "/free")
    assert opened == OpenPath(one)


def test_finish_entries_open_nothing() -> None:
    one = route("one", finish=("POST /checkout/", "/thanks"))
    assert owners(designate(RouteTable((one,)), "/thanks")) == ["one"]
    assert one.is_finish("GET", canonical_target(b"/thanks"))
    assert one.is_finish("POST", canonical_target(b"/checkout/pay"))
    assert not one.is_finish("GET", canonical_target(b"/checkout/pay"))
    assert not one.is_finish("GET", canonical_target(b"/thanks/x"))


def test_a_route_is_found_by_its_event() -> None:
    one, two = route("one", "/one"), route("two", "/two")
    table = RouteTable((one, two))
    assert table.find(EventId("two")) is two
    assert table.find(EventId("three")) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/book", "/book"),
        ("/book", "/BOOK"),
        ("/book", "/book/"),
        ("/book/", "/Book"),
        ("/caf%C3%A9", "/CAF%c3%89"),
        ("/a(b)", "/a%28b%29"),
        ("/", "/"),
    ],
)
def test_two_events_that_claim_one_prefix_clash(first: str, second: str) -> None:
    clashes = find_clashes([route("one", first), route("two", second)])
    assert len(clashes) == 1
    assert "'one'" in clashes[0]
    assert "'two'" in clashes[0]


def test_two_events_that_cover_one_whole_host_clash() -> None:
    assert find_clashes([route("one"), route("two")])
    assert find_clashes([route("one"), route("two", "/")])


def test_events_on_different_hosts_or_prefixes_do_not_clash() -> None:
    assert not find_clashes(
        iter(
            [
                route("one"),
                route("two", hosts=("b.example",)),
                route("three", "/three"),
                route("four", "/three/four"),
                route("every", hosts=("*",)),
            ]
        )
    )


@pytest.mark.parametrize("prefixes", [(), ("/book",)])
def test_an_open_slash_is_the_front_page_and_never_the_whole_site(
    prefixes: tuple[str, ...],
) -> None:
    held = route("one", *prefixes, opened=("GET /",))
    assert find_clashes([held]) == []
    table = RouteTable((held,))
    front = table.designate(HOST, "GET", canonical_target(b"/"))
    assert isinstance(front, OpenPath)
    for path in (b"/x", b"/book", b"/book/seat"):
        assert isinstance(table.designate(HOST, "GET", canonical_target(path)), Protected)


@pytest.mark.parametrize(
    ("prefixes", "opened"),
    [
        (("/book",), "/book/"),
        (("/book/",), "/BOOK/"),
        (("/shop/book",), "/shop/"),
        (("/shop/caf%C3%A9",), "/SHOP/"),
        (("/a", "/shop/book"), "GET,HEAD /shop/"),
    ],
)
def test_an_open_folder_that_holds_a_protected_prefix_is_a_mistake(
    prefixes: tuple[str, ...], opened: str
) -> None:
    assert find_clashes([route("one", *prefixes, opened=(opened,))])


def test_an_open_folder_may_not_hold_another_event_s_prefix_on_a_shared_host() -> None:
    one, two = route("one", "/one", opened=("/assets/",)), route("two", "/assets/vip")
    assert find_clashes([one, two])
    assert find_clashes([two, one])
    assert not find_clashes([one, route("two", "/assets/vip", hosts=("b.example",))])


@pytest.mark.parametrize("opened", ["/book", "/book/assets/", "/bookshop/", "/assets/", "/free"])
def test_an_open_entry_inside_or_beside_a_prefix_is_no_mistake(opened: str) -> None:
    assert not find_clashes([route("one", "/book", opened=(opened,))])


def test_a_host_of_the_settings_is_read_like_one_of_a_request() -> None:
    assert parse_host("*") == "*"
    assert parse_host("Booking.Example.:8443") == "booking.example"


@pytest.mark.parametrize(
    "text", ["", "*.example", "a b", "http://a", "a/b", "a,b", "münchen.example"]
)
def test_a_host_of_the_settings_that_no_request_can_have_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="Host"):
        parse_host(text)


@pytest.mark.parametrize("text", ["", "book", "/book/../x", "//", "/a b", "/é", "/%61"])
def test_a_path_of_the_settings_that_no_request_can_have_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"the path|the target"):
        canonical_path(text)
