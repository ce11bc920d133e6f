"""Webhooks: who is told of payment events, how deliveries went, and sending one again."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post
from litestar.params import FromPath, QueryParameter

from bezant.errors import ConfigError
from bezant.gateway.events import render_time
from bezant.gateway.webhooks import Webhooks
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import (
    DeliveryList,
    DeliveryView,
    EmptyRequest,
    WebhookList,
    WebhookRequest,
    WebhookSecretView,
    WebhookView,
)
from bezant.store.endpoints import Endpoint
from bezant.store.outbox import Delivery


@post("/webhooks", opt={"body": WebhookRequest}, status_code=201)
async def register_webhook(request: AnyRequest, services: Given) -> WebhookSecretView:
    """Have payment events delivered to a URL, by the Standard Webhooks; the secret is shown this once."""
    body = await read_body(request, WebhookRequest)
    return _with_secret(await in_thread(_webhooks(services).register, body.url, body.types))


@get("/webhooks")
async def list_webhooks(services: Given) -> WebhookList:
    """List the endpoints, without their secrets."""
    return WebhookList(tuple(_view(endpoint) for endpoint in _webhooks(services).endpoints()))


@delete("/webhooks/{webhook:str}", status_code=204)
async def remove_webhook(services: Given, webhook: FromPath[str]) -> None:
    """Forget an endpoint and give up what waits for it."""
    await in_thread(_webhooks(services).remove, webhook)


@post("/webhooks/{webhook:str}/rotate", opt={"body": EmptyRequest}, status_code=200)
async def rotate_webhook(request: AnyRequest, services: Given, webhook: FromPath[str]) -> WebhookSecretView:
    """Give an endpoint a new secret; the old one signs beside it for a day."""
    await read_body(request, EmptyRequest)
    return _with_secret(await in_thread(_webhooks(services).rotate, webhook))


@post("/webhooks/{webhook:str}/enable", opt={"body": EmptyRequest}, status_code=200)
async def enable_webhook(request: AnyRequest, services: Given, webhook: FromPath[str]) -> WebhookView:
    """Switch an endpoint on again that was switched off, by 410 for example."""
    await read_body(request, EmptyRequest)
    return _view(await in_thread(_webhooks(services).enable, webhook, True))


@get("/webhooks/deliveries")
async def list_deliveries(
    services: Given,
    webhook: Annotated[str | None, QueryParameter(description="Only to this endpoint")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000, description="Rows at most")] = 100,
) -> DeliveryList:
    """List how deliveries went, newest first."""
    found = await in_thread(_webhooks(services).deliveries, webhook, limit)
    return DeliveryList(tuple(_delivery(one) for one in found))


@post("/webhooks/deliveries/{event:str}/resend", opt={"body": EmptyRequest}, status_code=202)
async def resend_delivery(request: AnyRequest, services: Given, event: FromPath[str]) -> None:
    """Deliver an event again, whether it was delivered or given up."""
    await read_body(request, EmptyRequest)
    await in_thread(_webhooks(services).resend, event)


def _webhooks(services: Services) -> Webhooks:
    if services.node.webhooks is None:
        raise ConfigError("this node runs without a store, so it has no webhooks", code="webhooks_off")
    return services.node.webhooks


def _view(endpoint: Endpoint) -> WebhookView:
    created = render_time(endpoint.created_ns)
    return WebhookView(endpoint.id, endpoint.url, endpoint.types, endpoint.enabled, created)


def _delivery(delivery: Delivery) -> DeliveryView:
    delivered, following = delivery.delivered_ns, delivery.next_attempt_ns
    return DeliveryView(
        event=delivery.event.id,
        type=delivery.event.type,
        webhook=delivery.event.endpoint,
        attempts=delivery.attempts,
        created_at=render_time(delivery.created_ns),
        delivered_at="" if delivered is None else render_time(delivered),
        next_attempt_at="" if following is None else render_time(following),
        last_error=delivery.last_error or "",
    )


def _with_secret(endpoint: Endpoint) -> WebhookSecretView:
    return WebhookSecretView(_view(endpoint), endpoint.secret)


ROUTES = [
    register_webhook,
    list_webhooks,
    list_deliveries,
    resend_delivery,
    remove_webhook,
    rotate_webhook,
    enable_webhook,
]
