"""The payments of a pain.001 message through the node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

import numpy as np

from bezant.chain.clock import SetClock
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.gateway.commands import seal_payload, transfer
from bezant.interfaces.iso20022 import Pain001Stream
from bezant.interfaces.replay.summary import Summary
from bezant.model.identifiers import AccountId, PaymentId, new_payment_id
from bezant.model.money import Asset, parse_minor
from bezant.model.outcomes import Outcome
from bezant.model.payment import PartyReference, Payload, PaymentInstruction
from bezant.model.records import RecordArray, id_of
from bezant.node import Node
from bezant.pipeline.intake import Answers

CREDIT_LINE_MINOR = 10**14
"""A debtor account opened for a message may owe this much: the message does not say what it holds."""
MOST_PAYMENTS = 1_000
_Key = tuple[str, str, str]
"""Designation, servicer, currency."""


class MessageReplay:
    """Opens an account for every party and currency a message names, and makes its payments.

    What the pipeline holds for review is then approved as the institution's reviewer would: the
    parties of a message are new to a replayed network, and a bank that knows them would let it through.
    """

    def __init__(self, node: Node, clock: SetClock, message: Pain001Stream) -> None:
        self._node, self._clock, self._message = node, clock, message
        self._accounts: dict[_Key, AccountId] = {}
        self.summary = Summary(remarks=list(message.remarks))

    def run(self, progress: Callable[[int], None] = lambda rows: None) -> Summary:
        """Make every payment of the message; `progress` hears how many have been answered."""
        started = time.perf_counter()
        for instructions in _groups(self._message):
            self._pay(self._in_one_currency(instructions))
            progress(self.summary.payments)
        self.summary.seconds = time.perf_counter() - started
        return self.summary

    def _pay(self, instructions: list[PaymentInstruction]) -> None:
        desk = self._node.desk
        self._open_accounts(instructions)
        now_ms = desk.now_ms()
        by_asset: dict[str, list[PaymentInstruction]] = {}
        for instruction in instructions:
            by_asset.setdefault(instruction.currency, []).append(instruction)
        for code, some in by_asset.items():
            asset = self._node.accounts.asset(code)
            records, payloads = [], []
            for instruction in some:
                sealed, commitment = seal_payload(_payload(instruction))
                payloads.append(sealed)
                debtor, creditor = self._keys(instruction)
                records.append(
                    transfer(
                        new_payment_id(now_ms),
                        self._accounts[debtor],
                        self._accounts[creditor],
                        asset.number,
                        parse_minor(instruction.instructed_amount, asset.scale),
                        commitment=commitment,
                    )
                )
            joined = np.concatenate(records)
            submission = desk.sign(joined, desk.institution_key, tuple(payloads))
            sent_ns = time.perf_counter_ns()
            answers = desk.intake.call(submission)
            elapsed = time.perf_counter_ns() - sent_ns
            self.summary.add(answers, joined["amount"], asset, elapsed)
            self._approve(answers, joined, asset)

    def _approve(self, answers: Answers, records: RecordArray, asset: Asset) -> None:
        for row in np.flatnonzero(answers.outcome == Outcome.HELD_FOR_REVIEW).tolist():
            self._node.holds.approve(PaymentId(id_of(records[row], "id")))
            self.summary.add_approved(int(records["amount"][row]), asset)

    def _open_accounts(self, instructions: list[PaymentInstruction]) -> None:
        """Register the parties that appear for the first time, screen their names, open their accounts."""
        fresh: dict[_Key, tuple[PartyReference, int]] = {}
        for instruction in instructions:
            debtor, creditor = self._keys(instruction)
            sides = (
                (creditor, instruction.creditor, 0),
                (debtor, instruction.debtor, CREDIT_LINE_MINOR),
            )
            for key, party, credit in sides:
                if key not in self._accounts and (key not in fresh or credit):
                    fresh[key] = party, credit
        if not fresh:
            return
        profiles = [PartyProfile(p.name or p.designation, p.country, "party") for p, _ in fresh.values()]
        parties = self._node.accounts.register_parties(profiles)
        openings = [
            Opening(party.number, self._node.accounts.asset(code), credit_limit=credit)
            for party, ((*_, code), (_, credit)) in zip(parties, fresh.items(), strict=True)
        ]
        opened = self._node.accounts.open(openings, mandates=False)
        self._accounts.update(zip(fresh, opened, strict=True))

    def _in_one_currency(self, instructions: list[PaymentInstruction]) -> list[PaymentInstruction]:
        """Return the payments that arrive in the currency they leave in; refuse the others by name."""
        kept = []
        for instruction in instructions:
            wanted = instruction.transfer_currency
            if wanted and wanted != instruction.currency:
                self.summary.refuse("exchange_not_offered")
                remark = (
                    f"a payment was to arrive in {wanted}; exchanging {instruction.currency} is not offered"
                )
                if remark not in self.summary.remarks:
                    self.summary.remarks.append(remark)
            else:
                kept.append(instruction)
        return kept

    def _keys(self, instruction: PaymentInstruction) -> tuple[_Key, _Key]:
        """Return the accounts of debtor and creditor.

        Where both sides give the same number for different holders (specimen messages do), the
        creditor's name tells them apart, and a remark says so.
        """
        debtor = _key(instruction.debtor, instruction.currency)
        creditor = _key(instruction.creditor, instruction.currency)
        if debtor == creditor and instruction.debtor.name != instruction.creditor.name:
            remark = "debtor and creditor name one account number; their names tell the accounts apart"
            if remark not in self.summary.remarks:
                self.summary.remarks.append(remark)
            creditor = (f"{creditor[0]} {instruction.creditor.name}", *creditor[1:])
        return debtor, creditor


def _key(party: PartyReference, currency: str) -> _Key:
    """Return what tells one account from another. An IBAN names its bank; the same plain number at
    two banks is two accounts."""
    is_iban = party.account[:2].isalpha() and party.account[2:4].isdigit()
    return party.designation, "" if is_iban else party.agent, currency


def message_time_ns(created_at: str) -> int | None:
    """Return a creation time as Unix nanoseconds, UTC where it names no zone; None if unreadable."""
    try:
        moment = datetime.fromisoformat(created_at)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _groups(instructions: Iterable[PaymentInstruction]) -> Iterator[list[PaymentInstruction]]:
    source = iter(instructions)
    while group := list(islice(source, MOST_PAYMENTS)):
        yield group


def _payload(instruction: PaymentInstruction) -> Payload:
    return Payload(
        end_to_end_id=instruction.end_to_end_id,
        uetr=instruction.uetr,
        purpose=instruction.purpose,
        charge_bearer=instruction.charge_bearer,
        remittance_information=instruction.remittance_information,
        debtor_name=instruction.debtor.name,
        creditor_name=instruction.creditor.name,
        debtor_account=instruction.debtor.account,
        creditor_account=instruction.creditor.account,
    )
