"""Whatever bytes a request names: refused, or read alike by everyone who reads them."""

import ntpath
import posixpath
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import httptools
import yarl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.positions import EventId
from gateway.domain.routes import EventRoute, OpenPath, PathEntry, Protected, RouteTable
from gateway.domain.targets import NotCanonical, Target, canonical_host, canonical_target, path_key

HOST = "booking.example"

thorough = settings(deadline=None, max_examples=250)

# What attackers build paths of. Most targets made of these are refused; those that are not are the
# ones to look at.
PIECES = (
    "/", "//", "/./", "/../", ".", "..", "...", "book", "BOOK", "seat", "assets", "healthz", "a", "%",
    "%25", "%2f", "%2F", "%5c", "%2e", "%2E%2e", "%252e", "%20", "%09", "%00", "%3f", "%23", "%3b", ";",
    "%62", "%c0%af", "%C3%A9", "%C3%89", "e%CC%81", "%EF%BC%8F", "%EF%BC%8E", "%E2%80%A5", "%E2%84%80",
    "%CD%BE", "%EF%BC%92e", "%E2%84%AA", "%C3%9F", "%C4%B0", "%E2%80%8B", "%C2%A0", "%u002f", "\\", " ",
    "?", "#", "+", "(", "%28", "$", "%24", "@", ":", "*", "~", "-", "_", "\xe9", "\x00", "\r\n", "http:",
)  # fmt: skip
attacks = st.lists(st.sampled_from(PIECES), max_size=12).map(
    lambda pieces: "".join(pieces).encode("latin-1")
)
rooted = attacks.map(lambda raw: b"/" + raw.lstrip(b"/"))
below_open = attacks.map(lambda raw: b"/assets/" + raw)
bytestrings = st.binary(max_size=60)

# Only what may pass, so that most examples do.
sound_chars = st.characters(
    exclude_characters="/\\;%", exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
)
sound_segments = st.text(sound_chars, min_size=1, max_size=8)
RAW_IN_PATH = "-._~!$&'()*+,=:@"
UNRESERVED = "-._~"


def encoded(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())


def spell(text: str, raw: Callable[[str], bool]) -> str:
    """Write a segment, with its reserved characters raw or encoded as `raw` says."""
    return "".join(
        char
        if char.isascii() and (char.isalnum() or char in UNRESERVED)
        else (char if char in RAW_IN_PATH and raw(char) else encoded(char))
        for char in text
    )


sound_paths = st.lists(sound_segments, max_size=5).map(
    lambda segments: "/" + "/".join(spell(segment, lambda _: True) for segment in segments)
)


def read(raw: bytes) -> Target | None:
    path, _, query = raw.partition(b"?")
    try:
        return canonical_target(path, query)
    except NotCanonical:
        return None


def segments(path: str) -> list[str]:
    return path.split("/")


@given(raw=bytestrings | attacks | rooted, query=st.binary(max_size=20))
@thorough
def test_any_bytes_are_a_target_or_not_canonical_and_nothing_else(raw: bytes, query: bytes) -> None:
    try:
        target = canonical_target(raw, query)
    except NotCanonical:
        return
    assert (target.path.encode(), target.query.encode()) == (raw, query)


@given(raw=rooted | below_open | sound_paths.map(str.encode))
@thorough
def test_a_canonical_target_stays_what_it_is(raw: bytes) -> None:
    target = read(raw)
    if target is not None:
        assert canonical_target(target.path.encode(), target.query.encode()) == target


@given(path=sound_paths)
@thorough
def test_most_paths_that_a_site_would_use_are_canonical(path: str) -> None:
    # A guard of this file: without it the other properties might look at nothing.
    parts = [unicodedata.normalize("NFKC", unquote(part)) for part in segments(path)]
    hostile = any(set(part) & set("/\\;%?#") or not part.strip(". ") for part in parts[1:])
    if not hostile:
        assert read(path.encode()) is not None


@given(raw=rooted | below_open | sound_paths.map(str.encode))
@thorough
@example(b"/a%25/b")
@example(b"/a%20/..b/c..")
@example(b"/%E2%84%AA%3F%23")
def test_a_canonical_path_is_the_same_to_every_reader(raw: bytes) -> None:
    target = read(raw)
    if target is None:
        return
    path = target.path
    decoded = unquote(path, errors="strict")

    # Parsers of URLs see the path and nothing of it elsewhere.
    assert urlsplit(f"http://{HOST}{path}?q").path == path
    assert urlsplit(path).path == path
    assert yarl.URL(f"http://{HOST}{path}", encoded=True).raw_path == path
    assert yarl.URL(f"http://{HOST}{path}", encoded=True).path == decoded
    assert httptools.parse_url(path.encode()).path == path.encode()

    # WSGI and ASGI servers decode it once, to the same text; twice changes nothing more.
    wsgi_path_info = unquote_to_bytes(path).decode("latin-1")
    assert wsgi_path_info.encode("latin-1").decode("utf-8") == decoded
    assert unquote(decoded, errors="strict") == decoded

    # It has the same folders before and after decoding, and nowhere a way up.
    assert len(segments(decoded)) == len(segments(path))
    for reading in (path, decoded, unicodedata.normalize("NFKC", decoded), decoded.casefold()):
        assert posixpath.normpath(reading) == (reading.rstrip("/") or "/")
        assert ntpath.normpath(reading).replace("\\", "/") == (reading.rstrip("/") or "/")
        assert len(segments(reading)) == len(segments(path))
        for segment in segments(reading):
            assert segment.split(";")[0] == segment
            assert segment.split("\0")[0] == segment
            assert segment.rstrip(". ") or not segment.strip(" ")
            assert not any(unicodedata.category(char) == "Cc" for char in segment)


@given(raw=rooted | below_open | sound_paths.map(str.encode))
@thorough
def test_the_key_has_the_path_s_folders_and_does_not_see_case(raw: bytes) -> None:
    target = read(raw)
    if target is None:
        return
    assert target.key == path_key(target.path)
    assert len(segments(target.key)) == len(segments(target.path))
    assert target.key.casefold() == target.key or not target.key.isascii()
    for respelled in (target.path.upper(), target.path.lower(), target.path.swapcase()):
        assert path_key(respelled) == target.key
    for form in ("NFC", "NFD", "NFKC"):
        text = unicodedata.normalize(form, unquote(target.path))
        assert path_key("".join(c if c.isascii() and c != "%" else encoded(c) for c in text)) == (
            target.key
        )


@given(parts=st.lists(sound_segments, min_size=1, max_size=4), data=st.data())
@thorough
def test_what_is_encoded_or_raw_at_will_makes_no_difference_to_a_rule(
    parts: list[str], data: st.DataObject
) -> None:
    spellings = [
        "/" + "/".join(spell(part, lambda _: data.draw(st.booleans())) for part in parts)
        for _ in range(2)
    ]
    one, other = (read(spelling.encode()) for spelling in spellings)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.key == other.key


OPEN = tuple(PathEntry.parse(text) for text in ("/healthz", "/assets/"))
TABLES = (
    RouteTable((EventRoute(EventId("whole"), (HOST,), (), OPEN),)),
    RouteTable(
        (
            EventRoute(EventId("book"), (HOST,), ("/book",), OPEN),
            EventRoute(EventId("seat"), (HOST,), ("/book/seat",), OPEN),
        )
    ),
)


@given(raw=rooted | below_open | sound_paths.map(str.encode), method=st.text(max_size=8))
@thorough
@example(b"/assets/..%20/book/seat", "GET")
@example(b"/assets/%E2%80%A6/book/seat", "GET")
@example(b"/assets/%25%EF%BC%92e%25%EF%BC%92e/book", "GET")
def test_what_is_judged_open_is_open_in_every_reading(raw: bytes, method: str) -> None:
    target = read(raw)
    if target is None:
        return
    for table in TABLES:
        designation = table.designate(HOST, method, target)
        assert isinstance(designation, OpenPath | Protected)
        if not isinstance(designation, OpenPath):
            continue
        once = unquote(target.path)
        mapped = unicodedata.normalize("NFKC", once)
        for reading in (once, unquote(once), mapped, unquote(mapped), once.replace("\\", "/")):
            stripped = "/".join(part.split(";")[0].rstrip(" .") for part in segments(reading))
            for path in (posixpath.normpath(reading), posixpath.normpath(stripped)):
                folded = path.casefold()
                assert folded == "/healthz" or f"{folded}/".startswith("/assets/")


@given(
    prefix=st.lists(sound_segments, min_size=1, max_size=3),
    below=st.lists(sound_segments, max_size=2),
    glued=sound_segments,
)
@thorough
def test_a_prefix_covers_its_segments_in_any_case_and_nothing_glued_to_them(
    prefix: list[str], below: list[str], glued: str
) -> None:
    stem = "/" + "/".join(spell(part, lambda _: True) for part in prefix)
    rest = "".join("/" + spell(part, lambda _: False) for part in below)
    covered = read((stem + rest).encode())
    beside = read((stem + spell(glued, lambda _: True)).encode())
    one = EventRoute(EventId("one"), (HOST,), (stem,))
    two = EventRoute(EventId("two"), (HOST,), ("/",))
    table = RouteTable((two, one))
    if covered is not None:
        assert table.designate(HOST, "GET", covered) == Protected((one,))
    if covered is not None and beside is not None and beside.key != path_key(stem):
        assert table.designate(HOST, "GET", beside) == Protected((two,))


@given(values=st.lists(st.binary(max_size=40), max_size=3))
@thorough
def test_any_host_fields_are_a_host_or_not_canonical_and_nothing_else(values: list[bytes]) -> None:
    try:
        name = canonical_host(values)
    except NotCanonical:
        return
    assert canonical_host([name.encode()]) == name


hosts = st.text(st.sampled_from("abz09-.:[]@/?#\\ ,%_*\t\r\nAZ"), max_size=20)


@given(text=hosts)
@thorough
def test_a_canonical_host_is_what_parsers_of_urls_find_in_it(text: str) -> None:
    try:
        name = canonical_host([text.encode()])
    except NotCanonical:
        return
    if name.startswith("["):
        return  # Whether an address is one is not judged: nobody can name it in the settings.
    parts = urlsplit(f"http://{text}/path")
    assert (parts.hostname or "").removesuffix(".") == name
    assert parts.path == "/path"
    assert parts.username is None
