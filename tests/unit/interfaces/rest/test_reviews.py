"""The review queue over REST: its order, one case, and people who work on it."""

from __future__ import annotations

from typing import Any

from tests.unit.interfaces.rest.conftest import Api, payment, uuid7

from bezant.model.identifiers import parse_payment_id
from bezant.store.reviews import expected_loss


def waiting(api: Api, accounts: tuple[str, str], amount: str = "77.77", **more: Any) -> str:
    """Return a payment in review."""
    return str(api.post("/v1/payments", payment(*accounts, amount, **more), status=202)["id"])


def listed(api: Api, **filters: Any) -> list[str]:
    """Return the ids of all open reviews in order, a small page at a time."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/v1/reviews", limit=2, **filters, **cursor)
        found += [one["payment"]["id"] for one in page["reviews"]]
        if "next_cursor" not in page:
            return found
        cursor = {"cursor": page["next_cursor"]}


def events(api: Api, id_: str) -> list[tuple[str, str, str]]:
    history = api.get(f"/v1/reviews/{id_}")["history"]
    return [(one["event"], one.get("by", ""), one.get("note", "")) for one in history]


def test_what_is_expected_to_lose_most_comes_first(api: Api) -> None:
    rich, payee = api.account("5000"), api.account()
    small, large, middle = (waiting(api, (rich, payee), text) for text in ("177.77", "977.77", "577.77"))
    assert listed(api, account=rich) == [large, middle, small]
    everything = listed(api)
    assert [one for one in everything if one in (small, large, middle)] == [large, middle, small]
    assert len(set(everything)) == len(everything)
    (first, *_) = api.get("/v1/reviews", account=rich)["reviews"]
    loss = expected_loss(round(first["score"] * 10**6), 977_77)
    assert first["expected_loss"] == {"amount": f"{loss // 100}.{loss % 100:02}", "asset": "EUR"}
    assert first["lapses_at"] == first["payment"]["held"]["expires_at"]
    api.post(f"/v1/reviews/{large}/reject", status=200)
    assert listed(api, account=rich) == [middle, small]


def test_a_page_goes_on_where_the_last_row_was_decided_meanwhile(api: Api) -> None:
    rich, payee = api.account("5000"), api.account()
    small, large, middle = (waiting(api, (rich, payee), text) for text in ("177.77", "977.77", "577.77"))
    page = api.get("/v1/reviews", account=rich, limit=1)
    api.post(f"/v1/reviews/{large}/approve", status=200)
    rest = api.get("/v1/reviews", account=rich, cursor=page["next_cursor"])["reviews"]
    assert [one["payment"]["id"] for one in rest] == [middle, small]
    other = api.send("GET", "/v1/reviews", params={"account": payee, "cursor": page["next_cursor"]})
    assert (other.status_code, other.json()["code"]) == (400, "cursor_invalid")


def test_filters(api: Api) -> None:
    accounts = api.account("1000"), api.account()
    mine = waiting(api, accounts)
    assert listed(api, account=accounts[1]) == [mine], "the payee's side too"
    assert listed(api, account=accounts[0], asset="EUR") == [mine]
    assert listed(api, account=accounts[0], older_than_s=3600) == []
    assert listed(api, account=accounts[0], older_than_s=0) == [mine]
    assert listed(api, account=accounts[0], expiring_within_s=60) == []
    assert listed(api, account=accounts[0], expiring_within_s=73 * 3600) == [mine]
    more = [waiting(api, accounts, f"{euros}77.77") for euros in ("", "1", "2")]
    for filters in ({"older_than_s": 0}, {"expiring_within_s": 73 * 3600}):
        assert set(listed(api, account=accounts[0], **filters)) == {mine, *more}, "over two pages"
    for one in more:
        api.post(f"/v1/reviews/{one}/reject", status=200)
    assert listed(api, account=accounts[0], escalated="true") == []
    api.post(f"/v1/reviews/{mine}/escalate", {"to": "compliance"})
    assert listed(api, account=accounts[0], escalated="true") == [mine]
    assert listed(api, account=accounts[0], escalated="false") == []
    assert api.get("/v1/reviews", account=accounts[0])["reviews"][0]["escalated"] is True
    unknown = api.send("GET", "/v1/reviews", params={"asset": "XAU"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "asset_unknown")


def test_a_case_says_who_did_what(api: Api, accounts: tuple[str, str]) -> None:
    mine = waiting(api, accounts)
    api.post(f"/v1/reviews/{mine}/escalate", {"to": "compliance", "by": "Ada", "note": "odd hour"})
    api.post(f"/v1/reviews/{mine}/approve", {"label": "genuine", "by": "Bo", "note": "called"}, status=200)
    api.post(f"/v1/payments/{mine}/labels", {"label": "fraud", "by": "Ada", "note": "a complaint"})
    assert events(api, mine) == [
        ("held_for_review", "", ""),
        ("escalated", "Ada", "odd hour"),
        ("approved", "Bo", "called"),
        ("labelled", "", ""),
        ("labelled", "Ada", "a complaint"),
    ]
    case = api.get(f"/v1/reviews/{mine}")
    assert [one.get("label") for one in case["history"]][-2:] == ["genuine", "fraud"]
    assert [bool(one.get("block")) for one in case["history"]] == [True, False, True, True, True]
    assert (case["escalated_to"], case["review"]["payment"]["status"]) == ("compliance", "captured")
    assert "lapses_at" not in case["review"]
    assert case["why"].startswith("EUR 77.77")


def test_of_two_people_at_one_case_the_second_hears_who_was_first(
    api: Api, accounts: tuple[str, str]
) -> None:
    mine = waiting(api, accounts)
    api.post(f"/v1/reviews/{mine}/reject", {"by": "Ada"}, status=200)
    for action, body in (("approve", {"by": "Bo"}), ("reject", {}), ("escalate", {"to": "Cy"})):
        second = api.send("POST", f"/v1/reviews/{mine}/{action}", key=uuid7(), json=body)
        assert (second.status_code, second.json()["code"]) == (409, "not_held")
        assert "it was rejected at" in second.json()["detail"]
        assert second.json()["detail"].endswith("by Ada")
    assert [name for name, *_ in events(api, mine)] == ["held_for_review", "rejected"], "nothing half done"


def test_at_the_same_moment_one_of_two_decides(api: Api, accounts: tuple[str, str]) -> None:
    mine = waiting(api, accounts)
    both = api.together(
        *(
            (
                "POST",
                f"/v1/reviews/{mine}/{action}",
                {"json": {"by": by, "note": "mine"}, "headers": {"Idempotency-Key": uuid7()}},
            )
            for action, by in (("approve", "Ada"), ("reject", "Bo"))
        )
    )
    assert sorted(one.status_code for one in both) == [200, 409]
    winner = "Ada" if both[0].status_code == 200 else "Bo"
    assert [by for _, by, _ in events(api, mine)] == ["", winner]


def test_escalating_is_done_once_a_key_and_once_a_person(api: Api, accounts: tuple[str, str]) -> None:
    mine, key = waiting(api, accounts), uuid7()
    path, body = f"/v1/reviews/{mine}/escalate", {"to": "compliance", "by": "Ada"}
    one, two = (api.send("POST", path, key=key, json=body) for _ in range(2))
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json() == two.json()
    assert two.headers["Idempotency-Replayed"] == "true"
    other = api.send("POST", path, key=key, json={"to": "somebody else"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    again = api.send("POST", path, key=uuid7(), json=body)
    assert (again.status_code, again.json()["code"]) == (409, "already_escalated")
    assert "by Ada" in again.json()["detail"]
    api.post(path, {"to": "the board"})
    assert api.get(f"/v1/reviews/{mine}")["escalated_to"] == "the board"
    nobody = api.send("POST", path, key=uuid7(), json={})
    assert (nobody.status_code, nobody.json()["code"]) == (400, "input_invalid")
    assert "`to`" in nobody.json()["detail"]


def test_a_remark_stays_what_it_was_under_a_key(api: Api, accounts: tuple[str, str]) -> None:
    mine, key = waiting(api, accounts), uuid7()
    path = f"/v1/reviews/{mine}/approve"
    for _ in range(2):
        answer = api.send("POST", path, key=key, json={"note": "called", "by": "Ada"})
        assert answer.status_code == 200
    other = api.send("POST", path, key=key, json={"note": "never called", "by": "Ada"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert events(api, mine) == [("held_for_review", "", ""), ("approved", "Ada", "called")]


def test_what_is_not_in_review_cannot_be_passed_on(api: Api, accounts: tuple[str, str]) -> None:
    paid = api.post("/v1/payments", payment(*accounts, "2.00"))["id"]
    for id_, status, code in ((paid, 409, "not_in_review"), (uuid7(), 404, "payment_unknown")):
        answer = api.send("POST", f"/v1/reviews/{id_}/escalate", key=uuid7(), json={"to": "Ada"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert api.send("GET", f"/v1/reviews/{uuid7()}").status_code == 404


def test_links_show_what_is_around(api: Api) -> None:
    payer, other, payee, onward = (api.account("500") for _ in range(4))
    before = api.post("/v1/payments", payment(other, payee, "3.00", device="phone-7"))["id"]
    api.post(f"/v1/payments/{before}/labels", {"label": "fraud"})
    api.post("/v1/payments", payment(payee, onward, "2.00"))
    open_too = waiting(api, (payer, onward))
    mine = waiting(api, (payer, payee), "177.77", device="phone-7")
    links = api.get(f"/v1/reviews/{mine}")["links"]
    assert [one["id"] for one in links["debtor_payments"]][:1] == [open_too]
    known = {one["id"] for one in links["creditor_payments"] if one.get("fraud")}
    assert known == {before}
    assert [one["id"] for one in links["open_reviews"]] == [open_too]
    around = {one["account"]: one for one in links["accounts"]}
    assert around[other]["via"] == ["same device", "paid the same payee"]
    assert around[other]["known_frauds"] == 1
    assert set(around[onward]["via"]) == {"paid by the payee", "paid by the same payer"}
    assert links["accounts"][0]["account"] == other, "known frauds come first"
    assert {payer, payee}.isdisjoint(around)


def test_what_was_said_goes_with_the_payer(api: Api) -> None:
    account = api.account("500")
    party = api.get(f"/v1/accounts/{account}")["party"]
    mine, second = (waiting(api, (account, api.account())) for _ in range(2))
    api.post(f"/v1/reviews/{mine}/escalate", {"to": "compliance", "note": "a private thing", "by": "Ada"})
    assert api.send("DELETE", f"/v1/parties/{party}").status_code == 200
    case = api.get(f"/v1/reviews/{mine}")
    assert [one["event"] for one in case["history"]] == ["held_for_review"]
    assert "escalated_to" not in case
    assert case["why"].startswith("It cannot be told any more")
    with_note = api.send("POST", f"/v1/reviews/{second}/reject", key=uuid7(), json={"note": "gone"})
    assert (with_note.status_code, with_note.json()["code"]) == (410, "erased")
    assert api.send("POST", f"/v1/reviews/{second}/reject", key=uuid7(), json={}).status_code == 200


def test_a_restart_and_a_rebuild_lose_nothing(api: Api, accounts: tuple[str, str]) -> None:
    mine = waiting(api, accounts)
    api.post(f"/v1/reviews/{mine}/escalate", {"to": "compliance"})
    node = api.node
    told: dict[int, int] = {}
    node.cases.on_escalated, before = told.update, node.cases.on_escalated
    try:
        node.cases.load_escalations()
    finally:
        node.cases.on_escalated = before
    assert parse_payment_id(mine) in told, "the vault has it, whatever becomes of the read model"


def test_expected_loss_is_exact_and_bounded() -> None:
    assert expected_loss(1_000_000, 2**64 - 1) == 2**64 - 1
    assert expected_loss(2**32 - 1, 2**64 - 1) == 2**64 - 1, "a gateway may attest any score"
    assert expected_loss(333_333, 3_000_003) == 999_999
