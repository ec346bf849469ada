"""What is told of requests that an observed event would have turned back: kinds, and not persons."""

import logging

import pytest

from gateway.domain.positions import EventId
from gateway.edge.observations import Observations, shape_of

SALE = EventId("sale")


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        (b"/", "/"),
        (b"/book", "/book"),
        (b"/api/v2/webhooks", "/api/v2/webhooks"),
        (b"/book/8812", "/book/*"),
        (b"/reset/a8f3e1d0/confirm", "/reset/*/confirm"),
        (b"/users/ada@example.org", "/users/*"),
        (b"/a/b/c/d/e", "/a/b/c/…"),
        (b"/style.css", "/style.css"),
        (b"/%2e%2e/etc", "/*/etc"),
        (b"//x", "//x"),
        (b"/" + b"x" * 25, "/*"),
        (b"/\xff\n\r", "/*"),
        (b"*", "/"),
    ],
)
def test_a_shape_holds_the_words_of_a_path_alone(path: bytes, shape: str) -> None:
    assert shape_of(path) == shape


def test_each_kind_of_request_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    observations = Observations()
    with caplog.at_level(logging.INFO):
        for number in range(20):
            observations.note(SALE, "no-token", "POST", b"/api/%d" % number)
        observations.note(SALE, "no-token", "GET", b"/api/1")
        observations.note(SALE, "no-token", "FROBNICATE", b"/api/1")
    told = [(record.__dict__["method"], record.__dict__["shape"]) for record in caplog.records]
    assert told == [("POST", "/api/*"), ("GET", "/api/*"), ("other", "/api/*")]


def test_strangers_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    observations = Observations(most=5)
    with caplog.at_level(logging.INFO):
        for letter in "abcdefghijk":
            observations.note(SALE, "no-token", "GET", b"/" + letter.encode())
    assert len(caplog.records) == 6
    assert "gateway_observed_decisions_total" in caplog.records[-1].message
