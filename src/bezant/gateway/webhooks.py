"""Webhooks: endpoints that are told of payment events and of drift, from the durable outbox.

An event is due until an endpoint answered 2xx, ten times over three days at most. One endpoint's
events go out one after another, several endpoints' side by side; an endpoint that just failed rests
a moment, so that a dead one costs the others nothing.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Final

import httpx

from bezant.errors import BezantError, ConflictError, InputError
from bezant.gateway.delivery import deliver, new_client, new_secret
from bezant.gateway.events import EVENT_TYPES, drift_rows
from bezant.gateway.targets import check_url
from bezant.intelligence.drift import Drift
from bezant.store.endpoints import Endpoint, Endpoints
from bezant.store.outbox import Delivery, DueEvent, Outbox

MAX_ENDPOINTS: Final = 100
ROTATION_NS: Final = 24 * 3_600 * 1_000_000_000
"""How long the previous secret signs beside the new one."""
REST_NS: Final = 5 * 1_000_000_000
"""How long an endpoint that failed is left alone, whatever else is due for it."""
KEEP_NS: Final = 30 * 86_400 * 1_000_000_000
"""How long deliveries can be looked up and sent again."""
POLL_S: Final = 0.25
_WORKERS: Final = 8
_PRUNE_EVERY_NS: Final = 3_600 * 1_000_000_000


class Webhooks:
    """Registers endpoints and delivers to them in the background. Thread-safe."""

    def __init__(
        self,
        endpoints: Endpoints,
        outbox: Outbox,
        *,
        allow_private: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._endpoints, self._outbox = endpoints, outbox
        self._allow_private, self._now_ns = allow_private, now_ns
        self._client: httpx.Client | None = None
        self._busy: set[str] = set()
        self._resting: dict[str, int] = {}
        self._pruned_ns = 0
        self._drifts: deque[tuple[Drift, int]] = deque()
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self.failure: BezantError | None = None
        """Why the outbox could not be read or written last; None while all is well."""

    # The registry.

    def register(self, url: str, types: Sequence[str] = ()) -> Endpoint:
        """Add an endpoint for some event types, or for all; its secret is shown in the answer.

        Raises: InputError ``url_refused``, ``event_type_unknown``; ConflictError ``too_many_endpoints``.
        """
        check_url(url, allow_private=self._allow_private)
        unknown = [type_ for type_ in types if type_ not in EVENT_TYPES]
        if unknown:
            raise InputError(
                f"there is no event type {unknown[0][:64]!r}; there are {', '.join(EVENT_TYPES)}",
                code="event_type_unknown",
                param="types",
            )
        if len(self._endpoints.all()) >= MAX_ENDPOINTS:
            raise ConflictError(f"there are {MAX_ENDPOINTS} endpoints; remove one", code="too_many_endpoints")
        wanted = tuple(dict.fromkeys(types))
        endpoint = Endpoint(f"we_{secrets.token_hex(8)}", url, wanted, new_secret(), self._now_ns())
        self._endpoints.put(endpoint)
        return endpoint

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint, the oldest first."""
        return self._endpoints.all()

    def get(self, id_: str) -> Endpoint:
        """Return one endpoint. Raises: NotFound."""
        return self._endpoints.get(id_)

    def remove(self, id_: str) -> None:
        """Forget an endpoint and give up what waits for it. Raises: NotFound."""
        self._endpoints.remove(id_)
        self._outbox.stop_endpoint(id_)

    def enable(self, id_: str, enabled: bool) -> Endpoint:
        """Switch an endpoint on or off; one that is off is told nothing, then or later. Raises: NotFound."""
        endpoint = replace(self._endpoints.get(id_), enabled=enabled)
        self._endpoints.put(endpoint)
        if not enabled:
            self._outbox.stop_endpoint(id_)
        return endpoint

    def rotate(self, id_: str) -> Endpoint:
        """Give an endpoint a new secret; the old one signs beside it for a day. Raises: NotFound."""
        old = self._endpoints.get(id_)
        until = self._now_ns() + ROTATION_NS
        endpoint = replace(old, secret=new_secret(), previous_secret=old.secret, previous_until_ns=until)
        self._endpoints.put(endpoint)
        return endpoint

    def deliveries(self, id_: str | None = None, limit: int = 100) -> Sequence[Delivery]:
        """Return how deliveries went, newest first, to one endpoint or to all."""
        return self._outbox.deliveries(id_, limit)

    def resend(self, event_id: str) -> None:
        """Have an event delivered again, delivered or given up. Raises: NotFound."""
        self._outbox.resend(event_id, self._now_ns())

    # Delivering.

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop; an attempt under way is finished first, at most its timeout long."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        try:
            self._take_drifts()
        except BezantError as error:
            self.failure = error
        self._workers.shutdown()
        if self._client is not None:
            self._client.close()

    def deliver_due(self) -> int:
        """Attempt what is due now and return how many endpoints were turned to."""
        self._take_drifts()
        under_way = self._dispatch()
        wait(under_way)
        for done in under_way:
            done.result()
        return len(under_way)

    def tell(self, drift: Drift, height: int) -> None:
        """Have drift told that was found at a height. It is in the outbox a moment later, for who finds it
        must not wait: it may be the thread that commits payments."""
        self._drifts.append((drift, height))

    def _take_drifts(self) -> None:
        while self._drifts:
            drift, height = self._drifts[0]
            self._outbox.append(drift_rows(drift, height, self._endpoints.all()), self._now_ns())
            self._drifts.popleft()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self._take_drifts()
                if self._endpoints.all():
                    self._dispatch()
                    self._prune()
                self.failure = None
            except BezantError as error:
                self.failure = error

    def _dispatch(self) -> list[Future[None]]:
        """Hand each endpoint's due events to a worker, unless one is busy with that endpoint."""
        now_ns = self._now_ns()
        with self._turn:
            self._resting = {id_: until for id_, until in self._resting.items() if until > now_ns}
            left_alone = self._busy | self._resting.keys()
            by_endpoint: dict[str, list[DueEvent]] = {}
            for due in self._outbox.due(now_ns, without=left_alone):
                by_endpoint.setdefault(due.event.endpoint, []).append(due)
            self._busy |= by_endpoint.keys()
            return [self._workers.submit(self._deliver_all, *item) for item in by_endpoint.items()]

    def _deliver_all(self, id_: str, events: Sequence[DueEvent]) -> None:
        try:
            for due in events:
                if self._stopping.is_set() or not self._deliver(id_, due):
                    return
        except BezantError as error:
            self.failure = error
        finally:
            with self._turn:
                self._busy.discard(id_)

    def _deliver(self, id_: str, due: DueEvent) -> bool:
        """Attempt one event; return whether the endpoint takes more."""
        known = {endpoint.id: endpoint for endpoint in self._endpoints.all()}
        endpoint = known.get(id_)
        if endpoint is None or not endpoint.enabled:
            self._outbox.stop_endpoint(id_)
            return False
        now_ns, event = self._now_ns(), due.event
        attempt = deliver(
            self._http(),
            endpoint.url,
            endpoint.secrets(now_ns),
            event.id,
            now_ns // 1_000_000_000,
            event.body.encode(),
            allow_private=self._allow_private,
        )
        if attempt.delivered:
            self._outbox.mark_delivered(event.id, self._now_ns())
            return True
        self._outbox.mark_failed(event.id, self._now_ns(), attempt.error)
        if attempt.gone:
            self.enable(id_, False)
        with self._turn:
            self._resting[id_] = self._now_ns() + REST_NS
        return False

    def _http(self) -> httpx.Client:
        # Made with the first delivery: loading the certificates takes a moment.
        with self._turn:
            if self._client is None:
                self._client = new_client()
            return self._client

    def _prune(self) -> None:
        now_ns = self._now_ns()
        if now_ns - self._pruned_ns > _PRUNE_EVERY_NS:
            self._outbox.prune(now_ns - KEEP_NS)
            self._pruned_ns = now_ns
