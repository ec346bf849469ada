"""What is canonical, what is not, and why."""

import pytest

from gateway.domain.targets import (
    MAX_HOST_BYTES,
    MAX_TARGET_BYTES,
    NotCanonical,
    canonical_host,
    canonical_target,
    path_key,
)


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/book",
        b"/book/",
        b"/book/seat-12_a.b~c",
        b"/a!b$c&d'e(f)g*h+i,j=k:l@m",
        b"/caf%C3%A9",
        b"/caf%c3%a9",
        b"/a%20b",
        b"/100%25",
        b"/100%25/x",
        b"/%F0%9F%8E%AB",
        b"/%E6%97%A5%E6%9C%AC",
        b"/artist/R.E.M.",
        b"/a..b/..c/d..",
        b"/.well-known/x",
        b"/C%2B%2B",
        b"/what%3F",
        b"/no%231",
    ],
)
def test_ordinary_paths_pass_unchanged(path: bytes) -> None:
    assert canonical_target(path).path == path.decode()


def test_the_query_is_kept_as_it_came() -> None:
    target = canonical_target(b"/book", b"a=1;b=%2F..%2e&c=\\|{}^`<>\"'[]")
    assert target.query == "a=1;b=%2F..%2e&c=\\|{}^`<>\"'[]"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"", "start with '/'"),
        (b"book", "start with '/'"),
        (b"http://a/b", "start with '/'"),
        (b"*", "start with '/'"),
        (b"/a b", "must not stand there"),
        (b"/a;b", "must not stand there"),
        (b"/a\\b", "must not stand there"),
        (b"/a#b", "must not stand there"),
        (b"/a?b", "must not stand there"),
        (b"/\xc3\xa9", "must not stand there"),
        (b"/a\n", "must not stand there"),
        (b"/%", "must not stand there"),
        (b"/%4", "must not stand there"),
        (b"/%u0041", "must not stand there"),
        (b"/%2561", "encoded twice"),
        (b"/%25u0061", "encoded twice"),
        (b"/%25U0061", "encoded twice"),
        (b"/%25%EF%BC%96%EF%BC%91", "encoded twice"),
        (b"/%61", "must not be encoded"),
        (b"/%2f", "must not be encoded"),
        (b"/%5C", "must not be encoded"),
        (b"/%3b", "must not be encoded"),
        (b"/%2E%2e", "must not be encoded"),
        (b"/%00", "must not be encoded"),
        (b"/%1f", "must not be encoded"),
        (b"/%7F", "must not be encoded"),
        (b"/%C0%AF", "not UTF-8"),
        (b"/%ED%A0%80", "not UTF-8"),
        (b"/%C2%80", "control character"),
        (b"/%E2%80%8B", "control character"),
        (b"/%EF%BC%8F", "hides a separator"),
        (b"/%EF%BC%85", "hides a separator"),
        (b"/%CD%BE", "hides a separator"),
        (b"/a/./b", "dot segment"),
        (b"/a/..", "dot segment"),
        (b"/a/...", "dot segment"),
        (b"/a/..%20/b", "dot segment"),
        (b"/a/%E2%80%A5/b", "dot segment"),
        (b"//", "empty segment"),
        (b"//a", "empty segment"),
        (b"/a//b", "empty segment"),
        (b"/a//", "empty segment"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_its_reason(path: bytes, why: str) -> None:
    with pytest.raises(NotCanonical) as refusal:
        canonical_target(path)
    assert why in refusal.value.why


@pytest.mark.parametrize("query", [b" ", b"a b", b"\x00", b"\t", b"a#b", b"\x7f", b"\xe9", b"\r\n"])
def test_a_query_with_blanks_controls_or_raw_bytes_is_refused(query: bytes) -> None:
    with pytest.raises(NotCanonical, match="query"):
        canonical_target(b"/book", query)


def test_a_refusal_quotes_nothing_of_the_request() -> None:
    for path in (b"/se%63ret", b"/se cret", b"/%2561/secret", b"secret", b"/secret/../x"):
        with pytest.raises(NotCanonical) as refusal:
            canonical_target(path, b"secret")
        assert "secret" not in str(refusal.value)


def test_the_longest_target_is_8192_bytes_with_its_query() -> None:
    path = b"/" + b"a" * 4095
    canonical_target(path, b"b" * (MAX_TARGET_BYTES - len(path)))
    with pytest.raises(NotCanonical, match="too long"):
        canonical_target(path, b"b" * (MAX_TARGET_BYTES - len(path) + 1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/Book/SEAT", "/book/seat"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/CAF%C3%89", "/caf%C3%A9"),
        ("/cafe%CC%81", "/caf%C3%A9"),
        ("/a(b)", "/a%28b%29"),
        ("/a$b&c'd*e+f,g=h:i@j!", "/a%24b%26c%27d%2Ae%2Bf%2Cg%3Dh%3Ai%40j%21"),
        ("/%EF%BD%82ook", "/book"),
        ("/boo%E2%84%AA", "/book"),
        ("/stra%C3%9Fe", "/strasse"),
        ("/%CE%90", "/%E1%BF%93"),
        ("/%CE%99%CC%88%CC%81", "/%CE%90"),
    ],
)
def test_rules_compare_two_spellings_of_one_path_as_the_same(one: str, other: str) -> None:
    assert canonical_target(one.encode()).key == canonical_target(other.encode()).key


@pytest.mark.parametrize(
    ("one", "other"),
    [("/book", "/book/"), ("/a%3Fb", "/a"), ("/a%23b", "/a"), ("/a%20", "/a"), ("/a+b", "/a%20b")],
)
def test_rules_compare_different_paths_as_different(one: str, other: str) -> None:
    assert path_key(one) != path_key(other)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"booking.example", "booking.example"),
        (b"BOOKING.Example:8443", "booking.example"),
        (b"booking.example.", "booking.example"),
        (b"booking.example.:80", "booking.example"),
        (b"10.0.0.1", "10.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[2001:DB8::1]:443", "[2001:db8::1]"),
        (b"[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"),
        (b"a", "a"),
        (b"xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ],
)
def test_a_host_is_its_name_in_lower_case_without_port_and_final_dot(
    value: bytes, name: str
) -> None:
    assert canonical_host([value]) == name


def test_a_host_may_be_260_bytes_long_and_no_longer() -> None:
    assert canonical_host([b"a" * MAX_HOST_BYTES])
    with pytest.raises(NotCanonical, match="too long"):
        canonical_host([b"a" * (MAX_HOST_BYTES + 1)])


def test_exactly_one_host_is_asked_for() -> None:
    for values in ([], [b"a", b"a"], [b"a", b"b"]):
        with pytest.raises(NotCanonical, match="exactly one Host"):
            canonical_host(values)
