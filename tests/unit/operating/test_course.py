"""A sale on even ticks: held where nothing was noted, with its rates, states and promises."""

from xml.etree import ElementTree as ET

from gateway.cli.report_page import report_page
from gateway.domain.events import EventState
from gateway.domain.waiting import Wait
from gateway.operating.course import MOST_TICKS, course_of, summary_document
from tests.support.samples import sample


def test_a_time_in_which_nothing_was_noted_stands_still() -> None:
    course = course_of([sample(0, 0, 0), sample(10, 6, 0), sample(60, 6, 6)])
    assert [tick.at_s for tick in course.ticks] == [0, 10, 20, 30, 40, 50, 60]
    assert [tick.sample.issued for tick in course.ticks] == [0, 6, 6, 6, 6, 6, 6]
    assert [tick.arrivals_per_min for tick in course.ticks] == [None, 36, 0, 0, 0, 0, 0]
    assert course.ticks[-1].let_in_per_min == 36


def test_a_day_has_no_more_points_than_are_seen() -> None:
    course = course_of([sample(at_s, at_s, 0) for at_s in range(0, 86_400, 10)])
    assert len(course.ticks) <= MOST_TICKS + 1
    assert course.ticks[-1].sample.at_s == 86_390
    assert {tick.arrivals_per_min for tick in course.ticks[1:]} == {60.0}


def test_a_pause_is_one_span() -> None:
    paused = EventState.PAUSED
    course = course_of(
        [
            sample(0, 5, 0),
            sample(10, 5, 0, state=paused),
            sample(20, 6, 0, state=paused),
            sample(30, 6, 6),
        ]
    )
    assert [(span.from_s, span.to_s, span.state) for span in course.spans] == [(10, 30, paused)]


def test_promises_are_counted_of_who_was_told_and_has_come() -> None:
    samples = [
        sample(0, 5, 0, promised=Wait(5, 20)),
        sample(10, 7, 0, promised=Wait(200, 300)),
        sample(20, 9, 5),
        sample(30, 9, 8, promised=Wait(5, 20)),
    ]
    course = course_of(samples)
    summary = summary_document("sale", samples, course)
    assert course.promises == (2, 1)
    assert (summary["waits_promised"], summary["promises_kept"]) == (2, 1)
    assert (summary["most_waiting"], summary["waiting"], summary["longest_wait_s"]) == (7, 1, 20)


def test_the_page_asks_for_nothing_and_is_well_formed() -> None:
    samples = [sample(0, 5, 0, max_sessions=7), sample(10, 5, 2, state=EventState.CLOSED)]
    course = course_of(samples)
    page = report_page(summary_document("sale", samples, course), course)
    assert not any(
        word in page for word in ("http:", "https:", "<script", " src=", "url(", "@import")
    )
    body = page[page.index("<body>") : page.index("</html>")]
    assert len(ET.fromstring(body).findall(".//svg")) == 5


def test_a_sale_in_which_nobody_waited_has_a_page_too() -> None:
    samples = [sample(0, 0, 0), sample(10, 0, 0)]
    course = course_of(samples)
    page = report_page(summary_document("sale", samples, course), course)
    assert "nobody waited" in page
    assert "none was promised and is over" in page
