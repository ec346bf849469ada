"""Settings files, the ledger's notation of holes, and what operators type."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import SECTIONS
from tests.support.fuzzing import fuzzed
from tests.support.oracles import documents

KEYS = sorted({name for struct in SECTIONS.values() for name in struct.__struct_fields__})
ODD = (
    *(
        "true",
        "-1",
        "0",
        "8080",
        "99999",
        "1e400",
        "nan",
        "inf",
        "0x10",
        "1979-05-27",
        "[]",
        "[1]",
        "{}",
    ),
    *(
        '""',
        '"a"',
        '"/book"',
        '"*"',
        '["*"]',
        '["/assets/"]',
        '["GET /x"]',
        '["10.0.0.0/8"]',
        '["::/0"]',
    ),
    *('"http://b:80"', '"https://[::1"', '["https://example.org"]', '"\\u0000"', '"auto"', '"h11"'),
    f'"redis://:{documents.SECRET}@h/0"',
    f'"redis://u:{documents.SECRET}@h:port"',
    f'"redis://h/0?password={documents.SECRET}"',
    f'"http://{documents.SECRET}@["',
    "9" * 5000,
)
names = st.sampled_from(
    [*KEYS, "hosts", "open", "paths", "finish", "origins", "home_host", "colour"]
)
assignments = st.tuples(names, st.sampled_from(ODD)).map(" = ".join)
tables = st.sampled_from(
    [*(f"[{name}]" for name in SECTIONS), "[events.sale]", "[events.UP]", "[[keys]]"]
)
good_events = st.sampled_from(
    [
        '[events.one]\nhosts = ["a.example"]\nopen = ["/assets/"]',
        '[events.two]\nhosts = ["a.example", "b.example"]\npaths = ["/book"]',
        '[events.three]\nhosts = ["*"]',
    ]
)
URLS = st.sampled_from(
    [
        f"redis://:{documents.SECRET}@h/0",
        f"redis://u:{documents.SECRET}@h:port",
        f"redis://{documents.SECRET}@[",
        f"postgres://:{documents.SECRET}@h",
        *("http://b:80", "https://[::1", "http://b:99999", "http://b/path", "http://", "//b", ""),
    ]
)
url_tables = st.tuples(
    st.sampled_from(["[ledger]\nurl", "[proxy]\nbackend", '[events.url]\nhosts = ["u"]\norigins']),
    URLS,
).map(
    lambda pair: (
        f'{pair[0]} = ["{pair[1]}"]' if "origins" in pair[0] else f'{pair[0]} = "{pair[1]}"'
    )
)
toml = st.one_of(
    st.lists(url_tables | good_events, max_size=3, unique_by=lambda text: text.split("]")[0])
    .map("\n".join)
    .map(str.encode),
    st.lists(assignments | tables | good_events, max_size=12).map("\n".join).map(str.encode),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=80),
)
environments = st.dictionaries(
    st.tuples(st.sampled_from([*SECTIONS, "x"]), names).map(
        lambda pair: f"GATEWAY_{pair[0]}__{pair[1]}".upper()
    ),
    st.sampled_from(
        ["", "1", "-1", "true", "a,b", "nan", f"redis://:{documents.SECRET}@[", "10.0.0.0/8"]
    ),
    max_size=2,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "gateway.toml"


@fuzzed
@given(content=toml, environ=environments)
def test_settings_hold_together_or_are_refused(
    path: Path, content: bytes, environ: dict[str, str]
) -> None:
    documents.settings_file(path, content, environ)


HOLES = st.lists(
    st.sampled_from(
        [b"1", b"5", b"9", b"10", b"-", b"-", b",", b",", b" ", b"0", b"+1", b"1_0", b"\xb2"]
    )
    | st.binary(max_size=1)
    | st.just(b"7" * 4400),
    max_size=12,
).map(b"".join)
ASCENDING = st.lists(st.integers(1, 10**15), unique=True, max_size=12).map(
    lambda ends: b",".join(
        b"%d-%d" % pair for pair in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False)
    )
)


ANY_ORDER = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4).map(
    lambda ranges: b",".join(b"%d-%d" % pair for pair in ranges)
)


@fuzzed
@given(HOLES | ASCENDING | ANY_ORDER)
def test_holes_are_read_back_as_written_or_refused(raw: bytes) -> None:
    documents.holes(raw)


WORDS = st.lists(
    st.sampled_from(
        [
            b"9",
            b"15",
            b"m",
            b"h",
            b"d",
            b"s",
            b"-",
            b"2026",
            b"T",
            b":",
            b"00",
            b"+01:00",
            b"Z",
            b"/",
            b"GET ",
            b"*",
            b"a",
            b".",
            b" ",
            b"\xd9\xa5",
            b"e",
            b"W",
            b"9999-12-31T23:59",
            b"0001-01-01",
            b"%2f",
            b"_",
        ]
    )
    | st.binary(max_size=2),
    max_size=8,
).map(b"".join)


PHRASES = st.sampled_from(
    [
        *(
            b"0001-01-01T00:00+14:00",
            b"9999-12-31T23:59-14:00",
            b"0001-01-01",
            b"2026-W01-1",
            b"366d",
        ),
        *(
            b"367d",
            b"\xd9\xa5m",
            b"1_0s",
            b"GET,HEAD /a/",
            b"get /a",
            b"*",
            b"a.example:80",
            b"[::1]",
        ),
    ]
)


@fuzzed
@given(WORDS | PHRASES)
def test_what_operators_type_is_read_or_refused_in_words(raw: bytes) -> None:
    documents.operators_words(raw)
