"""The latest good read of every event, in this process's memory.

A pointer only grows within a generation, so a stale copy can make someone wait a moment longer and
never admits too early: decisions are made from here, and a check costs no round trip.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId, ServedUpTo


class SnapshotBoard:
    """Holds one snapshot per event. The pointer that it shows never goes back in a generation."""

    def __init__(self) -> None:
        self._held: dict[EventId, EventSnapshot] = {}
        self._epochs: dict[EventId, int] = {}
        self._lost: set[EventId] = set()
        self._missing: set[EventId] = set()
        self._told: dict[EventId, Callable[[EventSnapshot], None]] = {}
        self.complete = False
        """Whether the ledger's list of events was ever read: only then is an unknown one unknown."""

    def get(self, event: EventId) -> EventSnapshot | None:
        return self._held.get(event)

    def is_lost(self, event: EventId) -> bool:
        """Whether the event should be there, and its state was never read."""
        return event in self._lost or event in self._missing

    def missing(self) -> list[EventId]:
        """Return the events that the settings name and the ledger knows nothing of."""
        return sorted(self._missing)

    def epoch(self, event: EventId) -> int:
        """Return a number that changes whenever a pass that admitted may admit no longer.

        The pointer and the counts move with almost every read; none of them takes a pass away.
        """
        return self._epochs.get(event, 0)

    def all(self) -> list[EventSnapshot]:
        return list(self._held.values())

    def suspended(self) -> list[EventId]:
        """Return the events whose state is lost, or being brought back."""
        held = [s.event for s in self._held.values() if s.state is EventState.SUSPENDED]
        return sorted({*held, *self._lost})

    def tell(self, event: EventId, told: Callable[[EventSnapshot], None]) -> None:
        """Call `told` with every snapshot of the event from now on. An event has one listener at most."""
        self._told[event] = told

    def tell_no_more(self, event: EventId) -> None:
        self._told.pop(event, None)

    def put(self, snapshot: EventSnapshot) -> None:
        held = self._held.get(snapshot.event)
        if held is not None:
            if snapshot.generation < held.generation:
                # An older life of the ledger came back: nothing of it can be trusted.
                self.suspend(snapshot.event)
                return
            if snapshot.generation == held.generation:
                if snapshot.read_at_s < held.read_at_s:
                    # Overtaken on the way: only its numbers can add anything.
                    held, snapshot = snapshot, held
                snapshot = _merged(held, snapshot)
        self._keep(snapshot)

    def suspend(self, event: EventId) -> None:
        """Note that the event's state is lost; what was known of it stays."""
        held = self._held.get(event)
        self._missing.discard(event)
        if held is None:
            self._lost.add(event)
        elif held.state is not EventState.SUSPENDED:
            self._keep(replace(held, state=EventState.SUSPENDED))

    def mark_missing(self, event: EventId) -> None:
        """Note that the ledger knows nothing of an event that the settings name: lost, or not made yet."""
        if event in self._held:
            self.suspend(event)
        else:
            self._missing.add(event)

    def mark_deleted(self, event: EventId) -> None:
        self._missing.discard(event)
        held = self._held.get(event)
        if held is not None:
            self._keep(replace(held, state=EventState.DELETED))

    def _keep(self, snapshot: EventSnapshot) -> None:
        held = self._held.get(snapshot.event)
        if held is None or _concerns_passes(held) != _concerns_passes(snapshot):
            self._epochs[snapshot.event] = self.epoch(snapshot.event) + 1
        self._held[snapshot.event] = snapshot
        self._lost.discard(snapshot.event)
        self._missing.discard(snapshot.event)
        if (told := self._told.get(snapshot.event)) is not None:
            told(snapshot)


def _concerns_passes(snapshot: EventSnapshot) -> tuple[object, ...]:
    """Everything that `admission.decide` asks about a held pass, but the time; and `healed`.

    After a loss each pass is looked at once more, so that its session is counted again.
    """
    return snapshot.state, snapshot.generation, snapshot.ended, snapshot.policy, snapshot.healed


def _merged(held: EventSnapshot, read: EventSnapshot) -> EventSnapshot:
    if read.served_up_to >= held.served_up_to and read.issued >= held.issued:
        return read
    return replace(
        read,
        served_up_to=ServedUpTo(max(held.served_up_to, read.served_up_to)),
        issued=max(held.issued, read.issued),
    )
