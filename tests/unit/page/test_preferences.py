"""Accept-Language and Accept-Encoding are read as RFC 9110 writes them."""

import pytest

from gateway.preferences import accepts_gzip, preferred_language

OFFERED = ("en", "de", "pt", "ja")


@pytest.mark.parametrize(
    ("field", "best"),
    [
        ("", None),
        ("de", "de"),
        ("DE", "de"),
        ("de-CH-1996, en", "de"),
        ("pt-BR", "pt"),
        ("ja;q=0.2, de;q=0.9", "de"),
        ("ja;q=0.9, de;q=0.9", "ja"),
        ("xx, ja;q=0.1", "ja"),
        ("*", "en"),
        ("xx;q=1, *;q=0.1", "en"),
        ("de;q=0", None),
        ("de;q=0, *;q=0", None),
        ("de;q=nonsense", "de"),
        ("de;q=, ja;q=0.9", "de"),
        ("de;q=9999", "de"),
        (",, ;q=1, de", "de"),
        ("d", None),
        ("-de", None),
        ("de_AT", None),
        ("\u00b2;q=\u00b2", None),
        ("de;q=1e5", "de"),
    ],
)
def test_the_language_that_is_wanted_most(field: str, best: str | None) -> None:
    assert preferred_language(field, OFFERED) == best


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, zstd", False),
        ("br, gzip;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
    ],
)
def test_gzip_is_for_whom_accepts_it(field: str, accepted: bool) -> None:
    assert accepts_gzip(field) is accepted
