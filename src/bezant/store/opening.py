"""What a read model begins with where its node's chain begins behind a block: accounts, balances, holds.

A balance is one entry, brought forward: it has no payment and no counterparty. Payments from before are not
here; of those that still hold something there is a row, of what is known of them, so that it can be closed.
"""

from __future__ import annotations

from typing import Final

from bezant.chain.storage.base import Opening
from bezant.ledger.standing import Standing
from bezant.ledger.state import EMPTY
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray
from bezant.store import columns
from bezant.store.projection import ProjectedRows, Row
from bezant.store.proposals import opening_proposals
from bezant.store.schema import (
    ERA_BITS,
    POSITION_BITS,
    STATUS_OF,
    PaymentStatus,
    signed_amount,
    unsigned_amount,
)

NOBODY: Final = bytes(16)
"""In place of a payment and a counterparty where a balance is brought forward."""
_MOST: Final = 2**64 - 1


def opening_rows(opening: Opening) -> ProjectedRows:
    """Return the rows of a store that begins behind a block."""
    at, tables = opening.position, opening.tables
    ordinal, era = at.height << POSITION_BITS, at.receipts >> ERA_BITS
    rows = ProjectedRows(at.receipts)
    rows.blocks = [(at.height, at.time_ns, at.app_hash, 0)]
    rows.eras = [(era, ordinal)]
    accounts, authorities = tables["accounts"], tables["authorities"]
    ids, holders = columns.ids(accounts, "id"), columns.ids(authorities, "id")
    rows.accounts = _accounts(accounts, ids, holders, at.time_ns, ordinal)
    balances = map(int, columns.balances(accounts))
    for account, balance in zip(ids, balances, strict=True):
        rows.entries += _entries(era, account, ordinal, balance)
    rows.payments = _holds(tables["holds"], accounts, ids, holders, (era, ordinal, at.time_ns))
    rows.reviews = [
        # The score is not known here, so all of it may be lost.
        (place, identity, debtor, creditor, asset, unsigned_amount(amount).to_bytes(8, "big"), at.time_ns)
        for place, _, identity, _, _, debtor, creditor, asset, amount, _, status, *_ in rows.payments
        if status == PaymentStatus.IN_REVIEW.value
    ]
    rows.proposals, rows.ballots, rows.rule_changes = opening_proposals(tables, holders, ordinal)
    return rows


def _accounts(
    accounts: RecordArray, ids: list[bytes], holders: list[bytes], time_ns: int, ordinal: int
) -> list[Row]:
    standing = accounts["standing"]
    return list(
        zip(
            ids,
            range(len(ids)),
            [holders[row] for row in accounts["authority"].tolist()],
            accounts["asset"].tolist(),
            columns.amounts(accounts["credit_limit"]),
            columns.amounts(accounts["balance_limit"]),
            ((standing & Standing.FROZEN) != 0).tolist(),
            [None if row == EMPTY else holders[row] for row in accounts["delegate"].tolist()],
            columns.amounts(accounts["delegate_cap"]),
            [time_ns] * len(ids),
            [time_ns if closed else None for closed in ((standing & Standing.CLOSED) != 0).tolist()],
            [ordinal] * len(ids),
            strict=True,
        )
    )


def _entries(era: int, account: bytes, ordinal: int, balance: int) -> list[Row]:
    """Return what brings a balance forward: one entry, and more where it does not fit 64 bits."""
    side, sign = ("credit", 1) if balance > 0 else ("debit", -1)
    found: list[Row] = []
    reached = 0
    while reached != abs(balance):
        part = min(abs(balance) - reached, _MOST)
        reached += part
        place = ordinal + len(found)
        found.append((era, account, place, side, signed_amount(part), NOBODY, NOBODY, str(sign * reached)))
    return found


def _holds(
    holds: RecordArray,
    accounts: RecordArray,
    ids: list[bytes],
    holders: list[bytes],
    place: tuple[int, int, int],
) -> list[Row]:
    era, ordinal, time_ns = place
    opened = holds[(holds["sequence"] != 0) & (holds["kind"] != Kind.BOND)]
    found: list[Row] = []
    for number, (hold, identity) in enumerate(zip(opened, columns.ids(opened, "id"), strict=True)):
        debtor = int(hold["debtor"])
        outcome = Outcome.HELD if hold["kind"] == Kind.HOLD else Outcome.HELD_FOR_REVIEW
        found.append(
            (
                ordinal + number,
                era,
                identity,
                holders[int(accounts["authority"][debtor])],
                int(hold["kind"]),
                ids[debtor],
                ids[int(hold["creditor"])],
                int(accounts["asset"][debtor]),
                signed_amount(int(hold["amount"])),
                None,
                STATUS_OF[outcome].value,
                int(outcome),
                *(0, 0, 0, 0, 0),
                time_ns,
                time_ns,
                *(None, None, None, None, None),
            )
        )
    return found
