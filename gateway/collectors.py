"""What `/metrics` shows of events and keys: taken from memory when somebody looks."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.domain.events import NO_LIMIT, EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.domain.samples import at_the_door, let_in, no_shows
from gateway.snapshots import SnapshotBoard


class KeySeen(NamedTuple):
    """One key of the ring.

    Attributes:
        state: `next`, `active` or `retired`.
        since_s: Unix seconds at which it came into that state; None where nobody noted it.
    """

    state: str
    since_s: float | None


def read_at_s(snapshot: EventSnapshot) -> float:
    """Return when a snapshot was read, Unix seconds."""
    # What is deleted is not read any more, and nobody has to be told that it grows old.
    age_s = time.monotonic() - snapshot.read_at_s
    return time.time() - (0.0 if snapshot.state is EventState.DELETED else age_s)


_GAUGES = {
    "issued": "Highest position handed out",
    "served_up_to": "The pointer",
    "waiting": "Turns handed out and not let in",
    "active_sessions": "Sessions that run",
    "max_sessions": "The limit of sessions; absent where there is none",
    "event_missing": "1 while the settings name the event and the ledger knows nothing of it",
    "suspended": "1 while the event's state is lost or being brought back",
    "healed_at_seconds": "When the event was last brought back, Unix time; 0 if never",
    "numbers_read_timestamp_seconds": "When the numbers of this event were read, Unix time",
    "at_the_door": "Let in, within the claim window, and not come yet",
    "no_shows": "Let in, and not come within the claim window",
}
_COUNTERS = {
    "let_in": "People let in: turns outside holes up to the pointer",
    "releases": "Movements of the pointer that let somebody in; those within a second are one",
    "sessions_opened": "Turns exchanged for a session",
}


class BoardCollector(Collector):
    """The events' own numbers. Counters of them begin anew with a new generation."""

    def __init__(self, board: SnapshotBoard) -> None:
        self._board = board

    def collect(self) -> list[Metric]:
        gauges = {
            name: GaugeMetricFamily(f"gateway_{name}", text, labels=("event",))
            for name, text in _GAUGES.items()
        }
        counters = {
            name: CounterMetricFamily(f"gateway_{name}", text, labels=("event",))
            for name, text in _COUNTERS.items()
        }
        states = GaugeMetricFamily(
            "gateway_event_state", "1 for the state that the event is in", labels=("event", "state")
        )
        for snapshot in self._board.all():
            for name, value in _numbers(snapshot).items():
                family = gauges[name] if name in gauges else counters[name]
                family.add_metric((snapshot.event,), value)
            for state in EventState:
                states.add_metric((snapshot.event, state.value), int(state is snapshot.state))
        suspended, missing = self._board.suspended(), self._board.missing()
        seen = {*suspended, *missing, *(snapshot.event for snapshot in self._board.all())}
        for event_id in seen:
            gauges["suspended"].add_metric((event_id,), int(event_id in suspended))
            gauges["event_missing"].add_metric((event_id,), int(event_id in missing))
        return [*gauges.values(), *counters.values(), states]


def _numbers(snapshot: EventSnapshot) -> dict[str, float]:
    people, door = let_in(snapshot), at_the_door(snapshot)
    numbers: dict[str, float] = {
        "issued": snapshot.issued,
        "served_up_to": snapshot.served_up_to,
        "waiting": snapshot.waiting,
        "active_sessions": snapshot.active_sessions,
        "healed_at_seconds": 0 if snapshot.healed is None else snapshot.healed.at_ms // 1000,
        "numbers_read_timestamp_seconds": read_at_s(snapshot),
        "let_in": people,
        "at_the_door": door,
        "no_shows": no_shows(people, snapshot.claims, snapshot.late, door),
        "releases": sum(entry.movements for entry in snapshot.history),
        "sessions_opened": snapshot.claims,
    }
    if snapshot.policy.max_sessions != NO_LIMIT:
        numbers["max_sessions"] = snapshot.policy.max_sessions
    return numbers


class ModeCollector(Collector):
    """Which events only observe, by the settings of this gateway."""

    def __init__(self, observed: Mapping[EventId, bool]) -> None:
        self._observed = observed

    def collect(self) -> list[Metric]:
        family = GaugeMetricFamily(
            "gateway_observing",
            "1 while the event lets everybody through and only counts, by the settings",
            labels=("event",),
        )
        for event, observed in self._observed.items():
            family.add_metric((event,), int(observed))
        return [family]


class KeyCollector(Collector):
    """The key ring, by the states of its keys: a kid would be a label without a bound."""

    def __init__(self, seen: Callable[[], Sequence[KeySeen]]) -> None:
        self._seen = seen

    def collect(self) -> list[Metric]:
        keys = GaugeMetricFamily("gateway_keys", "Keys of the ring by state", labels=("state",))
        since = GaugeMetricFamily(
            "gateway_key_since_timestamp_seconds",
            "When the longest standing key of a state came into it, Unix time",
            labels=("state",),
        )
        seen = self._seen()
        for state in ("next", "active", "retired"):
            of_state = [key for key in seen if key.state == state]
            keys.add_metric((state,), len(of_state))
            moments = [key.since_s for key in of_state if key.since_s is not None]
            if moments:
                since.add_metric((state,), min(moments))
        return [keys, since]
