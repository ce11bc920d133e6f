"""The SQL read model: lists, search and statements, projected from committed blocks."""

from bezant.store.endpoints import Endpoint, Endpoints
from bezant.store.follower import Follower
from bezant.store.idempotency import IdempotencyKeys
from bezant.store.lag import Lag
from bezant.store.outbox import Delivery, Event, Outbox
from bezant.store.queries import Queries
from bezant.store.schema import PaymentStatus
from bezant.store.store import Store

__all__ = [
    "Delivery",
    "Endpoint",
    "Endpoints",
    "Event",
    "Follower",
    "IdempotencyKeys",
    "Lag",
    "Outbox",
    "PaymentStatus",
    "Queries",
    "Store",
]
