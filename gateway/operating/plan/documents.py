"""What `gateway plan` says of one sale, as a document."""

from collections.abc import Mapping
from typing import Any

from gateway.operating.plan.forecast import Forecast
from gateway.operating.plan.needed import Needed
from gateway.operating.simulated_sale import Look


def forecast_document(
    forecast: Forecast,
    *,
    persons: tuple[int, ...],
    by_s: int | None,
    needed: Needed | None,
    opens_at: int,
) -> dict[str, Any]:
    """Return what is told of one sale; lengths are seconds from the opening, or of waiting."""
    outcome, waits = forecast.outcome, forecast.waits_s
    by: dict[str, Any] | None = None
    if by_s is not None:
        let_in = forecast.let_in_by(by_s)
        by = {
            "let_in": let_in,
            "all": outcome.took_s <= by_s,
            "needs": None if needed is None else _needed_document(needed),
        }
    return {
        "no_show_share": forecast.no_show,
        "backend_fails": forecast.scenario.fails != (0, 0),
        "all_in_after_s": outcome.took_s,
        "all_in_at": opens_at + outcome.took_s if opens_at else None,
        "wait_half_s": waits[(len(waits) - 1) // 2],
        "wait_nine_of_ten_s": waits[(len(waits) - 1) * 9 // 10],
        "wait_longest_s": waits[-1],
        "wait_last_s": forecast.wait_s(forecast.scenario.people),
        "persons": [
            {
                "person": person,
                "let_in_after_s": forecast.let_in_s(person),
                "wait_s": forecast.wait_s(person),
            }
            for person in persons
        ],
        "by": by,
        "sessions": outcome.seated,
        "no_shows": forecast.no_shows,
        "no_shows_filled": forecast.no_shows_filled,
        "places_used": forecast.use,
        "nearly_full_after_s": forecast.nearly_full_after_s,
        "most_sessions": outcome.most_active,
        "most_with_open_turns": outcome.most_exposed,
        "most_at_a_full_door": outcome.most_turned_away,
        "well_again_after_s": outcome.back_after_s,
        "course": [_point(look) for look in forecast.points()],
    }


def _needed_document(needed: Needed) -> Mapping[str, Any]:
    both = needed.both
    return {
        "release_people": needed.release_people,
        "max_sessions": needed.max_sessions,
        "both": None if both is None else {"release_people": both[0], "max_sessions": both[1]},
    }


def _point(look: Look) -> Mapping[str, int]:
    return {
        "at_s": look.second,
        "issued": look.issued,
        "served_up_to": look.served,
        "waiting": look.issued - look.served,
        "active_sessions": look.active,
        "with_open_turns": look.exposed,
    }
