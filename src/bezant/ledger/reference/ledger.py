"""The flow of a block: settle proposals, share fees, expire holds, punish faults, then every record in order,
chains together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bezant.ledger.batch import Batch
from bezant.ledger.books import Answer, Authority, Signer, State, Validator, fill_receipt
from bezant.ledger.reference import (
    accounts,
    authorities,
    checks,
    fees,
    governance,
    holds,
    learning,
    mandates,
    payments,
    rewards,
    stake,
)
from bezant.ledger.reference.parties import Request
from bezant.model.genesis import Genesis
from bezant.model.governance import in_force
from bezant.model.identifiers import AuthorityId
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import RECEIPT, Flag, Kind, RecordArray, Role, id_of, join_rows

TWINS = (Outcome.EXISTS, Outcome.EXISTS_WITH_OTHER_CONTENT)
NAME_ORIGINAL = (Kind.REVERSE, Kind.LABEL)
Effect = Callable[[State, Request], Answer]

EFFECTS: Mapping[Kind, Effect] = {
    Kind.TRANSFER: payments.pay,
    Kind.HOLD: payments.pay,
    Kind.CAPTURE: holds.close_hold,
    Kind.RELEASE: holds.close_hold,
    Kind.REVERSE: payments.reverse,
    Kind.LOCK: holds.lock_hold,
    Kind.CLAWBACK: payments.claw_back,
    Kind.LABEL: learning.label,
    Kind.BOND: stake.bond,
    Kind.UNBOND: stake.unbond,
    Kind.REGISTER_AUTHORITY: authorities.register_authority,
    Kind.OPEN_ACCOUNT: accounts.open_account,
    Kind.SET_FROZEN: accounts.set_frozen,
    Kind.SET_DELEGATE: accounts.set_delegate,
    Kind.SET_KEY: authorities.set_key,
    Kind.SET_THRESHOLDS: authorities.set_thresholds,
    Kind.RECOVER: authorities.recover,
    Kind.SET_MANDATE: mandates.set_mandate,
    Kind.REVOKE_MANDATE: mandates.revoke_mandate,
    Kind.SET_LIMITS: accounts.set_limits,
    Kind.CLOSE_ACCOUNT: accounts.close_account,
    Kind.SET_HOLDER: accounts.set_holder,
    Kind.SET_PAUSED: accounts.set_paused,
    Kind.SET_MODEL: learning.set_model,
    Kind.REJOIN: stake.rejoin,
    Kind.PROPOSE: governance.propose,
    Kind.VOTE: governance.vote,
}


class ReferenceLedger:
    """The readable ledger; see `Ledger` for the protocol."""

    effects: ClassVar[Mapping[Kind, Effect]] = EFFECTS

    def __init__(self, genesis: Genesis) -> None:
        self.founded = self.genesis = genesis
        """What the network was founded with, and the same with the rules that are in force."""
        self.state = State()
        for institution in genesis.institutions:
            key = bytes.fromhex(institution.key)
            self.state.authorities[authority_id(key)] = Authority.of_one(key)
            self.state.institution_of[authority_id(key)] = institution.number
        for granted in genesis.validators:
            operator = authority_id(bytes.fromhex(genesis.institutions[granted.institution - 1].key))
            self.state.validators[bytes.fromhex(granted.key)] = Validator(operator, granted.power)

    def apply(self, batch: Batch) -> RecordArray:
        """Return the RECEIPT rows of one block."""
        receipts = self._settle_proposals(batch.time_ns)
        state, rules = self.state, self.genesis.rules
        checks.forget_old_ids(state, rules, batch.time_ns)
        state.collectors = fees.collectors(state, self.genesis)
        receipts += rewards.reward(state, self.genesis)
        receipts += [holds.expire_hold(state, hold) for hold in state.expired(batch.time_ns)]
        receipts += stake.punish(state, self.genesis, batch.faults, batch.time_ns)
        linked = (batch.records["flags"] & int(Flag.LINKED) != 0).tolist()
        for signer, first, last in self._groups(batch):
            while first < last:
                end = first
                while end < last and linked[end]:
                    end += 1
                receipts += self._apply_chain(batch, signer, range(first, min(end + 1, last)), end == last)
                first = end + 1
        self.state.blocks += 1
        if self.state.blocks % rules.checkpoint_interval == 0:
            checks.forget_old_refunds(self.state, batch.time_ns)
        return join_rows(receipts, RECEIPT)

    def _settle_proposals(self, time_ns: int) -> list[RecordArray]:
        """Return the system receipts of proposals, and judge by the rules that are in force from now on."""
        receipts = governance.settle(self.state, self.genesis, time_ns)
        self.genesis = in_force(self.founded, [change for change, _ in self.state.changes.values()])
        return receipts

    def _groups(self, batch: Batch) -> list[tuple[Signer, int, int]]:
        """Return who signed which records `first..last`, as of the start of the block.

        A group is a signature and the co-signatures (count 0) behind it; it is authentic if all are.
        """
        groups = []
        starts = [row for row, covering in enumerate(batch.authorisations) if covering["count"]]
        for start, end in zip(starts, [*starts, len(batch.authorisations)][1:], strict=True):
            rows = batch.authorisations[start:end]
            authority = AuthorityId(id_of(rows[0], "authority"))
            known = self.state.authorities.get(authority)
            reached = known.reached([int(row["key_index"]) for row in rows]) if known else Role(0)
            authentic, accepted = bool(batch.authentic[start:end].all()), bool(batch.accepted[start])
            signer = Signer(authority, known is not None, authentic, accepted, reached)
            first = int(rows[0]["first"])
            groups.append((signer, first, first + int(rows[0]["count"])))
        return groups

    def _apply_chain(self, batch: Batch, signer: Signer, chain: range, is_open: bool) -> list[RecordArray]:
        """Apply records that succeed or fail together; a chain of one is the usual case.

        A chain that the Authorisation's end cuts open is refused without looking at its effects.
        """
        alone = len(chain) == 1 and not is_open
        before = None if alone else self.state.copy()
        chain_start = None if alone else self.state.hold_sequence
        answers: dict[int, Answer] = {}
        receipts: dict[int, RecordArray] = {}
        for index in chain if not is_open else ():
            answers[index] = self._apply_one(batch, signer, index, chain_start)
            receipts[index] = _receipt(batch, index, answers[index])
            if answers[index].outcome.refused:
                break
        if before is not None and (is_open or answers[max(answers)].outcome.refused):
            self.state = before
            cause = Outcome.CHAIN_OPEN if is_open else Outcome.LINKED_FAILED
            for index in chain:
                refused = self._refuse_member(batch, signer, index, answers.get(index), cause)
                receipts[index] = _receipt(batch, index, refused)
        return list(receipts.values())

    def _refuse_member(
        self, batch: Batch, signer: Signer, index: int, own: Answer | None, cause: Outcome
    ) -> Answer:
        """Answer one member of a failed chain: its own refusal if it had one, else the chain's.

        A member that exists is looked up again: its twin may stand in this very chain, undone since.
        """
        if own is None or not own.outcome.refused or own.outcome in TWINS:
            own = self._check_early(batch, signer, index) or Answer(cause)
        if own.outcome >= Outcome.BLOCKED:
            self._remember(batch.records[index], signer, own.outcome)
        return own

    def _apply_one(self, batch: Batch, signer: Signer, index: int, chain_start: int | None) -> Answer:
        refusal = self._check_early(batch, signer, index)
        if refusal:
            return refusal
        record = batch.records[index]
        kind, verdict = Kind(int(record["kind"])), Verdict(int(batch.decisions[index]["verdict"]))
        original = batch.originals[batch.original_rows[index]] if kind in NAME_ORIGINAL else None
        asked = Request(self.genesis, record, verdict, signer, batch.time_ns, chain_start, original)
        answer = self.effects[kind](self.state, asked)
        if chain_start is None or not answer.outcome.refused:
            self._remember(record, signer, answer.outcome)
        return answer

    def _check_early(self, batch: Batch, signer: Signer, index: int) -> Answer | None:
        record, decision, rules = batch.records[index], batch.decisions[index], self.genesis.rules
        refusal = checks.check_authentic(rules, record, decision, signer, batch.time_ns)
        return refusal or checks.check_new(self.state, rules, record, signer)

    def _remember(self, record: Any, signer: Signer, outcome: Outcome) -> None:
        checks.remember(self.state, record, signer, outcome)

    def check_invariants(self) -> None:
        """Raise InvariantViolation unless the books balance."""
        self.state.check(self.genesis)


def _receipt(batch: Batch, index: int, answer: Answer) -> RecordArray:
    record = batch.records[index]
    receipt = fill_receipt(answer)
    receipt["id_lo"], receipt["id_hi"] = record["id_lo"], record["id_hi"]
    receipt["order_index"], receipt["kind"] = index, record["kind"]
    receipt["verdict"] = batch.decisions[index]["verdict"]
    return receipt
