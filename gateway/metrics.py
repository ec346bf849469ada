"""Prometheus metrics. Labels are closed sets (events, outcomes, calls); never a position or a path.

Counters and histograms are of this process, and with several workers the sum of theirs. An event's own
numbers are the ledger's, the same in every process: they are taken from one board and never added up.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.registry import Collector

from gateway.collectors import BoardCollector, KeyCollector, KeySeen, ModeCollector, read_at_s
from gateway.domain.positions import EventId
from gateway.ports import ClaimOutcome
from gateway.snapshots import SnapshotBoard

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_CHECK_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)
_JOIN_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0)


class GatewayMetrics:
    """Implements `gateway.ports.Observer`, and what the ledger reports of itself."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._joins = Counter(
            "gateway_joins_total",
            "Joins answered with a place",
            ("event", "repeated"),
            registry=self.registry,
        )
        self._decisions = Counter(
            "gateway_decisions_total",
            "Decisions on requests to protected paths",
            ("event", "outcome"),
            registry=self.registry,
        )
        self._observations = Counter(
            "gateway_observed_decisions_total",
            "What would have been decided at an event that only observes: all of these went through",
            ("event", "outcome"),
            registry=self.registry,
        )
        self._jumps = Counter(
            "gateway_ledger_clock_jumps_total",
            "Steps of the ledger's clock by five seconds or more, as this process saw them",
            ("direction",),
            registry=self.registry,
        )
        self._claims = Counter(
            "gateway_claims_total",
            "Claims by what came of them",
            ("event", "outcome"),
            registry=self.registry,
        )
        self._ledger_calls = Counter(
            "gateway_ledger_calls_total",
            "Round trips to the ledger",
            ("call", "outcome"),
            registry=self.registry,
        )
        self._backend_faults = Counter(
            "gateway_backend_faults_total",
            "Requests that the backend did not answer, or not to the end",
            ("fault",),
            registry=self.registry,
        )
        self._batches = Histogram(
            "gateway_join_batch_size",
            "Joins dealt in one round trip",
            buckets=_BATCH_SIZES,
            registry=self.registry,
        )
        self._refused_joins = Counter(
            "gateway_joins_refused_total",
            "Joins that were given no place, by the problem that they were answered with",
            ("event", "reason"),
            registry=self.registry,
        )
        self._join_times = Histogram(
            "gateway_join_seconds",
            "From a whole request for a place to its answer",
            ("outcome",),
            buckets=_JOIN_S,
            registry=self.registry,
        )
        self._check_times = Histogram(
            "gateway_check_seconds",
            "Judging a request; one that equals an admitted one before is not judged again, nor timed",
            ("outcome",),
            buckets=_CHECK_S,
            registry=self.registry,
        )
        self._read_at = Gauge(
            "gateway_pointer_read_timestamp_seconds",
            "When the pointer that checks are made with was last read well, by the worker that is "
            "farthest behind, Unix time",
            ("event",),
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._streams = Gauge(
            "gateway_push_streams",
            "Connections that the pointer is pushed to",
            ("kind",),
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._frames = Counter(
            "gateway_push_frames_total",
            "Documents pushed; skipped are those that a slow reader's newest one has overtaken",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self._refused_streams = Counter(
            "gateway_push_refused_total",
            "Streams turned away for their number",
            ("kind",),
            registry=self.registry,
        )
        # A counter of the library takes a lock and costs more than a decision does, so decisions and
        # joins are tallied here and handed over when somebody looks, or once a second.
        self._tally: dict[tuple[EventId, str], int] = {}
        self._unheeded: dict[tuple[EventId, str], int] = {}
        self._joined: dict[tuple[EventId, bool], int] = {}
        # Finding a label's timer costs as much again as the observation.
        self._join_timers: dict[str, Histogram] = {}
        self._check_timers: dict[str, Histogram] = {}
        self._board: SnapshotBoard | None = None
        self._shared: list[Collector] = []

    def joined(self, event: EventId, *, repeated: bool) -> None:
        key = (event, repeated)
        self._joined[key] = self._joined.get(key, 0) + 1

    def decided(self, event: EventId, outcome: str) -> None:
        key = (event, outcome)
        self._tally[key] = self._tally.get(key, 0) + 1

    def observed(self, event: EventId, outcome: str) -> None:
        key = (event, outcome)
        self._unheeded[key] = self._unheeded.get(key, 0) + 1

    def claimed(self, event: EventId, outcome: ClaimOutcome) -> None:
        self._claims.labels(event, outcome.value).inc()

    def join_took(self, event: EventId, refused: str | None, seconds: float) -> None:
        """Note a join. `refused` is the problem's type, None where a place was given."""
        outcome = "placed" if refused is None else "refused"
        _observe(self._join_times, self._join_timers, outcome, seconds)
        if refused is not None:
            self._refused_joins.labels(event, refused).inc()

    def check_took(self, outcome: str, seconds: float) -> None:
        _observe(self._check_times, self._check_timers, outcome, seconds)

    def ledger_called(self, call: str, outcome: str) -> None:
        self._ledger_calls.labels(call, outcome).inc()

    def backend_failed(self, fault: str) -> None:
        self._backend_faults.labels(str(fault)).inc()

    def clock_jumped(self, by_s: float) -> None:
        self._jumps.labels("ahead" if by_s > 0 else "back").inc()

    def batch_dealt(self, size: int) -> None:
        self._batches.observe(size)

    def stream_opened(self, kind: str) -> None:
        self._streams.labels(kind).inc()

    def stream_closed(self, kind: str) -> None:
        self._streams.labels(kind).dec()

    def stream_refused(self, kind: str) -> None:
        self._refused_streams.labels(kind).inc()

    def frames_pushed(self, kind: str, sent: int, skipped: int) -> None:
        self._frames.labels(kind, "sent").inc(sent)
        self._frames.labels(kind, "skipped").inc(skipped)

    def watch_board(self, board: SnapshotBoard) -> None:
        """Show each event's numbers as of the last read."""
        self._board = board
        self._share(BoardCollector(board))

    def watch_modes(self, observed: Mapping[EventId, bool]) -> None:
        """Show which events of the settings let everybody through."""
        self._share(ModeCollector(observed))

    def watch_keys(self, seen: Callable[[], Sequence[KeySeen]]) -> None:
        """Show how many keys the ring has in each state, and since when."""
        self._share(KeyCollector(seen))

    def _share(self, collector: Collector) -> None:
        self._shared.append(collector)
        self.registry.register(collector)

    def flush(self) -> None:
        """Hand what was tallied over to the registry, where other processes can see them."""
        joined, self._joined = self._joined, {}
        for (event, repeated), count in joined.items():
            self._joins.labels(event, "yes" if repeated else "no").inc(count)
        tally, self._tally = self._tally, {}
        for (event, outcome), count in tally.items():
            self._decisions.labels(event, outcome).inc(count)
        unheeded, self._unheeded = self._unheeded, {}
        for (event, outcome), count in unheeded.items():
            self._observations.labels(event, outcome).inc(count)
        if self._board is not None:
            for snapshot in self._board.all():
                self._read_at.labels(snapshot.event).set(read_at_s(snapshot))

    def exposition(self) -> bytes:
        """Return the text of `/metrics`; with several workers, of all of them."""
        self.flush()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            _forget_the_dead(os.environ["PROMETHEUS_MULTIPROC_DIR"])
            everyone = CollectorRegistry()
            multiprocess.MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
            for collector in self._shared:
                everyone.register(collector)
            return generate_latest(everyone)
        return generate_latest(self.registry)


def _observe(
    histogram: Histogram, timers: dict[str, Histogram], outcome: str, seconds: float
) -> None:
    timer = timers.get(outcome)
    if timer is None:
        timer = timers[outcome] = histogram.labels(outcome)
    timer.observe(seconds)


def _forget_the_dead(folder: str) -> None:
    """Leave out what only the living have: a worker that was killed has closed its streams all the same."""
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
