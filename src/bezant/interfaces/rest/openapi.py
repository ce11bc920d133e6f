"""The OpenAPI 3.1 document, and a page for it that makes no outside request.

Litestar describes paths, parameters and answers; bodies, problems, the token and the idempotency
header are added here from what each route says of itself in `opt`: ``body`` the type it reads,
``once`` that it needs an Idempotency-Key, ``binary`` that it also reads octets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

import bezant
from bezant.errors import NotFound
from bezant.interfaces.rest.door import is_open
from bezant.interfaces.rest.idempotency import HEADER, MAX_KEY_CHARACTERS
from bezant.interfaces.rest.problems import PROBLEM_JSON, Problem

DESCRIPTION: Final = """A real-time payment network in one process.

Money is `{"amount": "12.50", "asset": "EUR"}`: a decimal string, never a float. Names are ISO 20022's in
snake_case. Every POST that moves money needs an `Idempotency-Key`; a UUIDv7 is the payment's id.
Errors are RFC 9457 problems with `code`, `param`, `request_id` and `retryable`. A problem with the code
`outcome_unknown` means that it may have been settled: query it, or send it again under the same key.
"""
_VENDORED: Final = Path(__file__).parent / "vendored"
_FILES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_FAVICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%23c9a227'/%3E%3C/svg%3E"
)
_PAGE: Final = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bezant API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="{_FAVICON}"><link rel="stylesheet" href="/schema/files/swagger-ui.css">
</head><body><div id="page"></div><script src="/schema/files/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{url: "/schema/openapi.json", dom_id: "#page", validatorUrl: null}})</script>
</body></html>"""
_STATUSES: Final = {
    400: "The request is not valid",
    401: "The operator's token is missing or wrong",
    404: "Not known",
    405: "The method is not allowed here",
    409: "In flight, or not in a state for this",
    410: "The personal data was erased",
    413: "The body is too large",
    415: "The content type is not accepted",
    422: "Refused: the ledger or a rule says no",
    429: "Too many requests",
    500: "The node failed",
    503: "Overloaded or not ready; nothing was accepted",
    504: "It may or may not have happened",
}
_EVERYWHERE: Final = (400, 401, 404, 405, 429, 500, 503)
_WITH_BODY: Final = (413, 415, 422)
_WRITING: Final = (409, 422, 504)
_REF: Final = "#/components/schemas/{name}"
_KEY_HEADER: Final = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "Best a UUIDv7: it is the id of what is ordered, and holds for ever",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": "^[ -~]+$"},
}
Dependencies = Mapping[str, Any]


def describe(handlers: Sequence[ControllerRouterHandler], dependencies: Dependencies) -> dict[str, Any]:
    """Return the whole document."""
    config = OpenAPIConfig(
        title="Bezant",
        version=bezant.__version__,
        description=DESCRIPTION,
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, method, path: handler.handler_name,
    )
    described = Litestar(
        list(handlers), dependencies=dependencies, openapi_config=config, logging_config=None
    )
    document: dict[str, Any] = described.openapi_schema.to_schema()
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for route in described.routes:
        path = re.sub(r":\w+}", "}", route.path)
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods:
                operation = document["paths"].get(path, {}).get(method.lower())
                if operation is not None:
                    _complete(operation, handler, path, schemas)
    schemas.update(_schemas_of(Problem))
    components["securitySchemes"] = {"operator": {"type": "http", "scheme": "bearer"}}
    return document


def _complete(
    operation: dict[str, Any], handler: HTTPRouteHandler, path: str, schemas: dict[str, Any]
) -> None:
    """Add to one operation what Litestar does not know of it."""
    body = handler.opt.get("body")
    statuses = [*_EVERYWHERE]
    if body is not None:
        schemas.update(_schemas_of(body))
        content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF.format(name=body.__name__)}}}
        if handler.opt.get("binary"):
            content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": content}
        statuses += _WITH_BODY
    if path.startswith("/v1/") and ("POST" in handler.http_methods or "DELETE" in handler.http_methods):
        statuses += _WRITING
    if handler.opt.get("once"):
        operation.setdefault("parameters", []).append(_KEY_HEADER)
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    if not is_open(path):
        operation["security"] = [{"operator": []}]
    responses = operation["responses"]
    for status in sorted(set(statuses)):
        if status in handler.opt.get("own", ()):
            continue
        schema = {"$ref": _REF.format(name="Problem")}
        responses[str(status)] = {
            "description": _STATUSES[status],
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
    if handler.opt.get("binary"):
        responses["200"]["content"]["application/octet-stream"] = {
            "schema": {"type": "string", "format": "binary"}
        }
    for status in handler.opt.get("own", ()):
        success = next(iter(responses.values()))
        responses[str(status)] = {**success, "description": handler.opt["own"][status]}


def _schemas_of(kind: type[Any]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    return components


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null: in a query, what is absent is left out."""
    options = [option for option in schema.get("oneOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "oneOf"}, **options[0]}


def schema_routes(document: Callable[[], dict[str, Any]]) -> list[HTTPRouteHandler]:
    """Return the routes of the page, which `/` leads to, and of the document, made when first asked for."""

    @cache
    def encoded() -> bytes:
        return msgspec.json.encode(document())

    @get("/", status_code=302, sync_to_thread=False, include_in_schema=False)
    def front() -> Redirect:
        return Redirect("/schema")

    @get("/schema", media_type="text/html", sync_to_thread=False, include_in_schema=False)
    def page() -> Response[str]:
        return Response(_PAGE, media_type="text/html")

    @get("/schema/openapi.json", sync_to_thread=True, include_in_schema=False)
    def openapi() -> Response[bytes]:
        return Response(encoded(), media_type="application/json")

    @get("/schema/files/{name:str}", sync_to_thread=True, include_in_schema=False)
    def file(name: FromPath[str]) -> Response[bytes]:
        if name not in _FILES:
            raise NotFound(f"there is no file {name[:64]!r} here", param="name")
        headers = {"Cache-Control": "public, max-age=86400"}
        return Response((_VENDORED / name).read_bytes(), media_type=_FILES[name], headers=headers)

    return [front, page, openapi, file]
