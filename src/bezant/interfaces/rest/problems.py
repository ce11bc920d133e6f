"""Errors as RFC 9457 problem details, made by converters of our own."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Send

from bezant.errors import BezantError, Overloaded
from bezant.interfaces.reasons import OUTCOMES, Reason, reason_of
from bezant.model.outcomes import Outcome

PROBLEM_JSON: Final = "application/problem+json"
REQUEST_ID: Final = "bezant.request_id"
"""Where the door leaves the request's id in the ASGI scope."""
RETRY_AFTER_S: Final = 1


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One error, as RFC 9457 has it and with what payments need beside."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retryable: bool
    param: str | None = None
    """The field, parameter or header at fault, where there is one."""
    reason_code: str | None = None
    """ISO 20022 ExternalStatusReason1Code."""
    payment_id: str | None = None
    """What to query, where a payment was ordered or may have been."""
    retry_after_s: int | None = None
    """When to ask again, where the node knows; the header Retry-After says the same."""


_LOG: Final = logging.getLogger("bezant.rest")
_STATUS_CODES: Final = {
    400: "input_invalid",
    401: "unauthenticated",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")


def problem_of(error: BezantError, request_id: str, payment_id: str | None = None) -> Problem:
    """Return an operating error as a problem."""
    reason, detail = reason_of(error), error.message
    if type(error) is BezantError and reason in OUTCOMES.values():
        # It names what the ledger answered by its code; people are told in words too.
        detail = f"{detail}: {reason.title[0].lower()}{reason.title[1:]}"
    problem = _problem(reason, error.code, detail, request_id, error.param, payment_id)
    if isinstance(error, Overloaded) and error.retry_after_s > RETRY_AFTER_S:
        return msgspec.structs.replace(problem, retry_after_s=error.retry_after_s)
    return problem


def refusal(outcome: Outcome, request_id: str, payment_id: str) -> Problem:
    """Return a refusing outcome as a problem."""
    reason = OUTCOMES[outcome]
    return _problem(reason, outcome.label, f"{reason.title}.", request_id, None, payment_id)


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response[Any]:
    """Return a problem as an HTTP answer; what may be retried says when."""
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=problem_headers(problem) | (headers or {}),
    )


def problem_headers(problem: Problem) -> dict[str, str]:
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="bezant"'}
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return {"Retry-After": str(problem.retry_after_s or RETRY_AFTER_S)}
    return {}


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with a problem where there is no framework around."""
    body = msgspec.json.encode(problem)
    headers = [(name.lower().encode(), value.encode()) for name, value in problem_headers(problem).items()]
    headers += [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def split_path(message: str) -> tuple[str, str | None]:
    """Return a decoder's message without its path, and the path as a `param`.

    >>> split_path("Expected `str`, got `int` - at `$.debtor`")
    ('Expected `str`, got `int`', 'debtor')
    """
    found = _PATH.search(message)
    return (message[: found.start()], found.group(1) or None) if found else (message, None)


# Exception handlers of the application.


def on_bezant_error(request: Request[Any, Any, Any], error: BezantError) -> Response[Any]:
    return problem_response(problem_of(error, _request_id(request)))


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Tell what the framework refused: no such path, wrong method, bad parameter, body too large."""
    code = _STATUS_CODES.get(error.status_code, "internal" if error.status_code >= 500 else "input_invalid")
    detail, param = _explain(error)
    stated = BezantError(detail, code=code, param=param)
    kept = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    reason = reason_of(stated) if code != "not_found" else Reason(404, "", "Not found")
    return problem_response(_problem(reason, code, detail, _request_id(request), param, None), kept)


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    return problem_response(failure(error, _request_id(request)))


def failure(error: Exception, request_id: str) -> Problem:
    """Hide what is none of the caller's business; the log has it under the request's id."""
    _LOG.error("request %s failed", request_id, exc_info=error)
    failed = BezantError(
        f"the node failed at this request; its log says more under {request_id}", code="internal"
    )
    return problem_of(failed, request_id)


def _problem(
    reason: Reason, code: str, detail: str, request_id: str, param: str | None, payment_id: str | None
) -> Problem:
    return Problem(
        type=f"urn:bezant:problem:{code}",
        title=reason.title,
        status=reason.status,
        detail=detail,
        code=code,
        request_id=request_id,
        retryable=reason.retryable,
        param=param,
        reason_code=reason.iso or None,
        payment_id=payment_id,
    )


def _explain(error: HTTPException) -> tuple[str, str | None]:
    extra = error.extra
    if isinstance(error, ValidationException) and isinstance(extra, list) and extra:
        first = extra[0]
        return str(first.get("message", error.detail)), str(first["key"]) if first.get("key") else None
    return error.detail, None


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get(REQUEST_ID, ""))
