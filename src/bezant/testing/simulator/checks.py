"""What must hold when a run is over, judged from outside: by the oracle, and by three plain rules.

The reference ledger answers every block again from what the senders know of their signatures. The
plain rules need no oracle: no id takes effect twice, a chain takes effect whole or not at all, and no
balance in a receipt is beyond its account's limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bezant.chain import leaves
from bezant.chain.blocks import StateRoot
from bezant.ledger import open_items
from bezant.ledger import state as layout
from bezant.ledger.batch import Batch
from bezant.ledger.books import Key, State
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.fees import collector_id
from bezant.ledger.reference import ReferenceLedger
from bezant.model import merkle
from bezant.model.digest import as_rows
from bezant.model.genesis import Genesis
from bezant.model.governance import Ballot, in_force
from bezant.model.identifiers import AuthorityId, join
from bezant.model.keys import SigningKey
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import join_authorised
from bezant.model.outcomes import Outcome
from bezant.model.records import DECISION, NO_ROW, Flag, Kind, RecordArray, id_of, join_rows
from bezant.testing.ledgers import History
from bezant.testing.simulator.workload import Envelope


class Violation(AssertionError):
    """A promise that a run broke."""


@dataclass(frozen=True, slots=True)
class Played:
    """A block as the simulation saw it applied; `durable_height` is how far everything was durable when it
    was ordered."""

    envelopes: tuple[Envelope, ...]
    durable_height: int
    time_ns: int
    faults: RecordArray
    receipts: RecordArray
    state_root: StateRoot | None
    app_hash: bytes

    def batch(self, state: State, history: History) -> Batch:
        """Return the block for a ledger in that state, its signatures judged by those who made them, with the
        originals that history knows."""
        orders = [envelope.order for envelope in self.envelopes]
        authorisations, records = join_authorised([(o.authorisations, o.records) for o in orders])
        decisions = join_rows([order.decisions for order in orders], DECISION)
        signers = [signer for envelope in self.envelopes for signer in envelope.signers]
        authentic = [
            _is_authentic(state, row, signer) for row, signer in zip(authorisations, signers, strict=True)
        ]
        accepted = [envelope.accepted for envelope in self.envelopes for _ in envelope.signers]
        return Batch(
            self.time_ns,
            records,
            decisions,
            authorisations,
            np.array(authentic, np.uint8),
            np.array(accepted, np.uint8),
            leaf_hashes(as_rows(records)),
            history.originals(records),
            self.faults,
        )


def _is_authentic(state: State, row: Any, signer: SigningKey | None) -> bool:
    """Return whether who signed is who the slot of the authority's key belongs to."""
    authority = state.authorities.get(AuthorityId(id_of(row, "authority")))
    key = authority.keys.get(int(row["key_index"])) if authority else None
    if signer is None or key is None:
        return False
    return (key.public, key.scheme) == (signer.public, signer.scheme) and row["scheme"] == signer.scheme


def check_history(
    genesis: Genesis, ledger_seed: bytes, played: Sequence[Played], live: ColumnarLedger
) -> None:
    """Raise Violation unless the reference ledger gives the same bytes, block for block, and the same
    books."""
    reference, app_hash, history, known = ReferenceLedger(genesis), bytes(32), History(), 0
    batches: list[Batch] = []
    for height, block in enumerate(played, 1):
        for earlier in range(known, block.durable_height):
            history.note(batches[earlier].records, played[earlier].receipts)
        known = block.durable_height
        batch = block.batch(reference.state, history)
        batches.append(batch)
        receipts = reference.apply(batch)
        if receipts.tobytes() != block.receipts.tobytes():
            raise Violation(
                f"block {height}: the reference answers otherwise: {_difference(receipts, block)}"
            )
        built = leaves.build_leaves(
            receipts, batch.record_hashes, batch.decisions, ledger_seed, live.accounts
        )
        if block.state_root is not None:
            built = join_rows((built, leaves.state_leaf(block.state_root)), leaves.LEAF)
        if len(built):
            app_hash = leaves.next_app_hash(app_hash, merkle.root(leaves.hash_leaves(built)))
        if app_hash != block.app_hash:
            raise Violation(f"block {height}: the app hash does not follow from the receipts")
    reference.check_invariants()
    check_books(reference.state, live)


def check_effects(played: Sequence[Played]) -> None:
    """Raise Violation for an id that took effect twice, half a chain, or a balance beyond a limit."""
    effects: set[tuple[int, int]] = set()
    limits: dict[int, tuple[int, int]] = {}
    for height, block in enumerate(played, 1):
        orders = [envelope.order for envelope in block.envelopes]
        authorisations, records = join_authorised([(o.authorisations, o.records) for o in orders])
        system = len(block.receipts) - len(records)
        answers = block.receipts[system:]
        _check_once(height, authorisations, records, answers, effects)
        _check_chains(height, authorisations, records, answers)
        _check_limits(height, block.receipts[:system], None, limits)
        _check_limits(height, answers, records, limits)


def check_pot(genesis: Genesis, played: Sequence[Played], live: ColumnarLedger) -> None:
    """Raise Violation unless what collects the fees of the bonded asset has all that was charged, less what
    was paid to those who bonded: nobody else pays in or takes out."""
    if genesis.stake is None:
        return
    row = live.account_row(collector_id(genesis, genesis.stake.asset))
    if row == NO_ROW:
        return
    pot = 0
    for block in played:
        fees = block.receipts[(block.receipts["fee"] != 0) & (block.receipts["fee_row"] == row)]
        shared = block.receipts[block.receipts["outcome"] == Outcome.REWARDED]
        if (shared["debtor_row"] != row).any():
            raise Violation("a reward came out of another account")
        pot += sum(fees["fee"].tolist()) - sum(shared["amount"].tolist())
    account = live.accounts[row]
    balance = id_of(account, "credits_posted") - id_of(account, "debits_posted")
    if balance != pot:
        raise Violation(f"{balance} is in the pot, and what was charged and paid out leaves {pot}")


def check_books(reference: State, live: ColumnarLedger) -> None:
    """Raise Violation unless accounts, keys, reserves, mandates, refunds, pauses and models are the
    reference's."""
    if live.account_count != len(reference.accounts):
        raise Violation("the reference knows another number of accounts")
    for account in reference.accounts.values():
        row = live.accounts[account.row]
        sides = tuple(join(row[f"{name}_lo"], row[f"{name}_hi"]) for name in _COUNTERS)
        if id_of(row, "id") != account.id or sides != account.sides:
            raise Violation(f"account {account.id:032x} stands at {sides}, the reference at {account.sides}")
        bounds = tuple(int(row[name]) for name in ("credit_limit", "balance_limit", "standing"))
        if bounds != (account.credit_limit, account.balance_limit, int(account.standing)):
            raise Violation(f"account {account.id:032x} has other limits, or stands otherwise: {bounds}")
        expected = {key: mandate for (of, key), mandate in reference.mandates.items() if of == account.row}
        found = {mandate.id: mandate for mandate in open_items.mandates_of(live, account.row)}
        if expected.keys() != found.keys() or any(
            (found[key].window, found[key].spent) != (mandate.window, mandate.spent)
            for key, mandate in expected.items()
        ):
            raise Violation(f"account {account.id:032x} has other mandates")
    for (row, key), hold in reference.holds.items():
        reserve = open_items.open_hold(live, row, key)
        if reserve != open_items.OpenHold(hold.amount, hold.expires_ns, hold.lock):
            raise Violation(f"hold {key:032x} stands at {reserve}")
    for (row, key), refund in reference.refunds.items():
        if open_items.refunded_minor(live, row, key) != refund.refunded_minor:
            raise Violation(f"of payment {key:032x} another amount was paid back")
    for identity, authority in reference.authorities.items():
        ring = open_items.key_ring(live, live.authority_row(identity))
        keys = {key.slot: Key(key.public, key.scheme, key.roles) for key in ring.keys}
        if (keys, ring.thresholds) != (authority.keys, authority.thresholds):
            raise Violation(f"authority {identity:032x} has other keys")
    for number in range(1, len(live.genesis.assets) + 1):
        if open_items.is_paused(live, number) != (number in reference.paused):
            raise Violation(f"asset {number} is paused in one ledger only")
    check_models(reference, live)
    check_validators(reference, live)
    check_governance(reference, live)


def check_models(reference: State, live: ColumnarLedger) -> None:
    """Raise Violation unless the models and their roles are the reference's."""
    expected = [
        open_items.KnownModel(authority, digest, model.role, model.since_ns)
        for (authority, digest), model in sorted(reference.models.items())
    ]
    found = open_items.models(live)
    if found != expected:
        raise Violation(f"the models are {found}, the reference's {expected}")


def check_validators(reference: State, live: ColumnarLedger) -> None:
    """Raise Violation unless validators and their votes are the reference's."""
    stake = live.genesis.stake
    expected = [
        open_items.Voter(key, v.operator, v.granted, v.bonded, v.power(stake), v.jailed_until_ns, v.missed)
        for key, v in sorted(reference.validators.items())
    ]
    found = open_items.validators(live)
    if found != expected:
        raise Violation(f"the validators are {found}, the reference's {expected}")


def check_governance(reference: State, live: ColumnarLedger) -> None:
    """Raise Violation unless proposals, votes on them and changed rules are the reference's."""
    powers = {key: one.power(live.genesis.stake) for key, one in reference.validators.items()}

    def votes(ballots: Mapping[bytes, Ballot], said: Ballot) -> int:
        return sum(powers[key] for key, ballot in ballots.items() if ballot is said)

    expected = [
        open_items.OpenProposal(
            identity,
            one.proposer,
            one.change,
            one.height,
            one.until_ns,
            one.accepted,
            votes(one.ballots, Ballot.YES),
            votes(one.ballots, Ballot.NO),
            sum(powers.values()),
        )
        for identity, one in reference.proposals.items()
    ]
    found = open_items.proposals(live)
    if found != expected:
        raise Violation(f"the proposals are {found}, the reference's {expected}")
    changed = [open_items.RuleInForce(*both) for both in reference.changes.values()]
    if open_items.changed_rules(live) != changed:
        raise Violation(f"the rules were changed to {open_items.changed_rules(live)}, not to {changed}")
    if live.in_force != in_force(live.genesis, [one.change for one in changed]):
        raise Violation("the rules in force do not follow from what changed")


def check_same_state(before: dict[str, Any], ledger: ColumnarLedger) -> None:
    """Raise Violation unless a replayed ledger holds what the live one held, table for table."""
    after = layout.dump(ledger.state)
    for name, table in before.items():
        if table.tobytes() != after[name].tobytes():
            raise Violation(f"replaying the journal gives other {name} than applying it live")


_COUNTERS = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


_SET_LIMITS = (Kind.OPEN_ACCOUNT, Kind.SET_LIMITS)


def _check_once(
    height: int,
    authorisations: RecordArray,
    records: RecordArray,
    answers: RecordArray,
    effects: set[tuple[int, int]],
) -> None:
    refused = [Outcome(number).refused for number in answers["outcome"].tolist()]
    for covering in authorisations:
        first, authority = int(covering["first"]), id_of(covering, "authority")
        for index in range(first, first + int(covering["count"])):
            if refused[index]:
                continue
            key = authority, id_of(records[index], "id")
            if key in effects:
                raise Violation(f"block {height}: {key[1]:032x} took effect a second time")
            effects.add(key)


def _check_chains(
    height: int, authorisations: RecordArray, records: RecordArray, answers: RecordArray
) -> None:
    refused = answers["outcome"] >= int(Outcome.MALFORMED)
    linked = (records["flags"] & int(Flag.LINKED)) != 0
    ends = set((authorisations["first"] + authorisations["count"]).tolist())
    for index in np.flatnonzero(linked).tolist():
        if index + 1 not in ends and refused[index] != refused[index + 1]:
            raise Violation(f"block {height}: half of the linked chain at record {index} took effect")


def _check_limits(
    height: int, receipts: RecordArray, records: RecordArray | None, limits: dict[int, tuple[int, int]]
) -> None:
    """Check balances in receipts against (credit limit, balance limit) by account row, and note new ones."""
    for index, (receipt, number) in enumerate(zip(receipts, receipts["outcome"].tolist(), strict=True)):
        outcome = Outcome(number)
        if outcome.refused:
            continue
        if records is not None and outcome is Outcome.APPLIED and int(receipt["kind"]) in _SET_LIMITS:
            record = records[index]
            limits[int(receipt["debtor_row"])] = int(record["amount"]), int(record["max_fee"])
        for name in ("debtor", "creditor"):
            row = int(receipt[f"{name}_row"])
            if row == NO_ROW:
                continue
            side, (credit_limit, limit) = receipt[f"{name}_side"], limits[row]
            pending_d, posted_d, pending_c, posted_c = (
                join(side[f"{counter}_lo"], side[f"{counter}_hi"]) for counter in _COUNTERS
            )
            if posted_d + pending_d > posted_c + credit_limit:
                raise Violation(f"block {height}: account row {row} is below its limit")
            if limit and posted_c + pending_c > posted_d + limit:
                # Captures and releases only ever bring an account nearer to its limit.
                raise Violation(f"block {height}: account row {row} holds more than it may")


def _difference(receipts: RecordArray, block: Played) -> str:
    if len(receipts) != len(block.receipts):
        return f"{len(receipts)} receipts instead of {len(block.receipts)}"
    at = next(i for i, (a, b) in enumerate(zip(receipts, block.receipts, strict=True)) if a != b)
    return f"receipt {at}: {receipts[at]} instead of {block.receipts[at]}"
