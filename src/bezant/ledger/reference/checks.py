"""What is checked before any effect: shape, authenticity, time, identity; and what is remembered."""

from __future__ import annotations

from typing import Any

from bezant.ledger.batch import NS_PER_S
from bezant.ledger.books import Answer, Signer, State
from bezant.model.digest import sha256
from bezant.model.forms import FORMS, Use
from bezant.model.genesis import Rules
from bezant.model.governance import Ballot, Rule
from bezant.model.identifiers import is_uuid7, payment_time_ms
from bezant.model.merkle import LEAF
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import SCORED_KINDS, Flag, Kind, Label, ModelRole, id_of


def well_formed(record: Any, decision: Any) -> bool:
    """Return whether kind, flags and the fields that must be zero are as the format says."""
    kind, flags = int(record["kind"]), int(record["flags"])
    form = FORMS.get(kind)  # type: ignore[call-overload]
    if form is None or flags & ~int(form.flags):
        return False
    verdict = int(decision["verdict"])
    if not is_uuid7(id_of(record, "id")) or verdict > Verdict.BLOCK or decision["reserved"]:
        return False
    if not form.judged and verdict != Verdict.ALLOW:
        return False
    has_related, has_hold_for = id_of(record, "related") != 0, record["hold_for_s"] != 0
    for use, present in ((form.related, has_related), (form.hold_for_s, has_hold_for)):
        if (use is Use.NEVER and present) or (use is Use.ALWAYS and not present):
            return False
    if kind in SCORED_KINDS:
        return has_related == bool(flags & Flag.UNDER_MANDATE)
    if kind == Kind.LOCK:
        return bool(record["payload_commitment"].any())
    if kind == Kind.LABEL:
        return int(record["amount"]) in list(Label)
    if kind in (Kind.BOND, Kind.REJOIN):
        return bool(record["payload_commitment"].any())
    if kind == Kind.UNBOND:
        return int(record["amount"]) == 0
    if kind == Kind.PROPOSE:
        return int(record["amount"]) in list(Rule)
    if kind == Kind.VOTE:
        return int(record["amount"]) in list(Ballot)
    if kind == Kind.SET_MODEL:
        return int(record["amount"]) in list(ModelRole) and bool(record["payload_commitment"].any())
    if kind == Kind.SET_MANDATE:
        caps_a_period = record["max_fee"] != 0
        return bool(has_hold_for == caps_a_period and not record["payload_commitment"][8:].any())
    return True


def check_authentic(rules: Rules, record: Any, decision: Any, signer: Signer, time_ns: int) -> Answer | None:
    """Return the first refusal of shape, signatures, gateway or time. None of them is remembered."""
    if not well_formed(record, decision):
        return Answer(Outcome.MALFORMED)
    if not signer.known:
        return Answer(Outcome.UNKNOWN_AUTHORITY)
    if not signer.authentic:
        return Answer(Outcome.BAD_SIGNATURE)
    if not signer.accepted:
        return Answer(Outcome.GATEWAY_NOT_ACCEPTED)
    if not signer.reached & FORMS[Kind(int(record["kind"]))].role:
        return Answer(Outcome.THRESHOLD_NOT_MET)
    made_ms, now_ms = payment_time_ms(id_of(record, "id")), time_ns // 1_000_000
    if made_ms > now_ms + rules.id_future_s * 1000:
        return Answer(Outcome.ID_IN_FUTURE)
    if made_ms + min(rules.id_window_s, int(record["valid_for_s"])) * 1000 < now_ms:
        return Answer(Outcome.EXPIRED)
    return None


def check_new(state: State, rules: Rules, record: Any, signer: Signer) -> Answer | None:
    """Return the first answer to an id that is remembered, or that no more can be."""
    key = (signer.authority, id_of(record, "id"))
    seen = state.remembered.get(key) or state.forgetting.get(key)
    if seen is not None:
        digest, first = seen
        same = digest == _content(record)
        return Answer(Outcome.EXISTS if same else Outcome.EXISTS_WITH_OTHER_CONTENT, first=first)
    if len(state.remembered) + len(state.forgetting) >= rules.max_live_ids:
        return Answer(Outcome.CAPACITY)
    return None


def remember(state: State, record: Any, signer: Signer, outcome: Outcome) -> None:
    state.remembered[signer.authority, id_of(record, "id")] = _content(record), outcome


def forget_old_ids(state: State, rules: Rules, time_ns: int) -> None:
    """Drop a generation of ids once none of them could pass the time check any more."""
    lifetime_ns = (rules.id_window_s + rules.id_future_s + 1) * NS_PER_S
    if time_ns >= state.generation_ns + lifetime_ns:
        state.forgetting, state.remembered = state.remembered, {}
        if time_ns >= state.generation_ns + 2 * lifetime_ns:
            state.forgetting = {}
        state.generation_ns = time_ns


def forget_old_refunds(state: State, time_ns: int) -> None:
    """Drop what is known of refunds whose payment cannot be reversed any more."""
    now_ms = time_ns // 1_000_000
    state.refunds = {key: refund for key, refund in state.refunds.items() if refund.until_ms >= now_ms}


def _content(record: Any) -> bytes:
    """Return the 16 bytes that tell same content from other content."""
    return sha256(LEAF, record.tobytes())[:16]
