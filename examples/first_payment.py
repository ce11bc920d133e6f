"""A first payment in one file: make a network, open two accounts, pay, and prove it to a stranger.

python examples/first_payment.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bezant.chain.anchors import trust_statement
from bezant.chain.receipts import render_receipt, verify_receipt
from bezant.folder import create_folder
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.intelligence.reasons import Reasons
from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import id_of
from bezant.node import Node


def main(folder: Path) -> bytes:
    """Pay 12.50 EUR in a fresh data folder and return the receipt file."""
    create_folder(folder)
    with Node(folder) as node:
        euro = node.accounts.asset("EUR")
        buyer, seller = node.accounts.register_parties([PartyProfile("A buyer"), PartyProfile("A seller")])
        payer, payee = node.accounts.open([Opening(buyer.number, euro), Opening(seller.number, euro)])
        node.accounts.fund(payer, euro, 100_00)

        text = Payload(end_to_end_id="ORDER-1", remittance_information="Two coffees")
        payment = node.payments.prepare(payer, payee, "12.50", "EUR", payload=text)
        answers = node.payments.submit(payment)
        identity = PaymentId(id_of(payment.records[0], "id"))
        print(f"the ledger answers {answers.first.label}, durable in block {answers.height}")
        if answers.first is Outcome.HELD_FOR_REVIEW:
            # Money that arrived a moment ago leaves a new account for a new payee: without a model
            # the rules ask for a person, and here we are that person.
            reasons = Reasons(int(node.payments.evidence(identity)["reasons"])).words
            print("held because:", *reasons, sep="\n  ")
            approved, _ = node.holds.approve(identity)
            print(f"approved: {approved.outcome.label}")

        receipt = node.payments.receipt(identity, open_debtor=True)
        genesis_hash = node.engine.network.hex()

    # From here on there is no node any more: a file, and the hash of the genesis one trusts.
    file = render_receipt(receipt)
    verified = verify_receipt(file, genesis_hash=genesis_hash)
    print(f"proved: {verified.summary.amount} {verified.summary.asset}, {verified.summary.outcome}")
    print(trust_statement(genesis_hash))
    return file


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary) / "node")
