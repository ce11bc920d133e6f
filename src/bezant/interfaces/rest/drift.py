"""Drift: what is no longer as it was where the model was trained, or as fast as it was."""

from __future__ import annotations

from typing import Literal

from litestar import get

from bezant.gateway.events import render_time
from bezant.intelligence.drift import Drift
from bezant.interfaces.rest.services import Given
from bezant.interfaces.rest.shapes import Out


class DriftView(Out, frozen=True):
    """One event: `subject` is an input, ``score``, ``labels`` or a stage.

    By ``psi`` `after` is the population stability index against the model's training, and `before` the bound
    that it passed. By ``adwin`` both are means: of scores in parts per million, of the share of labels that
    say fraud, or of a stage's microseconds a batch.
    """

    type: Literal["model.drift", "stage.drift"]
    subject: str
    measure: Literal["psi", "adwin"]
    before: float
    after: float
    at: str


class DriftReport(Out, frozen=True):
    """The last events since the node was opened, oldest first, and by input the last index over 2,000
    payments: under 0.1 nothing to speak of, from 0.25 on another population."""

    events: tuple[DriftView, ...]
    indices: dict[str, float]


@get("/models/drift")
async def get_drift(services: Given) -> DriftReport:
    """Say what drifted: inputs, scores, labels, and the latency of stages."""
    node = services.node
    return DriftReport(tuple(drift_view(event) for event in node.drift.events), node.drift_watch.indices)


def drift_view(event: Drift) -> DriftView:
    """Return an event as it goes out."""
    return DriftView(
        event.kind, event.subject, event.measure, event.before, event.after, render_time(event.at_ns)
    )


def describe_drift(event: Drift) -> str:
    """Return an event as a line for people."""
    if event.measure == "psi":
        return f"{event.subject}: stability index {event.after:g}, {event.before:g} is the bound"
    unit = " µs a batch" if event.kind == "stage.drift" else " ppm" if event.subject == "score" else ""
    return f"{event.subject}: from {event.before:g} to {event.after:g}{unit}"


ROUTES = [get_drift]
