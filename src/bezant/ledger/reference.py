"""The ledger as a specification: plain Python, written to be read.

Every function that moves money has two headings: CHECK (everything that can fail, sums
included), then POST (which cannot fail); its answer becomes the receipt. Checks stand in the
order of outcome precedence. `columnar` runs in production and must answer with the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bezant.ledger.batch import NS_PER_S, Batch, account_id
from bezant.ledger.books import Account, Answer, Hold, Signer, State, fill_receipt
from bezant.model.digest import sha256
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AccountId, AuthorityId, is_uuid7, payment_time_ms, words
from bezant.model.keys import authority_id
from bezant.model.merkle import LEAF
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import NO_ROW, RECEIPT, Flag, Kind, RecordArray, id_of

U128_MAX = 2**128 - 1
TWINS = (Outcome.EXISTS, Outcome.EXISTS_WITH_OTHER_CONTENT)
VALUE_KINDS = (Kind.TRANSFER, Kind.HOLD, Kind.CAPTURE, Kind.RELEASE)
# A plain integer: the complement of an IntFlag keeps only bits that have names, and forgets the others.
KNOWN_FLAGS = int(Flag.LINKED | Flag.MAY_REVIEW)


class ReferenceLedger:
    """The readable ledger; see `Ledger` for the protocol."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.state = State()
        for institution in genesis.institutions:
            key = bytes.fromhex(institution.key)
            self.state.keys[authority_id(key)] = key
            self.state.institution_of[authority_id(key)] = institution.number

    def apply(self, batch: Batch) -> RecordArray:
        """Return the RECEIPT rows of one block."""
        self._forget_old_ids(batch.time_ns)
        receipts = [self._expire_hold(hold) for hold in self.state.expired(batch.time_ns)]
        known = frozenset(self.state.keys)
        for covering, authentic, accepted in zip(
            batch.authorisations, batch.authentic, batch.accepted, strict=True
        ):
            authority = AuthorityId(id_of(covering, "authority"))
            signer = Signer(authority, authority in known, bool(authentic), bool(accepted))
            first = int(covering["first"])
            last = first + int(covering["count"])
            while first < last:
                end = first
                while end < last and batch.records[end]["flags"] & Flag.LINKED:
                    end += 1
                receipts += self._apply_chain(batch, signer, range(first, min(end + 1, last)), end == last)
                first = end + 1
        return np.concatenate(receipts) if receipts else np.zeros(0, RECEIPT)

    def _apply_chain(self, batch: Batch, signer: Signer, chain: range, is_open: bool) -> list[RecordArray]:
        """Apply records that succeed or fail together; a chain of one is the usual case.

        A chain that the Authorisation's end cuts open is refused without looking at its effects.
        """
        alone = len(chain) == 1 and not is_open
        before = None if alone else self.state.copy()
        answers: dict[int, Answer] = {}
        receipts: dict[int, RecordArray] = {}
        for index in chain if not is_open else ():
            answers[index] = self._apply_one(batch, signer, index, in_chain=not alone)
            receipts[index] = self._receipt(batch, index, answers[index])
            if answers[index].outcome.refused:
                break
        if before is not None and (is_open or answers[max(answers)].outcome.refused):
            self.state = before
            cause = Outcome.CHAIN_OPEN if is_open else Outcome.LINKED_FAILED
            for index in chain:
                refused = self._refuse_member(batch, signer, index, answers.get(index), cause)
                receipts[index] = self._receipt(batch, index, refused)
        return list(receipts.values())

    def _refuse_member(
        self, batch: Batch, signer: Signer, index: int, own: Answer | None, cause: Outcome
    ) -> Answer:
        """Answer one member of a failed chain: its own refusal if it had one, else the chain's.

        A member that exists is looked up again: its twin may stand in this very chain, undone since.
        """
        record = batch.records[index]
        if own is None or not own.outcome.refused or own.outcome in TWINS:
            own = self._check_authentic(record, batch.decisions[index], signer, batch.time_ns)
            own = own or self._check_new(record, signer) or Answer(cause)
        if own.outcome >= Outcome.BLOCKED:
            self._remember(record, signer, own.outcome)
        return own

    def _apply_one(self, batch: Batch, signer: Signer, index: int, *, in_chain: bool) -> Answer:
        record, decision = batch.records[index], batch.decisions[index]
        refusal = self._check_authentic(record, decision, signer, batch.time_ns)
        refusal = refusal or self._check_new(record, signer)
        if refusal:
            return refusal
        answer = self._effect(record, int(decision["verdict"]), signer, batch.time_ns, in_chain)
        if not (in_chain and answer.outcome.refused):
            self._remember(record, signer, answer.outcome)
        return answer

    # Checks that come before any effect.

    def _check_authentic(self, record: Any, decision: Any, signer: Signer, time_ns: int) -> Answer | None:
        identity = id_of(record, "id")
        if not _well_formed(record, decision):
            return Answer(Outcome.MALFORMED)
        if not signer.known:
            return Answer(Outcome.UNKNOWN_AUTHORITY)
        if not signer.authentic:
            return Answer(Outcome.BAD_SIGNATURE)
        if not signer.accepted:
            return Answer(Outcome.GATEWAY_NOT_ACCEPTED)
        rules = self.genesis.rules
        made_ms, now_ms = payment_time_ms(identity), time_ns // 1_000_000
        if made_ms > now_ms + rules.id_future_s * 1000:
            return Answer(Outcome.ID_IN_FUTURE)
        if made_ms + min(rules.id_window_s, int(record["valid_for_s"])) * 1000 < now_ms:
            return Answer(Outcome.EXPIRED)
        return None

    def _check_new(self, record: Any, signer: Signer) -> Answer | None:
        key = (signer.authority, id_of(record, "id"))
        seen = self.state.remembered.get(key) or self.state.forgetting.get(key)
        if seen is not None:
            digest, first = seen
            same = digest == _content(record)
            return Answer(Outcome.EXISTS if same else Outcome.EXISTS_WITH_OTHER_CONTENT, first=first)
        if len(self.state.remembered) + len(self.state.forgetting) >= self.genesis.rules.max_live_ids:
            return Answer(Outcome.CAPACITY)
        return None

    def _remember(self, record: Any, signer: Signer, outcome: Outcome) -> None:
        self.state.remembered[signer.authority, id_of(record, "id")] = _content(record), outcome

    def _forget_old_ids(self, time_ns: int) -> None:
        """Drop a generation of ids once none of them could pass the time check any more."""
        rules = self.genesis.rules
        lifetime_ns = (rules.id_window_s + rules.id_future_s + 1) * NS_PER_S
        if time_ns >= self.state.generation_ns + lifetime_ns:
            self.state.forgetting, self.state.remembered = self.state.remembered, {}
            if time_ns >= self.state.generation_ns + 2 * lifetime_ns:
                self.state.forgetting = {}
            self.state.generation_ns = time_ns

    # Effects.

    def _effect(self, record: Any, verdict: int, signer: Signer, time_ns: int, in_chain: bool) -> Answer:
        match Kind(int(record["kind"])):
            case Kind.TRANSFER | Kind.HOLD as kind:
                return self._pay(record, kind, Verdict(verdict), signer, time_ns, in_chain)
            case Kind.CAPTURE | Kind.RELEASE as kind:
                return self._close_hold(record, kind, signer)
            case Kind.REGISTER_AUTHORITY:
                return self._register_authority(record, signer)
            case Kind.OPEN_ACCOUNT:
                return self._open_account(record, signer)
            case Kind.SET_FROZEN:
                return self._set_frozen(record, signer)
            case Kind.SET_DELEGATE:
                return self._set_delegate(record, signer)

    def _pay(
        self, record: Any, kind: Kind, verdict: Verdict, signer: Signer, time_ns: int, in_chain: bool
    ) -> Answer:
        """Post a transfer, or place the hold that a HOLD or a review asks for."""
        # CHECK
        in_review = verdict is Verdict.REVIEW
        if verdict is Verdict.BLOCK:
            return Answer(Outcome.BLOCKED)
        if in_review and (kind is Kind.HOLD or in_chain or not record["flags"] & Flag.MAY_REVIEW):
            return Answer(Outcome.REVIEW_NOT_PERMITTED)
        found = self._parties(record, signer)
        if isinstance(found, Outcome):
            return Answer(found)
        debtor, creditor, mode = found
        amount = int(record["amount"])
        if amount == 0:
            return Answer(Outcome.AMOUNT_ZERO)
        if debtor.frozen:
            return Answer(Outcome.DEBTOR_FROZEN)
        if creditor.frozen:
            return Answer(Outcome.CREDITOR_FROZEN)
        holds = kind is Kind.HOLD or in_review
        identity = id_of(record, "id")
        if holds and (debtor.row, identity) in self.state.holds:
            return Answer(Outcome.HOLD_EXISTS)
        if _overflows(debtor.debits_pending, debtor.debits_posted, amount):
            return Answer(Outcome.OVERFLOW)
        if _overflows(creditor.credits_pending, creditor.credits_posted, amount):
            return Answer(Outcome.OVERFLOW)
        spent = debtor.debits_posted + debtor.debits_pending + amount
        if spent > debtor.credits_posted + debtor.credit_limit:
            return Answer(Outcome.INSUFFICIENT_FUNDS)
        received = creditor.credits_posted + creditor.credits_pending + amount
        if creditor.balance_limit and received > creditor.debits_posted + creditor.balance_limit:
            return Answer(Outcome.BALANCE_LIMIT)
        # POST
        if not holds:
            debtor.debits_posted += amount
            creditor.credits_posted += amount
            return Answer(Outcome.APPLIED, amount, mode, debtor, creditor)
        hold_for_s = self.genesis.rules.review_for_s if in_review else int(record["hold_for_s"])
        self.state.hold_sequence += 1
        self.state.holds[debtor.row, identity] = Hold(
            identity,
            debtor.row,
            creditor.row,
            amount,
            time_ns + hold_for_s * NS_PER_S,
            self.state.hold_sequence,
            kind,
        )
        debtor.debits_pending += amount
        creditor.credits_pending += amount
        outcome = Outcome.HELD_FOR_REVIEW if in_review else Outcome.HELD
        return Answer(outcome, amount, mode, debtor, creditor)

    def _close_hold(self, record: Any, kind: Kind, signer: Signer) -> Answer:
        """Capture up to the amount held, or release it; what is not captured returns at once."""
        # CHECK
        debtor = self.state.accounts.get(id_of(record, "debtor"))
        creditor = self.state.accounts.get(id_of(record, "creditor"))
        if debtor is None:
            return Answer(Outcome.DEBTOR_UNKNOWN)
        if creditor is None:
            return Answer(Outcome.CREDITOR_UNKNOWN)
        key = debtor.row, id_of(record, "related")
        hold = self.state.holds.get(key)
        mode = self._closing_mode(signer, debtor, creditor, kind, hold)
        if mode is None:
            return Answer(Outcome.NOT_AUTHORISED)
        amount = int(record["amount"])
        if kind is Kind.CAPTURE and amount == 0:
            return Answer(Outcome.AMOUNT_ZERO)
        if kind is Kind.CAPTURE and debtor.frozen:
            return Answer(Outcome.DEBTOR_FROZEN)
        if kind is Kind.CAPTURE and creditor.frozen:
            return Answer(Outcome.CREDITOR_FROZEN)
        if hold is None:
            return Answer(Outcome.HOLD_UNKNOWN)
        if hold.creditor != creditor.row or int(record["asset"]) != debtor.asset:
            return Answer(Outcome.HOLD_MISMATCH)
        if kind is Kind.CAPTURE and hold.kind is Kind.TRANSFER and amount < hold.amount:
            return Answer(Outcome.HOLD_MISMATCH)
        if kind is Kind.CAPTURE and amount > hold.amount:
            return Answer(Outcome.AMOUNT_ABOVE_HOLD)
        # POST
        del self.state.holds[key]
        _return_reserve(debtor, creditor, hold.amount)
        if kind is Kind.RELEASE:
            return Answer(Outcome.RELEASED, hold.amount, mode, debtor, creditor)
        debtor.debits_posted += amount
        creditor.credits_posted += amount
        return Answer(Outcome.CAPTURED, amount, mode, debtor, creditor)

    def _expire_hold(self, hold: Hold) -> RecordArray:
        del self.state.holds[hold.debtor, hold.id]
        debtor, creditor = self.state.by_row(hold.debtor), self.state.by_row(hold.creditor)
        _return_reserve(debtor, creditor, hold.amount)
        receipt = fill_receipt(Answer(Outcome.HOLD_EXPIRED, hold.amount, debtor=debtor, creditor=creditor))
        receipt["id_lo"], receipt["id_hi"] = words(hold.id)
        receipt["order_index"], receipt["kind"] = NO_ROW, hold.kind
        return receipt

    def _register_authority(self, record: Any, signer: Signer) -> Answer:
        key = record["payload_commitment"].tobytes()
        authority = AuthorityId(id_of(record, "debtor"))
        if signer.authority not in self.state.institution_of:
            return Answer(Outcome.NOT_AUTHORISED)
        if authority in self.state.keys:
            return Answer(Outcome.AUTHORITY_EXISTS)
        if authority != authority_id(key):
            return Answer(Outcome.ID_NOT_DERIVED)
        self.state.keys[authority] = key
        return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)

    def _open_account(self, record: Any, signer: Signer) -> Answer:
        """Open an account; only the asset's issuer may let one go negative, which is how money is issued."""
        institution = self.state.institution_of.get(signer.authority)
        holder = AuthorityId(id_of(record, "creditor"))
        number, identity = int(record["asset"]), id_of(record, "debtor")
        credit_limit = int(record["amount"])
        if not institution:
            return Answer(Outcome.NOT_AUTHORISED)
        if identity in self.state.accounts:
            return Answer(Outcome.ACCOUNT_EXISTS)
        if identity != account_id(institution, holder, number, id_of(record, "related")):
            return Answer(Outcome.ID_NOT_DERIVED)
        if not 1 <= number <= len(self.genesis.assets):
            return Answer(Outcome.ASSET_UNKNOWN)
        if holder not in self.state.keys:
            return Answer(Outcome.HOLDER_UNKNOWN)
        if credit_limit and self.genesis.assets[number - 1].issuer != institution:
            return Answer(Outcome.CREDIT_NOT_PERMITTED)
        row = len(self.state.accounts)
        account = Account(
            row, AccountId(identity), holder, institution, number, credit_limit, int(record["max_fee"])
        )
        self.state.accounts[identity] = account
        return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION, debtor=account)

    def _set_frozen(self, record: Any, signer: Signer) -> Answer:
        account = self.state.accounts.get(id_of(record, "debtor"))
        if account is None:
            return Answer(Outcome.DEBTOR_UNKNOWN)
        if self.state.institution_of.get(signer.authority) != account.institution:
            return Answer(Outcome.NOT_AUTHORISED)
        account.frozen = bool(record["amount"])
        return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION, debtor=account)

    def _set_delegate(self, record: Any, signer: Signer) -> Answer:
        account = self.state.accounts.get(id_of(record, "debtor"))
        delegate, cap = AuthorityId(id_of(record, "creditor")), int(record["amount"])
        if account is None:
            return Answer(Outcome.DEBTOR_UNKNOWN)
        mode = self._mode(signer, account)
        if mode is None:
            return Answer(Outcome.NOT_AUTHORISED)
        if cap and delegate not in self.state.keys:
            return Answer(Outcome.HOLDER_UNKNOWN)
        account.delegate, account.delegate_cap = (delegate, cap) if cap else (None, 0)
        return Answer(Outcome.APPLIED, mode=mode, debtor=account)

    # Who may do what.

    def _parties(self, record: Any, signer: Signer) -> tuple[Account, Account, SigningMode] | Outcome:
        debtor = self.state.accounts.get(id_of(record, "debtor"))
        creditor = self.state.accounts.get(id_of(record, "creditor"))
        if debtor is None:
            return Outcome.DEBTOR_UNKNOWN
        if creditor is None:
            return Outcome.CREDITOR_UNKNOWN
        mode = self._mode(signer, debtor)
        if mode is None and debtor.delegate == signer.authority:
            mode = SigningMode.DELEGATE if int(record["amount"]) <= debtor.delegate_cap else None
        if mode is None:
            return Outcome.NOT_AUTHORISED
        if debtor is creditor:
            return Outcome.SAME_ACCOUNT
        if not debtor.asset == creditor.asset == int(record["asset"]):
            return Outcome.ASSET_MISMATCH
        return debtor, creditor, mode

    def _mode(self, signer: Signer, account: Account) -> SigningMode | None:
        if self.state.institution_of.get(signer.authority) == account.institution:
            return SigningMode.INSTITUTION
        return SigningMode.SELF if signer.authority == account.authority else None

    def _closing_mode(
        self, signer: Signer, debtor: Account, creditor: Account, kind: Kind, hold: Hold | None
    ) -> SigningMode | None:
        """A reviewed payment is the debtor's institution's to close; any other hold the creditor's
        too, and the debtor may capture (pay now) but not release (take back)."""
        mode = self._mode(signer, debtor)
        if mode is SigningMode.INSTITUTION or (hold is not None and hold.kind is Kind.TRANSFER):
            return mode if mode is SigningMode.INSTITUTION else None
        if mode is SigningMode.SELF and kind is Kind.CAPTURE:
            return mode
        return self._mode(signer, creditor)

    # Books.

    def _receipt(self, batch: Batch, index: int, answer: Answer) -> RecordArray:
        record = batch.records[index]
        receipt = fill_receipt(answer)
        receipt["id_lo"], receipt["id_hi"] = record["id_lo"], record["id_hi"]
        receipt["order_index"], receipt["kind"] = index, record["kind"]
        receipt["verdict"] = batch.decisions[index]["verdict"]
        return receipt

    def check_invariants(self) -> None:
        """Raise InvariantViolation unless the books balance."""
        self.state.check(self.genesis)


def _well_formed(record: Any, decision: Any) -> bool:
    """Return whether kind, flags and the fields that must be zero are as the format says."""
    kind, flags = int(record["kind"]), int(record["flags"])
    if kind not in Kind._value2member_map_ or flags & ~KNOWN_FLAGS:
        return False
    if not is_uuid7(id_of(record, "id")) or int(decision["verdict"]) > Verdict.BLOCK or decision["reserved"]:
        return False
    pays = kind in (Kind.TRANSFER, Kind.HOLD)
    if kind not in VALUE_KINDS and flags:
        return False
    if not pays and decision["verdict"] != Verdict.ALLOW:
        return False
    if (int(record["hold_for_s"]) != 0) != (kind == Kind.HOLD):
        return False
    has_related = id_of(record, "related") != 0
    return not has_related if pays or kind in (Kind.SET_FROZEN, Kind.SET_DELEGATE) else True


def _overflows(pending: int, posted: int, amount: int) -> bool:
    """Return whether either counter, or what is compared with the limit, would leave u128."""
    return pending + posted + amount + 2**64 > U128_MAX


def _return_reserve(debtor: Account, creditor: Account, amount: int) -> None:
    debtor.debits_pending -= amount
    creditor.credits_pending -= amount


def _content(record: Any) -> bytes:
    """Return the 16 bytes that tell same content from other content."""
    return sha256(LEAF, record.tobytes())[:16]
