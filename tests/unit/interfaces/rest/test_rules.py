"""Rules over HTTP: listed, read again, named when they cannot be, and told with a decision."""

from __future__ import annotations

from .conftest import Api, payment

RULE = """
[[rules]]
name = "small"
verdict = "review"
reason = "Too small to be true."
when = ["amount < 0.05 EUR"]
"""


def test_rules_are_listed_reloaded_and_told(api: Api) -> None:
    assert api.get("/v1/rules") == {"digest": "00" * 16, "rules": []}


def test_a_rule_is_taken_up_and_a_bad_one_named(api: Api, accounts: tuple[str, str]) -> None:
    settings = api.node.folder.path / "bezant.toml"
    before = settings.read_text()
    try:
        settings.write_text(before + RULE)
        told = api.post("/v1/rules/reload", status=200)
        assert told["rules"] == [
            {
                "name": "small",
                "verdict": "review",
                "when": ["amount < 0.05 EUR"],
                "reason": "Too small to be true.",
            }
        ]
        assert api.get("/v1/rules") == told
        held = api.post("/v1/payments", payment(*accounts, "0.01"), status=202)
        decision = api.get(f"/v1/decisions/{held['id']}")
        assert (decision["verdict"], decision["screening"]) == ("review", "allow")
        assert decision["rules"] == [
            {"name": "small", "verdict": "review", "reason": "Too small to be true."}
        ]
        assert "A rule of this node asks for it." in decision["reasons"]
        told_why = api.get(f"/v1/decisions/{held['id']}/explanation")
        assert told_why["text"].startswith("EUR 0.01; ")
        assert {idea["name"] for idea in told_why["ideas"]} >= {"amount", "time", "pace"}
        settings.write_text(before + RULE.replace("0.05", "0.055"))
        refused = api.send("POST", "/v1/rules/reload", json={})
        assert refused.status_code >= 400
        assert "rule small: amount '0.055' has more than 2 decimals" in refused.json()["detail"]
        assert api.get("/v1/rules") == told
        lost = api.node.books._path(bytes.fromhex(told["digest"]))
        lost.rename(lost.with_suffix(".away"))
        (unknown,) = api.get(f"/v1/decisions/{held['id']}")["rules"]
        assert (unknown["name"], unknown["verdict"]) == ("rule 1", "review")
        assert "put their file there" in unknown["reason"]
        assert api.send("GET", f"/v1/decisions/{held['id']}/replay").json()["code"] == "rules_missing"
    finally:
        settings.write_text(before)
        api.post("/v1/rules/reload", status=200)
