"""The application: routes, services, error handlers, and the door in front."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from bezant.errors import BezantError
from bezant.interfaces.rest import (
    accounts,
    assets,
    authorities,
    checkpoints,
    controls,
    decisions,
    drift,
    governance,
    holds,
    labels,
    mandates,
    models,
    operations,
    parties,
    payments,
    refunds,
    reviews,
    rules,
    signed,
    validators,
    webhooks,
)
from bezant.interfaces.rest.door import Door
from bezant.interfaces.rest.events import Feed
from bezant.interfaces.rest.idempotency import Keyring
from bezant.interfaces.rest.openapi import describe, schema_routes
from bezant.interfaces.rest.problems import on_bezant_error, on_exception, on_http_exception
from bezant.interfaces.rest.render import Renderer
from bezant.interfaces.rest.services import Services
from bezant.node import Node

V1 = (
    payments,
    holds,
    refunds,
    mandates,
    signed,
    accounts,
    parties,
    assets,
    controls,
    authorities,
    reviews,
    decisions,
    rules,
    labels,
    models,
    drift,
    validators,
    governance,
    webhooks,
    checkpoints,
)


def create_services(node: Node) -> Services:
    """Return what the handlers share, following the node's committed blocks from now on."""
    ledger = node.engine.ledger
    render = Renderer(node.engine.genesis, lambda: ledger.in_force.rules.review_for_s)
    feed = Feed(render, node.engine.blocks_from, node.engine.durable_height, node.engine.first_height)
    node.engine.subscribe(feed.on_durable)
    node.drift.listeners.append(lambda event: feed.tell(event.kind, drift.drift_view(event)))
    return Services(
        node, render, Keyring(node.idempotency, node.folder.keys.blinding, node.desk.now_ns), feed
    )


def create_app(services: Services, more: Sequence[ControllerRouterHandler] = ()) -> Door:
    """Return the ASGI application; `more` are routes of other interfaces behind the same door."""
    http = services.node.config.http
    resources = [_together(module, module.ROUTES) for module in V1]
    handlers: list[ControllerRouterHandler] = [
        _together(operations, operations.ROUTES),
        Router("/v1", route_handlers=[*resources, _together(operations, operations.V1_ROUTES)]),
    ]
    dependencies = {"services": Provide(lambda: services, sync_to_thread=False, use_cache=True)}
    litestar = Litestar(
        [*handlers, *schema_routes(lambda: describe(handlers, dependencies)), *more],
        dependencies=dependencies,
        exception_handlers={
            BezantError: on_bezant_error,
            HTTPException: on_http_exception,
            Exception: on_exception,
        },
        openapi_config=None,
        request_max_body_size=http.max_body_bytes,
        logging_config=None,
    )
    return Door(litestar, services.node.folder.keys.operator_token, http.rate_per_s, http.burst)


def _together(module: ModuleType, routes: Sequence[ControllerRouterHandler]) -> Router:
    """Return the routes of a module, described under its name."""
    return Router("/", route_handlers=[*routes], tags=[module.__name__.rpartition(".")[2]])
