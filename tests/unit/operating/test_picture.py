"""The live picture, made of successive looks; and how it is shown."""

from typing import Any

import pytest

from gateway.cli.live_view import ASCII_BLOCKS, line, screen, sparkline, what_changes
from gateway.domain.events import EventSnapshot
from gateway.operating.documents import status_document
from gateway.operating.picture import TICK_S, TICKS, Picture, Watching
from gateway.ports import GatewaysSeen
from tests.support.reads import event
from tests.support.samples import sample


def seen(at_s: float, **read_ago_s: float) -> GatewaysSeen:
    return GatewaysSeen(at_s, read_ago_s)


def looks(*numbers: tuple[float, int, int]) -> Picture:
    """Return the picture after looks at `(at_s, issued, served)`."""
    watching = Watching()
    pictures = [
        watching.look(event(issued, served), seen(at_s)) for at_s, issued, served in numbers
    ]
    return pictures[-1]


def test_it_says_what_status_says() -> None:
    snapshot = event(12, 5, claims=3, active_sessions=2)
    document = Watching().look(snapshot, seen(1000.0)).document
    assert status_document(snapshot).items() <= document.items()


def test_rates_are_those_of_the_last_minute() -> None:
    document = looks((0, 0, 0), (60, 600, 30), (120, 660, 90)).document
    assert (document["arrivals_per_min"], document["let_in_per_min"]) == (60.0, 60.0)


def test_a_moment_is_no_rate() -> None:
    document = looks((0, 0, 0), (2, 50, 0)).document
    assert (document["arrivals_per_min"], document["let_in_per_min"]) == (None, None)


def test_samples_give_it_a_past() -> None:
    samples = [sample(940, 100, 40), sample(970, 160, 70)]
    picture = Watching(samples).look(event(200, 100), seen(1000.0))
    assert picture.document["arrivals_per_min"] == 100.0
    assert picture.document["oldest_wait"] == {"at_least_s": 30, "at_most_s": 60}
    assert picture.series["waiting"][-4:] == [60.0, 90.0, 90.0, 100.0]


def test_a_new_generation_has_no_past() -> None:
    watching = Watching([sample(940, 100, 40)])
    watching.look(event(200, 100), seen(1000.0))
    picture = watching.look(event(3, 0, generation=2), seen(1010.0))
    assert picture.document["arrivals_per_min"] is None
    assert picture.series["waiting"][-2:] == [None, 3.0]


def test_series_are_levels_and_gains_at_even_distances() -> None:
    picture = looks((0, 0, 0), (2 * TICK_S, 30, 10), (3 * TICK_S, 40, 40))
    assert len(picture.series["arrivals"]) == len(picture.series["waiting"]) == TICKS
    assert picture.series["waiting"][-4:] == [0.0, 0.0, 20.0, 0.0]
    assert picture.series["arrivals"][-4:] == [None, 0.0, 120.0, 40.0]


@pytest.mark.parametrize(
    ("ago_s", "health"), [(0.4, "well"), (3.0, "well"), (4.0, "late"), (11.0, "silent")]
)
def test_a_gateway_is_as_well_as_its_reads_are_young(ago_s: float, health: str) -> None:
    document = Watching().look(event(0, 0), seen(50.0, gw=ago_s)).document
    assert document["gateways"] == [{"id": "gw", "read_ago_s": ago_s, "health": health}]


def test_no_shows_are_a_part_of_who_is_decided() -> None:
    document = Watching().look(event(20, 10, claims=6), seen(1.0)).document
    assert (document["no_shows"], document["no_show_rate"]) == (4, 0.4)
    assert Watching().look(event(20, 0), seen(1.0)).document["no_show_rate"] is None


def test_a_sparkline_goes_from_nothing_to_the_largest() -> None:
    assert sparkline([0, 1, 4, 7]) == "▁▂▅█"
    assert sparkline([0, 7], ASCII_BLOCKS) == "_#"
    assert sparkline([None, 0, 0]) == " ▁▁"


def view(snapshot: EventSnapshot, trouble: str | None = None, **gateways: float) -> str:
    return screen(Watching().look(snapshot, seen(1000.0, **gateways)), trouble)


def test_the_screen_has_every_number_and_each_gateway() -> None:
    shown = view(event(12, 5, active_sessions=3), None, one=0.2, other=42.0)
    for words in (
        "waiting          7",
        "issued           12",
        "served up to     5",
        "active sessions  3 of no limit",
        "one  ",
        "silent",
        "read 42 s ago",
    ):
        assert words in shown
    assert "cannot be read" not in shown


def test_trouble_is_on_the_screen() -> None:
    assert "The ledger cannot be read" in view(event(0, 0), "The ledger cannot be read (timeout).")


def test_what_is_unknown_is_not_invented() -> None:
    shown = view(event(5, 0))
    assert "arrivals         not known yet" in shown
    assert "No gateway has read this event." in shown
    assert "nobody waits" in view(event(5, 5))


def test_a_line_holds_the_same_numbers() -> None:
    picture = Watching().look(event(12, 5), seen(1000.0, one=0.2, other=42.0))
    said = line(picture)
    assert "waiting 7  served 5  issued 12" in said
    assert said.endswith("gateways 1  silent 1")


def test_the_clock_alone_is_no_news_and_a_number_is() -> None:
    def news(at_s: float, issued: int, ago_s: float) -> Any:
        return what_changes(Watching().look(event(issued, 0), seen(at_s, gw=ago_s)))

    assert news(1.0, 5, 0.1) == news(90.0, 5, 0.9)
    assert news(1.0, 5, 0.1) != news(1.0, 6, 0.1)
    assert news(1.0, 5, 0.1) != news(1.0, 5, 20.0)
