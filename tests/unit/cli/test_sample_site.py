from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from gateway.sample.app import COLUMNS, ROWS, SEATS, Theatre, sample_app

ANNA = {"Queue-Event": "demo", "Queue-Position": "7", "Queue-Visitor": "anna"}
BEN = {"Queue-Event": "demo", "Queue-Position": "8", "Queue-Visitor": "ben"}


@pytest.fixture
def site() -> Iterator[TestClient]:
    with TestClient(sample_app(), follow_redirects=False) as client:
        yield client


def test_a_seat_is_booked_once(site: TestClient) -> None:
    booked = site.post("/book", data={"seat": "A1"}, headers=ANNA)
    assert (booked.status_code, booked.headers["location"]) == (303, "/booked")
    assert "<strong>A1</strong>" in site.get("/booked", headers=ANNA).text
    assert site.post("/book", data={"seat": "A1"}, headers=BEN).status_code == 409
    assert "yours" in site.get("/book", headers=ANNA).text
    assert f"{len(SEATS) - 1} seats are left" in site.get("/", headers=BEN).text
    assert "no seat yet" in site.get("/booked", headers=BEN).text


def test_the_pages_show_what_the_gateway_said(site: TestClient) -> None:
    page = site.get("/", headers=ANNA).text

    assert "<dt>Queue-Position</dt><dd>7</dd>" in page
    assert "no place in the queue is needed" in site.get("/about").text


def test_a_visitor_can_end_the_session(site: TestClient) -> None:
    assert site.post("/done", headers=ANNA).headers["queue-session"] == "end"


@pytest.mark.parametrize(
    "body", [b"", b"seat=", b"seat=Z9", b"seat=%3Cscript%3E", b"seat=A1" * 500, b"\xff=&=&;"]
)
def test_no_form_books_what_is_no_seat(site: TestClient, body: bytes) -> None:
    assert site.post("/book", content=body, headers=ANNA).status_code == 409


def test_everything_from_outside_is_escaped(site: TestClient) -> None:
    page = site.get("/", headers={**ANNA, "Queue-Visitor": "<script>"})

    assert "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_no_page_asks_a_third_party(site: TestClient) -> None:
    for path in ("/", "/about", "/book", "/booked", "/assets/style.css"):
        text = site.get(path, headers=ANNA).text
        assert "http://" not in text
        assert "https://" not in text
        assert "//" not in text.replace("</", "")


def test_a_visitor_holds_one_seat_at_most() -> None:
    theatre = Theatre()

    assert theatre.book("anna", "A1")
    assert theatre.book("anna", "A1")
    assert theatre.book("anna", "B2")
    assert theatre.taken == {"B2"}
    assert theatre.book("ben", "A1")
    assert len(SEATS) == len(ROWS) * COLUMNS
