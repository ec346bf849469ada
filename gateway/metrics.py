"""Prometheus metrics. Labels are closed sets (events, outcomes, calls); never a position or a path."""

import os
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.domain.positions import EventId
from gateway.ports import ClaimOutcome
from gateway.snapshots import SnapshotBoard

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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
        self._joined: dict[tuple[EventId, bool], int] = {}
        self._board: SnapshotBoard | None = None

    def joined(self, event: EventId, *, repeated: bool) -> None:
        key = (event, repeated)
        self._joined[key] = self._joined.get(key, 0) + 1

    def decided(self, event: EventId, outcome: str) -> None:
        key = (event, outcome)
        self._tally[key] = self._tally.get(key, 0) + 1

    def claimed(self, event: EventId, outcome: ClaimOutcome) -> None:
        self._claims.labels(event, outcome.value).inc()

    def ledger_called(self, call: str, outcome: str) -> None:
        self._ledger_calls.labels(call, outcome).inc()

    def backend_failed(self, fault: str) -> None:
        self._backend_faults.labels(str(fault)).inc()

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
        self.registry.register(_BoardCollector(board))

    def flush(self) -> None:
        """Hand what was tallied over to the registry, where other processes can see them."""
        joined, self._joined = self._joined, {}
        for (event, repeated), count in joined.items():
            self._joins.labels(event, "yes" if repeated else "no").inc(count)
        tally, self._tally = self._tally, {}
        for (event, outcome), count in tally.items():
            self._decisions.labels(event, outcome).inc(count)

    def exposition(self) -> bytes:
        """Return the text of `/metrics`; with several workers, of all of them."""
        self.flush()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            _forget_the_dead(os.environ["PROMETHEUS_MULTIPROC_DIR"])
            everyone = CollectorRegistry()
            multiprocess.MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
            if self._board is not None:
                everyone.register(_BoardCollector(self._board))
            return generate_latest(everyone)
        return generate_latest(self.registry)


def _forget_the_dead(folder: str) -> None:
    """Leave out what only the living have: a worker that was killed has closed its streams all the same."""
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


class _BoardCollector(Collector):
    def __init__(self, board: SnapshotBoard) -> None:
        self._board = board

    def collect(self) -> list[Metric]:
        families = {
            name: GaugeMetricFamily(f"gateway_{name}", text, labels=("event",))
            for name, text in (
                ("issued", "Highest position handed out"),
                ("served_up_to", "The pointer"),
                ("waiting", "Turns handed out and not let in"),
                ("active_sessions", "Sessions that run"),
                ("suspended", "1 while the event's state is lost or being brought back"),
                (
                    "healed_at_seconds",
                    "When the event was last brought back, Unix time; 0 if never",
                ),
            )
        }
        for snapshot in self._board.all():
            event = (snapshot.event,)
            families["issued"].add_metric(event, snapshot.issued)
            families["served_up_to"].add_metric(event, snapshot.served_up_to)
            families["waiting"].add_metric(event, snapshot.waiting)
            families["active_sessions"].add_metric(event, snapshot.active_sessions)
            healed_at_s = 0 if snapshot.healed is None else snapshot.healed.at_ms // 1000
            families["healed_at_seconds"].add_metric(event, healed_at_s)
        suspended = self._board.suspended()
        for event_id in {*suspended, *(snapshot.event for snapshot in self._board.all())}:
            families["suspended"].add_metric((event_id,), int(event_id in suspended))
        return list(families.values())
