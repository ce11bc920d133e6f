"""Several keys of an authority, both schemes, and every kind of record, through a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bezant.chain.receipts import verify_receipt
from bezant.folder import create_folder
from bezant.gateway import commands
from bezant.ledger.batch import account_id
from bezant.model.identifiers import AccountId, AuthorityId, new_payment_id, render_id
from bezant.model.keys import SCHEME_NAMES, SCHEME_SECP256K1, SigningKey, authority_id
from bezant.model.orders import authorise_jointly
from bezant.model.records import Kind, RecordArray, Role
from bezant.testing.ledgers import record, seeded_key

from .conftest import SETTINGS, uuid7

FIRST, SECOND, THIRD = (
    seeded_key("joint first"),
    SigningKey(seeded_key("joint second").seed, SCHEME_SECP256K1),
    SigningKey(seeded_key("joint third").seed, SCHEME_SECP256K1),
)
JOINT = authority_id(FIRST.public)
OCTETS = {"content-type": "application/octet-stream"}
START_S = 60.0


class Server:
    """A node in a process of its own, spoken to over a socket."""

    def __init__(self, folder: Path) -> None:
        create_folder(folder)
        (folder / "bezant.toml").write_text(SETTINGS)
        command = [sys.executable, "-m", "bezant", "run", "--data", str(folder), "--port", "0", "--no-model"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + START_S
        while not (folder / "node.json").exists():
            assert time.monotonic() < deadline_s
            assert self._process.poll() is None
            time.sleep(0.05)
        url = json.loads((folder / "node.json").read_text())["url"]
        token = (folder / "keys" / "operator.token").read_text().strip()
        self.client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
        while self.client.get("/health").status_code != 200:
            time.sleep(0.05)
        self.network = bytes.fromhex(self.get("/v1/network")["genesis_hash"])

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        answer = self.client.post(path, json=body, headers={"Idempotency-Key": uuid7()})
        assert answer.is_success, answer.text
        return answer.json()

    def account(self, key: SigningKey | None = None, fund: str = "") -> str:
        party = self.post("/v1/parties", {"name": "Somebody"})["party"]
        own = {"public_key": key.public.hex(), "scheme": SCHEME_NAMES[key.scheme]} if key else {}
        opened = self.post("/v1/accounts", {"party": party, "asset": "EUR"} | own)
        if fund:
            self.post("/v1/assets/EUR/issues", {"creditor": opened["account"], "amount": fund})
        return str(opened["account"])

    def submit(self, authority: AuthorityId, keys: dict[int, SigningKey], rows: RecordArray) -> list[str]:
        """Submit rows as JSON; return the outcomes."""
        signed = authorise_jointly(self.network, authority, keys, rows)
        signatures = [
            {
                "signature": row["signature"].tobytes().hex(),
                "scheme": SCHEME_NAMES[int(row["scheme"])],
                "key_index": int(row["key_index"]),
            }
            for row in signed
        ]
        body = {
            "records": rows.tobytes().hex(),
            "authority": render_id(authority),
            "signatures": signatures,
        }
        answer = self.client.post("/v1/payments/signed", json=body)
        assert answer.status_code == 200, answer.text
        return [result["outcome"] for result in answer.json()["results"]]

    def close(self) -> None:
        self.client.close()
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("joint") / "data")
    yield server
    server.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def command(kind: Kind, **fields: Any) -> RecordArray:
    return record(kind, **({"id": new_payment_id(now_ms()), "asset": 0} | fields))


def pays(account: str, to: str, minor: int) -> RecordArray:
    ids = AccountId(int(account, 16)), AccountId(int(to, 16))
    return commands.transfer(new_payment_id(now_ms()), *ids, 1, minor)


def test_two_of_three_keys_of_two_schemes_sign(server: Server) -> None:
    account, payee = server.account(FIRST, "50"), server.account()
    keys = [
        command(
            Kind.SET_KEY,
            debtor=JOINT,
            related=slot,
            amount=key.scheme,
            max_fee=int(Role.PAY),
            commitment=key.public,
        )
        for slot, key in ((1, SECOND), (2, THIRD))
    ]
    two_pay = command(Kind.SET_THRESHOLDS, debtor=JOINT, amount=0x010102)
    assert server.submit(JOINT, {0: FIRST}, np.concatenate([*keys, two_pay])) == ["applied"] * 3
    shown = server.get(f"/v1/authorities/{server.get(f'/v1/accounts/{account}')['authority']}")
    assert [(key["slot"], key["scheme"], key["roles"]) for key in shown["keys"]] == [
        (0, "ed25519", ["pay", "review", "administer"]),
        (1, "secp256k1", ["pay"]),
        (2, "secp256k1", ["pay"]),
    ]
    assert shown["thresholds"] == {"pay": 2, "review": 1, "administer": 1, "recover": 0}
    paid = pays(account, payee, 500)
    for one in ({0: FIRST}, {1: SECOND}):
        assert server.submit(JOINT, one, paid) == ["threshold_not_met"]
    for two in ({1: SECOND, 2: FIRST}, {0: FIRST, 3: SECOND}):
        assert server.submit(JOINT, two, paid) == ["bad_signature"]
    assert server.submit(JOINT, {1: SECOND, 2: THIRD}, paid) == ["applied"]
    # The same as octets, by two other keys.
    again = pays(account, payee, 250)
    signed = authorise_jointly(server.network, JOINT, {0: FIRST, 2: THIRD}, again)
    assert len(signed) == 2
    octets = signed.tobytes() + again.tobytes()
    answer = server.client.post("/v1/payments/signed", content=octets, headers=OCTETS).json()
    assert [result["outcome"] for result in answer["results"]] == ["applied"]
    receipt = server.client.get(f"/v1/payments/{answer['results'][0]['id']}/receipt").content
    assert [one.key for one in verify_receipt(receipt).signed.signatures] == [
        FIRST.public.hex(),
        THIRD.public.hex(),
    ]
    assert server.get(f"/v1/accounts/{payee}")["balance"] == "7.50"


def test_a_secp256k1_key_opens_pays_and_is_proved(server: Server) -> None:
    key = SigningKey(seeded_key("alone").seed, SCHEME_SECP256K1)
    account, payee = server.account(key, "20"), server.account()
    rows = pays(account, payee, 100)
    signed = authorise_jointly(server.network, authority_id(key.public, key.scheme), {0: key}, rows)
    body = {
        "records": rows.tobytes().hex(),
        "public_key": key.public.hex(),
        "scheme": "secp256k1",
        "signature": signed["signature"].tobytes().hex(),
    }
    (result,) = server.client.post("/v1/payments/signed", json=body).json()["results"]
    assert result["outcome"] == "applied"
    view = server.get(f"/v1/payments/{result['id']}")
    assert view["signing_mode"] == "self"
    receipt = server.client.get(f"/v1/payments/{result['id']}/receipt").content
    assert verify_receipt(receipt).signed.signatures[0].scheme == SCHEME_SECP256K1


def test_every_kind_can_be_submitted_by_who_may_sign_it(server: Server, tmp_path: Path) -> None:
    """Each kind reaches the ledger and is answered by it, with an effect or for a reason of its own."""
    holder = seeded_key("every kind")
    own = authority_id(holder.public)
    mine, other = server.account(holder, "30"), server.account()
    me, them = int(mine, 16), int(other, 16)
    between = {"debtor": me, "creditor": them, "asset": 1}
    hold = command(Kind.HOLD, **between, amount=100, hold_for_s=60, flags=1)
    lock = command(Kind.LOCK, **between, related=_id(hold), commitment=bytes(31) + b"\1")
    mandate = command(Kind.SET_MANDATE, debtor=me, asset=1, related=own, amount=5)
    answers = {
        "applied": [
            command(Kind.TRANSFER, **between, amount=1),
            command(Kind.SET_DELEGATE, debtor=me, creditor=own, amount=1),
            mandate,
            command(Kind.REVOKE_MANDATE, debtor=me, related=_id(mandate)),
        ],
        "preimage_mismatch": [command(Kind.CAPTURE, **between, related=_id(hold), amount=1)],
        "not_authorised": [
            command(Kind.RELEASE, **between, related=_id(hold)),
            command(Kind.REGISTER_AUTHORITY, debtor=own, amount=1, commitment=holder.public),
            command(Kind.OPEN_ACCOUNT, debtor=account_id(1, own, 1, 7), creditor=own, related=7, asset=1),
            command(Kind.SET_FROZEN, debtor=me, amount=1),
            command(Kind.SET_LIMITS, debtor=me),
            command(Kind.SET_HOLDER, debtor=me, amount=1),
            command(Kind.SET_PAUSED, asset=1, amount=1),
            command(Kind.CLAWBACK, **between, amount=1),
            command(Kind.SET_MODEL, debtor=own, amount=1, commitment=bytes(31) + b"\1"),
            command(Kind.BOND, **between, amount=1, commitment=bytes(31) + b"\1"),
            command(Kind.UNBOND, **between, related=_id(hold)),
            command(Kind.REJOIN, debtor=own, commitment=bytes(31) + b"\1"),
        ],
        "not_governed": [
            command(Kind.PROPOSE, debtor=own, amount=1, max_fee=10**6, hold_for_s=60),
            command(Kind.VOTE, debtor=own, related=_id(mandate), amount=1),
        ],
        "original_unknown": [
            command(Kind.REVERSE, **between, related=new_payment_id(now_ms()), amount=1),
            command(Kind.LABEL, **between, related=new_payment_id(now_ms()), amount=1),
        ],
        "account_not_empty": [command(Kind.CLOSE_ACCOUNT, debtor=me)],
        "key_slot": [command(Kind.SET_KEY, debtor=own, related=3)],
        "threshold_unreachable": [command(Kind.SET_THRESHOLDS, debtor=own, amount=0x020101)],
        "threshold_not_met": [command(Kind.RECOVER, debtor=own, amount=1, commitment=holder.public)],
    }
    assert server.submit(own, {0: holder}, np.concatenate([hold, lock])) == ["held", "locked"]
    for outcome, rows in answers.items():
        for row in rows:
            assert server.submit(own, {0: holder}, row) == [outcome], Kind(int(row["kind"][0]))
    tried = {int(row["kind"][0]) for rows in answers.values() for row in rows}
    assert tried | {int(Kind.HOLD), int(Kind.LOCK)} == set(map(int, Kind))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"signatures": []}, "signatures"),
        ({"authority": ""}, "public_key"),
        ({"signatures": [{"signature": "00"}]}, "signatures[0].signature"),
        ({"signatures": [{"signature": "00" * 64, "scheme": "rsa"}]}, "signatures[0].scheme"),
        ({"signatures": [{"signature": "00" * 64, "key_index": 16}]}, "signatures[0].key_index"),
        ({"signatures": [{"signature": "00" * 64}] * 17}, "signatures"),
    ],
)
def test_signatures_of_no_known_form_are_refused(server: Server, change: dict[str, Any], param: str) -> None:
    rows = pays("11" * 16, "22" * 16, 1)
    body = {"records": rows.tobytes().hex(), "authority": "33" * 16, "signatures": [{"signature": "00" * 64}]}
    answer = server.client.post("/v1/payments/signed", json=body | change)
    assert (answer.status_code, answer.json()["param"]) == (400, param)


def test_a_key_that_signs_twice_is_refused(server: Server) -> None:
    rows = pays("11" * 16, "22" * 16, 1)
    signatures = [{"signature": "00" * 64, "key_index": 1}] * 2
    body = {"records": rows.tobytes().hex(), "authority": "33" * 16, "signatures": signatures}
    answer = server.client.post("/v1/payments/signed", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "order_cosignature")


def _id(row: RecordArray) -> int:
    return int(row["id_hi"][0]) << 64 | int(row["id_lo"][0])
