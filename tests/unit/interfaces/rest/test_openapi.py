"""The description is valid, says what is true, and its page asks nobody else for anything."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .conftest import Api

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NEVER_ENDING = "/v1/events"
bounded = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    return api.get("/schema/openapi.json")


def test_it_is_openapi_3_1_and_every_reference_resolves(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    names = set(re.findall(r"#/components/schemas/([A-Za-z0-9_]+)", str(document)))
    assert names <= set(document["components"]["schemas"])
    assert "Services" not in document["components"]["schemas"]


def test_what_moves_money_asks_for_a_key_and_a_token(document: dict[str, Any]) -> None:
    for path in ("/v1/payments", "/v1/payments/{payment_id}/capture", "/v1/reviews/{payment_id}/approve"):
        operation = document["paths"][path]["post"]
        header = next(one for one in operation["parameters"] if one["name"] == "Idempotency-Key")
        assert header["required"]
        assert operation["security"] == [{"operator": []}]
        assert operation["responses"]["422"]["content"].keys() == {"application/problem+json"}


def test_every_operation_is_found_under_the_name_of_what_it_is_about(document: dict[str, Any]) -> None:
    tags = {
        f"{method} {path}": operation["tags"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert all(len(names) == 1 for names in tags.values())
    assert tags["post /v1/payments"] == ["payments"]
    assert tags["post /v1/payments/{payment_id}/capture"] == ["holds"]
    assert tags["get /health"] == ["operations"]


def test_the_address_that_a_node_prints_leads_to_the_page_without_a_token(api: Api) -> None:
    nobody = {"Authorization": ""}
    answer = api.send("GET", "/", headers=nobody)
    assert (answer.status_code, answer.headers["location"]) == (302, "/schema")
    assert api.send("GET", "/anything", headers=nobody).status_code == 401


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/schema", "text/html; charset=utf-8"),
        ("/schema/files/swagger-ui.css", "text/css; charset=utf-8"),
        ("/schema/files/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_a_text_says_once_how_it_is_written(api: Api, path: str, kind: str) -> None:
    assert api.send("GET", path).headers["content-type"] == kind


def test_the_page_makes_no_outside_request(api: Api) -> None:
    page = api.send("GET", "/schema").text
    sources = re.findall(r'(?:src|href|url:)\s*=?\s*"([^"]+)"', page)
    assert len(sources) >= 3
    for source in sources:
        assert source.startswith(("/schema/", "data:")), source
        if source.startswith("/"):
            assert api.send("GET", source).status_code == 200
    assert api.send("GET", "/schema/files/../app.py").status_code == 404
    assert api.send("GET", "/schema/files/LICENSE.txt").status_code == 404


def test_requests_made_from_the_description_are_answered_as_described(
    api: Api, document: dict[str, Any]
) -> None:
    schema = schemathesis.openapi.from_dict(document)
    tried = 0

    def check(case: schemathesis.Case) -> None:
        nonlocal tried
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://node")).prepare()
        response = api.send(
            prepared.method or "GET",
            prepared.url or "",
            content=prepared.body,
            headers=dict(prepared.headers),
        )
        case.validate_response(response, checks=CHECKS)
        tried += 1

    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path != NEVER_ENDING:
            bounded(given(case=operation.as_strategy())(check))()
    assert tried > 100
