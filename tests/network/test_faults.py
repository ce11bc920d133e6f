"""Four validators, real processes: what is acknowledged stays, whoever fails; with two away nothing forks."""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from bezant.chain.receipts import verify_receipt
from bezant.gateway.commands import transfer
from bezant.model.identifiers import PaymentId, new_payment_id, parse_account_id
from bezant.model.orders import authorise
from bezant.testing.gateways import Gateway, uuid7
from bezant.testing.ledgers import seeded_key

from .conftest import Four, until

CENT = "0.01"
UNKNOWN = (429, 503, 504)
OCTETS = {"content-type": "application/octet-stream"}


@dataclass
class Load:
    """Payments of a cent, one after another through one gateway, each under a key of its own."""

    gateway: Gateway
    debtor: str
    creditor: str
    acknowledged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def pay(self) -> None:
        key = uuid7()
        try:
            response = self.gateway.pay(self.debtor, self.creditor, CENT, key)
        except httpx.TransportError:
            self.unknown.append(key)
            return
        if response.status_code == 201:
            self.acknowledged.append(key)
        else:
            assert response.status_code in UNKNOWN, response.text
            self.unknown.append(key)

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()

        def loop() -> None:
            while not stop.is_set():
                self.pay()

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def wait_for(self, more: int) -> None:
        """Return once so many more payments were acknowledged."""
        goal = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= goal, f"{more} more payments are acknowledged")


@pytest.fixture
def load(four: Four) -> Load:
    return Load(four.gateways[0], four.alice, four.bob)


def pay_in_vain(four: Four, load: Load) -> str:
    """Pay while nothing can be agreed on; return the key of the payment that is under way."""
    pending, amount = uuid7(), {"amount": CENT, "asset": "EUR"}
    body = {"debtor": four.alice, "creditor": four.bob, "instructed_amount": amount}
    with pytest.raises(httpx.ReadTimeout):
        four.gateways[0].client.post(
            "/v1/payments", headers={"Idempotency-Key": pending}, json=body, timeout=5.0
        )
    load.unknown.append(pending)
    return pending


def cents(amount: str) -> int:
    return int(amount.replace(".", ""))


def check_everywhere(four: Four, load: Load, before: list[int]) -> None:
    """Assert that every member has every acknowledged payment, and no payment twice."""
    four.settle()
    accounts = (four.alice, four.bob)
    now = {tuple(cents(gateway.balance(one)) for one in accounts) for gateway in four.gateways}
    assert len(now) == 1
    alice, bob = next(iter(now))
    moved = before[0] - alice
    assert bob - before[1] == moved
    assert len(load.acknowledged) <= moved <= len(load.acknowledged) + len(load.unknown)
    for gateway in four.gateways:
        for key in load.acknowledged:
            assert gateway.get(f"/v1/payments/{key}")["status"] == "settled"


def balances(four: Four) -> list[int]:
    four.settle()
    return [cents(four.gateways[0].balance(one)) for one in (four.alice, four.bob)]


def test_payments_through_two_gateways_are_the_same_on_every_validator(four: Four) -> None:
    before = balances(four)
    there, back = (
        Load(four.gateways[0], four.alice, four.bob),
        Load(four.gateways[1], four.bob, four.alice),
    )
    with there.running(), back.running():
        there.wait_for(12)
        back.wait_for(6)
    four.settle()
    alice, bob = balances(four)
    assert not there.unknown
    assert not back.unknown
    net = len(there.acknowledged) - len(back.acknowledged)
    assert (alice, bob) == (before[0] - net, before[1] + net)
    receipt = four.gateways[3].send("GET", f"/v1/payments/{there.acknowledged[0]}/receipt")
    summary = verify_receipt(receipt.content, genesis_hash=four.network.plan.genesis_hash).summary
    assert (summary.outcome, summary.amount) == ("applied", CENT)
    assert four.check_one_history() > 0, "no state root was reached"


def test_the_same_key_on_another_gateway_gives_the_same_payment(four: Four) -> None:
    before, key = balances(four), uuid7()
    first, again, other = (
        four.gateways[place].pay(four.alice, four.bob, amount, key)
        for place, amount in ((0, "3.00"), (2, "3.00"), (2, "4.00"))
    )
    assert first.status_code == again.status_code == 201, again.text
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"] == key
    assert again.json()["block"] == first.json()["block"]
    assert other.status_code == 422, "another gateway may not pay from this account"
    assert balances(four) == [before[0] - 300, before[1] + 300]


def test_one_killed_under_load_changes_nothing_for_the_others(four: Four, load: Load) -> None:
    before, (*_, last) = balances(four), four.network.members
    with load.running():
        load.wait_for(3)
        four.network.signal(last, signal.SIGKILL)
        load.wait_for(8)
        four.heal()
        load.wait_for(3)
    assert not load.unknown
    check_everywhere(four, load, before)
    four.check_one_history()


def test_the_gateway_that_is_killed_loses_nothing_it_acknowledged(four: Four, load: Load) -> None:
    before, (first, *_) = balances(four), four.network.members
    with load.running():
        load.wait_for(5)
        four.network.signal(first, signal.SIGKILL)
        until(lambda: len(load.unknown) > 0, "the load notices")
    four.heal()
    with load.running():
        load.wait_for(2)
    check_everywhere(four, load, before)


def test_whoever_signs_goes_on_at_another_gateway_and_pays_once(four: Four) -> None:
    first, _, other, _ = four.gateways
    key, count = seeded_key("fails over"), 6
    party = first.post("/v1/parties", {"name": "Ann Own"})["party"]
    opened = first.post("/v1/accounts", {"party": party, "asset": "EUR", "public_key": key.public.hex()})
    account, network = opened["account"], bytes.fromhex(four.network.plan.genesis_hash)
    issued = first.post("/v1/assets/EUR/issues", {"creditor": account, "amount": "1.00"})
    assert issued["status"] == "settled"
    four.settle()
    by_another = 0
    for number in range(count):
        identity = PaymentId(new_payment_id(time.time_ns() // 1_000_000))
        record = transfer(identity, parse_account_id(account), parse_account_id(four.bob), 1, 1)
        body = authorise(network, key, record).tobytes() + record.tobytes()
        if number == count // 2:
            # While that one is under way.
            killer = threading.Timer(0.03, four.network.signal, (four.network.members[0], signal.SIGKILL))
            killer.start()
        for gateway in (first, other):
            try:
                answer = gateway.client.post("/v1/payments/signed", content=body, headers=OCTETS)
            except httpx.TransportError:
                by_another += 1
                continue
            (result,) = answer.json()["results"]
            assert "applied" in (result["outcome"], result.get("first_outcome")), answer.text
            break
        else:
            pytest.fail("no gateway took it")
    killer.join()
    assert by_another >= count // 2 - 1
    four.heal()
    assert {cents(gateway.balance(account)) for gateway in four.gateways} == {100 - count}


def test_two_killed_stop_the_network_and_nothing_forks(four: Four, load: Load) -> None:
    before, members = balances(four), four.network.members
    load.pay()
    for one in members[2:]:
        four.network.signal(one, signal.SIGKILL)
    heights = [four.height(one) for one in members[:2]]
    pending = pay_in_vain(four, load)
    assert all(four.height(one) <= height + 1 for one, height in zip(members, heights, strict=False))
    four.heal()
    until(
        lambda: four.gateways[0].send("GET", f"/v1/payments/{pending}").status_code == 200,
        "the payment that was under way is settled once enough are back",
    )
    with load.running():
        load.wait_for(2)
    check_everywhere(four, load, before)
    four.check_one_history()


def test_one_that_was_paused_catches_up(four: Four, load: Load) -> None:
    before, third = balances(four), four.network.members[2]
    with load.running():
        four.network.signal(third, signal.SIGSTOP)
        load.wait_for(5)
        four.network.signal(third, signal.SIGCONT)
        load.wait_for(3)
    assert not load.unknown
    check_everywhere(four, load, before)


def test_one_that_was_cut_off_catches_up(four: Four, load: Load) -> None:
    before, (*_, last) = balances(four), four.network.members
    with load.running():
        four.network.partition([last])
        until(lambda: four.network.status()[3].height > 0, "the one that is cut off answers about itself")
        alone = four.height(last)
        load.wait_for(5)
        assert four.height(last) <= alone + 1, "it decides nothing alone"
        four.network.heal()
        until(lambda: four.network.status()[3].height > alone + 1, "it hears of the others again")
        load.wait_for(2)
    four.heal()
    assert not load.unknown
    check_everywhere(four, load, before)
    four.check_one_history()


def test_halves_of_a_network_decide_nothing_and_go_on_together(four: Four, load: Load) -> None:
    before, members = balances(four), four.network.members
    four.network.partition(members[2:])
    until(lambda: all(one.height > 0 for one in four.network.status()[2:]), "those cut off are up again")
    heights = [four.height(one) for one in members]
    pending = pay_in_vain(four, load)
    assert all(four.height(one) <= height + 1 for one, height in zip(members, heights, strict=True))
    four.network.heal()
    until(
        lambda: four.gateways[0].send("GET", f"/v1/payments/{pending}").status_code == 200,
        "the payment that was under way is settled once they talk again",
    )
    four.heal()
    check_everywhere(four, load, before)
    four.check_one_history()


def test_both_processes_come_back_when_either_dies(four: Four, load: Load) -> None:
    before, second = balances(four), four.network.members[1]
    for name in ("cometbft_pid", "node_pid"):
        pids = four.network.pids(second)
        four.network.end(second, name)
        until(
            lambda pids=pids: (
                set(four.network.pids(second).values()) & set(pids.values()) == {pids["pid"]}
                and len(four.network.pids(second)) == 3
            ),
            "both processes are others",
        )
        load.pay()
        four.network.wait_ready([second], 60)
    check_everywhere(four, load, before)


def test_what_a_killed_supervisor_left_is_ended_by_the_next_one(four: Four, load: Load) -> None:
    before, second = balances(four), four.network.members[1]
    pids = four.network.pids(second)
    four.network.end(second, "pid")
    until(lambda: four.network.pids(second).keys() == {"node_pid", "cometbft_pid"}, "they live on")
    four.network.start([second])
    until(lambda: "pid" in four.network.pids(second), "there is another supervisor")
    until(
        lambda: (
            len(four.network.pids(second)) == 3
            and not set(four.network.pids(second).values()) & set(pids.values())
        ),
        "all three are others",
    )
    four.network.wait_ready([second], 60)
    load.pay()
    check_everywhere(four, load, before)


def test_one_whose_disk_took_no_more_begins_anew(four: Four, load: Load) -> None:
    before, second = balances(four), four.network.members[1]
    pids = four.network.pids(second)
    _, most = resource.prlimit(pids["node_pid"], resource.RLIMIT_FSIZE)
    resource.prlimit(pids["node_pid"], resource.RLIMIT_FSIZE, (4096, most))
    with load.running():
        until(
            lambda: (
                set(four.network.pids(second).values()) & set(pids.values()) == {pids["pid"]}
                and len(four.network.pids(second)) == 3
            ),
            "both processes are others",
        )
    four.network.wait_ready([second], 60)
    check_everywhere(four, load, before)


def test_one_whose_ledger_differs_stops_itself_loudly_and_the_rest_go_on(four: Four, load: Load) -> None:
    before, (*others, last) = balances(four), four.network.members
    settings = four.network.data(last) / "bezant.toml"
    kept = settings.read_text()
    bad = 'notify = "bezant.testing.diverging:DivergingNotify"\n'
    settings.write_text(kept.replace("[pipeline]\n", f"[pipeline]\n{bad}"))
    try:
        four.network.stop([last])
        four.network.start([last])
        four.network.wait_ready([last])
        with load.running():
            until(lambda: four.network.status()[3].state == "stopped", "the one that differs stops")
            load.wait_for(3)
        standing = four.network.status()[3]
        assert "another state than the other validators agreed on" in standing.problem
        assert "STOPPED" in (four.network.data(last) / "supervisor.log").read_text()
        four.check_one_history(tuple(others))
    finally:
        settings.write_text(kept)
    four.network.resync(last)
    assert not load.unknown
    check_everywhere(four, load, before)
