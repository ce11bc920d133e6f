"""What whoever runs a node looks at: health, metrics, the live stream of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.params import HeaderParameter
from litestar.response import Stream

import bezant
from bezant.interfaces.rest.drift import describe_drift
from bezant.interfaces.rest.services import Given
from bezant.interfaces.rest.shapes import Out
from bezant.node import Node
from bezant.pipeline.telemetry import BUCKETS_PER_DOUBLING, Histogram

METRICS_TYPE: Final = "text/plain; version=0.0.4"
LATELY: Final = 5
"""Events of drift that health tells of."""
_BUCKET_DOUBLINGS: Final = range(10, 34)
"""Bucket bounds from 1 µs (2**10 ns) to 8.6 s (2**33 ns), one a doubling."""


class HealthView(Out, frozen=True):
    live: bool
    ready: bool
    height: int
    durable_height: int
    store_height: int
    store_lag_blocks: int
    store_lag_payments: int
    """Payments that are durable and that lists and statements do not show yet."""
    store_lag_seconds: float
    """How old the oldest of them is."""
    store_drain_seconds: float
    """How long the store takes to be up with the chain if nothing else comes, at the rate it works."""
    store_payments_per_second: float
    """How fast it took in the last payments while it had work."""
    store_max_lag_payments: int
    """Above this lag payments are refused with `store_lagging` until the store is nearer."""
    waiting_payments: int
    version: str
    model: str = ""
    """The champion's name, or ``rules`` where none decides."""
    challenger: str = ""
    model_problem: str = ""
    """Why a model that the ledger names is not in use."""
    drift: tuple[str, ...] = ()
    """What drifted lately, in words; see ``/v1/models/drift``."""
    failure: str = ""


@get("/health", opt={"own": {503: "Not ready"}})
async def get_health(services: Given) -> Response[HealthView]:
    """Say whether the node lives and can take payments: 200 when ready, 503 when not. No token needed."""
    view = health_of(services.node)
    return Response(view, status_code=200 if view.ready else 503)


@get("/metrics", media_type=METRICS_TYPE)
async def get_metrics(services: Given) -> Response[str]:
    """Return counts and latencies of every stage in the Prometheus text format."""
    return Response(render_metrics(services.node), media_type=METRICS_TYPE)


@get("/events", media_type="text/event-stream")
async def stream_events(
    services: Given,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", description="Go on behind this event")
    ] = None,
) -> Stream:
    """Stream payment events as server-sent events, each once it is durable; resumable by Last-Event-ID."""
    feed = services.feed
    feed.check(last_event_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(feed.stream(last_event_id), media_type="text/event-stream", headers=headers)


def health_of(node: Node) -> HealthView:
    """Return the health of a node; the text of a failure is its message, never a path of a secret."""
    engine, follower = node.engine, node.follower
    failure = engine.failure or node.intake.failure or (follower.failure if follower else None)
    lag, most = node.resources.store_lag(), node.resources.max_store_lag_payments
    return HealthView(
        live=engine.failure is None and node.intake.failure is None,
        ready=failure is None and lag.payments <= most,
        height=engine.height,
        durable_height=engine.durable_height,
        store_height=follower.height if follower else 0,
        store_lag_blocks=lag.blocks,
        store_lag_payments=lag.payments,
        store_lag_seconds=round(lag.seconds, 3),
        store_drain_seconds=round(lag.drain_seconds, 3),
        store_payments_per_second=round(lag.payments_per_second, 1),
        store_max_lag_payments=most,
        waiting_payments=node.intake.waiting,
        version=bezant.__version__,
        model=node.model.name.hex() if node.model else "rules",
        challenger=node.lineup.challenger.name.hex() if node.lineup.challenger else "",
        model_problem="; ".join(node.lineup.problems.values()),
        drift=tuple(describe_drift(event) for event in node.drift.events[-LATELY:]),
        failure=str(failure) if failure else "",
    )


def render_metrics(node: Node) -> str:
    """Return the node's metrics; everything was counted in the pipeline, nothing is counted here."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_NodeCollector(node))
    return generate_latest(registry).decode()


class _NodeCollector:
    """Reads the counters that the pipeline keeps."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        yield from self._stages()
        yield self._drift()
        health = health_of(self._node)
        for name, text, value in (
            ("bezant_up", "1 when the node can take payments", int(health.ready)),
            ("bezant_height", "Last block applied", health.height),
            ("bezant_durable_height", "Last block on disk", health.durable_height),
            ("bezant_store_lag_blocks", "Blocks the read model is behind", health.store_lag_blocks),
            ("bezant_store_lag_payments", "Payments the read model is behind", health.store_lag_payments),
            (
                "bezant_store_lag_seconds",
                "Age of the oldest payment not in the read model",
                health.store_lag_seconds,
            ),
            (
                "bezant_store_drain_seconds",
                "Seconds until the read model is up to date, if nothing else comes",
                health.store_drain_seconds,
            ),
            (
                "bezant_store_max_lag_payments",
                "Lag above which payments are refused",
                health.store_max_lag_payments,
            ),
            ("bezant_waiting_payments", "Payments queued in front of the pipeline", health.waiting_payments),
            ("bezant_pipeline_generation", "Grows with every replaced stage", self._node.flow.generation),
            (
                "bezant_challenger_payments",
                "Payments that a challenger scored beside the champion",
                self._node.challenge.scored,
            ),
            (
                "bezant_challenger_nonsense",
                "Payments for which a challenger's answers were of no use",
                self._node.challenge.nonsense,
            ),
            ("bezant_drift_events", "Times that something drifted", self._node.drift.count),
            (
                "bezant_unobserved_payments",
                "Payments that nobody looked at beside their way, because too many waited",
                self._node.observer.shed,
            ),
            ("bezant_accounts", "Accounts open", self._node.engine.ledger.account_count),
            ("bezant_start_time_seconds", "When the node was opened", self._node.started_ns / 1e9),
        ):
            yield _gauge(name, text, value)

    def _drift(self) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(
            "bezant_drift_index", "Population stability index against training", labels=["input"]
        )
        for name, index in self._node.drift_watch.indices.items():
            family.add_metric([name], index)
        return family

    def _stages(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        for field, text in (
            ("payments", "Payments that went through a stage"),
            ("batches", "Batches that went through a stage"),
            ("refused", "Payments that a stage refused"),
            ("fallbacks", "Batches for which a stage fell back"),
            ("failures", "Times a stage failed"),
            ("over_budget", "Batches that took longer than the stage's budget"),
        ):
            family = CounterMetricFamily(f"bezant_stage_{field}", text, labels=["stage"])
            for stage, telemetry in self._node.flow.telemetry.items():
                family.add_metric([stage], getattr(telemetry, field))
            yield family
        latency = HistogramMetricFamily(
            "bezant_stage_seconds", "Time of a batch in a stage", labels=["stage"]
        )
        for stage, telemetry in self._node.flow.telemetry.items():
            buckets, total_s = _buckets(telemetry.per_batch)
            latency.add_metric([stage], buckets, total_s)
        yield latency


def _gauge(name: str, text: str, value: float) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, value=value)


def _buckets(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Return cumulative buckets, one a doubling, and the sum in seconds."""
    buckets = [
        (f"{2**doubling / 1e9:.9g}", float(sum(histogram.counts[: doubling * BUCKETS_PER_DOUBLING])))
        for doubling in _BUCKET_DOUBLINGS
    ]
    return [*buckets, ("+Inf", float(histogram.total))], histogram.sum_ns / 1e9


ROUTES = [get_health, get_metrics]
V1_ROUTES = [stream_events]
