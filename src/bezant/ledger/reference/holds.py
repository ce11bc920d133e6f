"""The life of a reserve: placed, locked, captured in one or more parts, released, expired."""

from __future__ import annotations

from dataclasses import replace

from bezant.ledger.batch import NS_PER_S
from bezant.ledger.books import Account, Answer, Hold, State, fill_receipt
from bezant.ledger.reference.fees import NO_FEE, capture_fee_due
from bezant.ledger.reference.parties import Request, check_standing, find_parties, post, signing_mode
from bezant.model.digest import sha256
from bezant.model.identifiers import words
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import NO_ROW, Flag, Kind, RecordArray, Role


def place_hold(state: State, asked: Request, debtor: Account, creditor: Account, mode: SigningMode) -> Answer:
    """Reserve an amount that `pay` has checked."""
    in_review = asked.verdict is Verdict.REVIEW
    hold_for_s = asked.genesis.rules.review_for_s if in_review else int(asked.record["hold_for_s"])
    state.hold_sequence += 1
    state.holds[debtor.row, asked.id("id")] = Hold(
        asked.id("id"),
        debtor.row,
        creditor.row,
        asked.amount,
        asked.time_ns + hold_for_s * NS_PER_S,
        state.hold_sequence,
        asked.kind,
    )
    debtor.debits_pending += asked.amount
    creditor.credits_pending += asked.amount
    outcome = Outcome.HELD_FOR_REVIEW if in_review else Outcome.HELD
    return Answer(outcome, asked.amount, mode, debtor, creditor)


def lock_hold(state: State, asked: Request) -> Answer:
    """Lock a hold with a hash; only where the same chain placed it, so that none is ever open without."""
    # CHECK
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    key = debtor.row, asked.id("related")
    hold = state.holds.get(key)
    if hold is None or asked.chain_start is None or hold.sequence <= asked.chain_start:
        return Answer(Outcome.HOLD_UNKNOWN)
    if hold.creditor != creditor.row or int(asked.record["asset"]) != debtor.asset or hold.lock:
        return Answer(Outcome.HOLD_MISMATCH)
    # POST
    state.holds[key] = replace(hold, lock=asked.record["payload_commitment"].tobytes())
    mode = signing_mode(state, asked.signer, debtor) or SigningMode.DELEGATE
    return Answer(Outcome.LOCKED, 0, mode, debtor, creditor)


def close_hold(state: State, asked: Request) -> Answer:
    """Capture up to the amount held, or release it. What a capture leaves returns at once, or stays
    held where the capture says so."""
    # CHECK
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    captures, amount = asked.kind is Kind.CAPTURE, asked.amount
    key = debtor.row, asked.id("related")
    hold = state.holds.get(key)
    # A bond has its own end.
    hold = None if hold is not None and hold.kind is Kind.BOND else hold
    mode = _closing_mode(state, asked, debtor, creditor, hold)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    if captures and amount == 0:
        return Answer(Outcome.AMOUNT_ZERO)
    refusal = check_standing(state, debtor, creditor) if captures else None
    if refusal is not None:
        return Answer(refusal)
    if hold is None:
        return Answer(Outcome.HOLD_UNKNOWN)
    if hold.creditor != creditor.row or int(asked.record["asset"]) != debtor.asset:
        return Answer(Outcome.HOLD_MISMATCH)
    if captures and hold.in_review and amount < hold.amount:
        return Answer(Outcome.HOLD_MISMATCH)
    if captures and amount > hold.amount:
        return Answer(Outcome.AMOUNT_ABOVE_HOLD)
    if captures and hold.lock and sha256(asked.record["payload_commitment"].tobytes()) != hold.lock:
        return Answer(Outcome.PREIMAGE_MISMATCH)
    keeps_rest = captures and int(asked.record["flags"]) & Flag.KEEP_REST and amount < hold.amount
    fee, collector = capture_fee_due(state, asked.genesis, debtor, creditor, amount) if captures else NO_FEE
    # Each part costs the creditor a fee, so into how many parts is not the payer's side to say.
    if keeps_rest and fee and signing_mode(state, asked.signer, creditor) is None:
        return Answer(Outcome.NOT_AUTHORISED)
    # POST
    if keeps_rest:
        state.holds[key] = replace(hold, amount=hold.amount - amount)
        return_reserve(debtor, creditor, amount)
    else:
        del state.holds[key]
        return_reserve(debtor, creditor, hold.amount)
    if not captures:
        return Answer(Outcome.RELEASED, hold.amount, mode, debtor, creditor)
    post(debtor, creditor, amount)
    if collector is not None:
        post(creditor, collector, fee)
    outcome = Outcome.CAPTURED_IN_PART if keeps_rest else Outcome.CAPTURED
    return replace(Answer(outcome, amount, mode, debtor, creditor), fee=fee, collector=collector)


def expire_hold(state: State, hold: Hold) -> RecordArray:
    """Return a reserve whose time has come, and the system receipt that says so."""
    del state.holds[hold.debtor, hold.id]
    debtor, creditor = state.by_row(hold.debtor), state.by_row(hold.creditor)
    return_reserve(debtor, creditor, hold.amount)
    receipt = fill_receipt(Answer(Outcome.HOLD_EXPIRED, hold.amount, debtor=debtor, creditor=creditor))
    receipt["id_lo"], receipt["id_hi"] = words(hold.id)
    receipt["order_index"], receipt["kind"] = NO_ROW, hold.kind
    return receipt


def _closing_mode(
    state: State, asked: Request, debtor: Account, creditor: Account, hold: Hold | None
) -> SigningMode | None:
    """A reviewed payment is the debtor's institution's to close, with its review role; any other hold the
    creditor's too. The debtor may capture (pay now) but not release (take back), and of a locked
    hold neither may the debtor's institution: until it expires the creditor counts on it."""
    in_review = hold is not None and hold.in_review
    if not asked.signer.reached & (Role.REVIEW if in_review else Role.PAY):
        return None
    mode = signing_mode(state, asked.signer, debtor)
    if in_review:
        return mode if mode is SigningMode.INSTITUTION else None
    locked = hold is not None and bool(hold.lock)
    if mode is SigningMode.INSTITUTION and (asked.kind is Kind.CAPTURE or not locked):
        return mode
    if mode is SigningMode.SELF and asked.kind is Kind.CAPTURE:
        return mode
    return signing_mode(state, asked.signer, creditor)


def return_reserve(debtor: Account, creditor: Account, amount: int) -> None:
    """Undo a reserve, or part of one, on both sides."""
    debtor.debits_pending -= amount
    creditor.credits_pending -= amount
