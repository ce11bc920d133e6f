"""Verify a Bezant receipt without Bezant: Python's standard library, and PyNaCl for Ed25519.

A receipt says that somebody signed a payment, what the ledger answered, and that the answer can no
longer be changed. Each part of it is hashed or signed by the next::

    record ─▶ root ─▶ signatures of the payer's authority           what was asked
       └────▶ leaf ─▶ root of the block ─▶ app hash ─▶ node's seal   what was answered
                                              ├─▶ checkpoint         that everybody is told the same
                                              └─▶ votes              or that, in place of seal and both

and all of them name the genesis, whose hash you know from elsewhere. Trees are RFC 6962's, integers
little-endian, ids 16 bytes, hashes 32. One check that fails refuses the file.
"""

import argparse
import json
import struct
import uuid
from hashlib import sha256

import bip340
import cometbft_votes
import signed_note
from nacl import exceptions, signing

# Every object in the file: its fields in order, each with the first letter of its type (d: or null).
FORMS = """bezant_receipt:i engine:s summary:d signed:d leaf:s leaf_index:i leaf_count:i leaf_path:l
    previous_app_hash:s app_hash:s seal:d checkpoint:d debtor_side:d creditor_side:d genesis:d | payment:s
    outcome:s amount:s asset:s debtor:s creditor:s signed_by:s block:i time_ns:i | record:s authority:s
    signatures:l index:i count:i path:l | scheme:i key:s signature:s | key:s signature:s | note:s path:l |
    account:s blind:s counters:s | number:i name:s key:s | version:i network:s created_ms:i rules:d assets:l
    institutions:l gateways:l sealers:l | version:i id_window_s:i id_future_s:i review_for_s:i max_live_ids:i
    checkpoint_interval:i schemes:l recovery_delay_s:i | number:i code:s scale:i issuer:i approve_holders:b
    freezable:b pausable:b clawback:b member_credit:b refund_window_s:i | asset:i flat:i ppm:i
    minimum:i maximum:i | genesis:s height:i time_ns:i app_hash:s state_root:s archive_root:s"""
# Fields at an object's end that are there only where they say something, the last first.
OPTIONAL = ["decision:s", "finality:d", "fees:l", "origin:d", "snapshot_interval:i", "stake:d"]
OPTIONAL += ["validators:l", "least_bond:i"]
RECORD, LEAF = struct.Struct("<16s16s16s16sQQ32sIIIHH"), struct.Struct("<HHHHBB6s16sQQ32s32s32s32s")
# Outcomes by number; 0 stands for the numbers that none has.
OUTCOMES = """applied held held_for_review captured released hold_expired locked captured_in_part
    recovery_started bonded unbonding slashed jailed accepted declined rewarded malformed unknown_authority
    bad_signature gateway_not_accepted threshold_not_met 0 0 0 id_in_future expired 0 0 0 0 0 0 exists
    exists_with_other_content capacity 0 0 0 0 0 blocked review_not_permitted original_unknown
    refund_window_closed not_governed 0 0 0 debtor_unknown creditor_unknown not_authorised same_account
    asset_mismatch amount_zero asset_paused policy_forbids debtor_frozen creditor_frozen debtor_closed
    creditor_closed debtor_not_approved creditor_not_approved rule_out_of_bounds schedule_refused
    hold_unknown hold_mismatch amount_above_hold hold_exists preimage_mismatch mandate_expired above_mandate
    above_mandate_period overflow insufficient_funds balance_limit above_original fee_above_max 0
    account_not_empty limit_below_balance authority_exists account_exists id_not_derived asset_unknown
    holder_unknown credit_not_permitted key_slot threshold_unreachable recovery_waiting validator_jailed
    mandate_unknown mandate_exists model_unknown models_full validator_unknown validators_full linked_failed
    chain_open last_validator proposal_unknown proposal_exists proposals_full bond_below_least"""


def need(holds, why):
    if not holds:
        raise ValueError(why)


def read_object(pairs):
    form = [f"{name}:{type({} if value is None else value).__name__[0]}" for name, value in pairs]
    for optional in OPTIONAL:
        if form[-1] == optional and pairs[len(form) - 1][1]:
            form.pop()
    known = (FORMS + "|" + cometbft_votes.FORMS).split("|")
    need(form in map(str.split, known), "these are not the fields of a receipt")
    return dict(pairs)


def digest(*parts):
    return sha256(b"".join(parts)).digest()


def unhex(text, length=32):
    need(len(text) == 2 * length and not set(text) - set("0123456789abcdef"), "a field is not plain hex")
    return bytes.fromhex(text)


def root_from_path(node, index, size, path):
    """Return the root that the path of leaf `index` leads to. Source: RFC 9162 §2.1.3.2."""
    last, siblings = size - 1, [unhex(sibling) for sibling in path]
    need(0 <= index <= last, "a leaf is not in the tree that it should be in")
    while last:
        if index & 1 or index < last:
            left, right = (siblings.pop(0), node) if index & 1 else (node, siblings.pop(0))
            node = digest(b"\1", left, right)
        index, last = index >> 1, last >> 1
    need(not siblings, "a path is too long")
    return node


def is_signed(scheme, key, signature, text):
    """Scheme 1 is Ed25519 (RFC 8032); 2 is BIP-340, whose message is the SHA-256 of the text."""
    if scheme == 2:
        return bip340.is_signed(key, digest(text), signature)
    try:
        return scheme == 1 and signing.VerifyKey(key).verify(text, signature) == text
    except exceptions.CryptoError:
        return False


def verify(data, trust="", witnesses=(), quorum=0):
    """Return what the receipt proves. Raises: ValueError, or whatever nonsense runs into first."""
    receipt = json.loads(text := data.decode(), object_pairs_hook=read_object)
    need(json.dumps(receipt, indent=1, ensure_ascii=False) + "\n" == text, "the form is not canonical")
    summary, signed, genesis, seal = (receipt[name] for name in ("summary", "signed", "genesis", "seal"))
    formats = receipt["bezant_receipt"], receipt["engine"], genesis["version"], genesis["rules"]["version"]
    voting = genesis.get("validators")
    need(formats == (1, "cometbft" if voting else "embedded", 1, 1), "the format is not known here")
    compact = json.dumps(genesis, separators=(",", ":"), ensure_ascii=False).encode()
    network = digest(b"bezant/genesis/1", compact)
    need(trust.lower() in ("", network.hex()), "the genesis is not the one you trust")

    # What was asked: a record under a root, and signatures of that root.
    record, count, shown = unhex(signed["record"], 128), signed["count"], signed["signatures"]
    payment, debtor, creditor, _, asked, _, _, number, _, _, kind, _ = RECORD.unpack(record)
    root = root_from_path(digest(b"\0", record), signed["index"], count, signed["path"])
    authority = unhex(signed["authority"], 16)[::-1]
    text = b"bezant/authorisation/1\0\0" + network + authority + struct.pack("<Q", count) + root
    need(count <= 1024, "more records under one signature than there may be")
    distinct = 1 <= len({one["key"] for one in shown}) == len(shown) <= 16
    need(distinct, "no key signed, or one twice, or too many")
    for one in shown:
        pair = unhex(one["key"]), unhex(one["signature"], 64)
        need(is_signed(one["scheme"], *pair, text), "a signature does not cover this record")
    ids = [digest(b"bezant/authority/1\1\1", bytes([s["scheme"]]), unhex(s["key"]))[:16] for s in shown]

    # What was answered: a leaf for that record, under an app hash that the node sealed.
    leaf, place = unhex(receipt["leaf"], 176), (receipt["leaf_index"], receipt["leaf_count"])
    version, same, outcome, _, mode, _, rest, id_, moved, fee, hashed, chose, *sides = LEAF.unpack(leaf)
    answers = (version, same, rest, id_, hashed) == (1, kind, bytes(6), payment, digest(b"\0", record))
    need(answers, "the leaf does not answer this record")
    opened = unhex(receipt.get("decision", ""), 64) if "decision" in receipt else b""
    need(not opened or digest(opened) == chose, "the opened decision is not the one committed to")
    root = root_from_path(digest(b"\0", leaf), *place, receipt["leaf_path"])
    app_hash = digest(b"bezant/app/1", before := unhex(receipt["previous_app_hash"]), root)
    need(app_hash.hex() == receipt["app_hash"], "the leaf is not under this app hash")
    block = struct.pack("<3Q", summary["block"], summary["time_ns"], place[1]) + app_hash
    votes, told = (), (bool(seal), "finality" in receipt, bool(voting and receipt["checkpoint"]))
    need(told == (not voting, bool(voting), False), "it is not vouched for as the genesis has it")
    if voting:
        final = receipt["finality"], voting, network, summary["block"], summary["time_ns"], before, app_hash
        votes = cometbft_votes.check_votes(*final, is_signed)
    else:
        need(seal["key"] in genesis["sealers"], "the seal is by nobody whom the genesis names")
        pair = unhex(seal["key"]), unhex(seal["signature"], 64)
        need(is_signed(1, *pair, b"bezant/seal/1" + network + block), "the seal does not cover this block")
    sides = ("debtor_side", debtor, sides[0]), ("creditor_side", creditor, sides[1])
    for side, account, commitment in sides:
        if receipt[side]:
            blind, counters = unhex(receipt[side]["blind"]), unhex(receipt[side]["counters"], 64)
            need(receipt[side]["account"] == account[::-1].hex(), "an opened side is another account's")
            need(digest(b"side/1\0", blind, account, counters) == commitment, "opened balances are not true")

    # What people read is what the bytes say.
    asset = dict(enumerate(genesis["assets"], 1)).get(number, {"code": "", "scale": 0})
    need(0 <= (scale := asset["scale"]) <= 9, "an asset has more decimals than there may be")
    digits = str(moved or asked).rjust(scale + 1, "0")
    amount = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    words = [str(uuid.UUID(bytes=payment[::-1])), OUTCOMES.split()[outcome], amount, asset["code"]]
    signer = ("system", "self", "institution", "delegate")[mode]
    words += [debtor[::-1].hex(), creditor[::-1].hex(), signer]
    banks = [digest(b"bezant/authority/1\1\1\1", unhex(one["key"]))[:16] for one in genesis["institutions"]]
    need(mode != 2 or authority in banks, "no institution that the genesis names signed this")
    need(list(summary.values())[:7] == words and words[1] != "0", "the summary says something else")

    # That everybody is told the same: witnesses co-signed a history with that block.
    found, known = [], [signed_note.parse_witness(key) for key in dict.fromkeys(witnesses)]
    if receipt["checkpoint"]:
        leaf = digest(b"\0bezant/block/1", block)
        size, root, found = signed_note.check(
            receipt["checkpoint"]["note"], network, pair[0], known, is_signed
        )
        held = root_from_path(leaf, summary["block"] - 1, size, receipt["checkpoint"]["path"]) == root
        need(held, "the block is not in the history that the checkpoint is of")
    need(len(found) >= quorum, f"{len(found)} of the witnesses you named co-signed, not {quorum}")
    keys = {"keys": len(shown), "keys_registered_first": ids.count(authority)}
    if opened:
        keys["decided_by_model"] = opened[32:48].hex()
    if fee:
        keys["fee_minor"] = fee
    return summary | keys | {"genesis": network.hex(), "co_signed_by": found, "votes": votes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Verify a Bezant receipt offline; exit code 1 if refused.")
    parser.add_argument("receipt", type=argparse.FileType("rb"), help="a receipt file, or -")
    parser.add_argument("--trust", default="", help="the genesis hash that you know")
    parser.add_argument("--witness", action="append", default=[], help="verifier key, name+hash+base64")
    parser.add_argument("--quorum", type=int, default=0, help="how many of them must have co-signed")
    given = parser.parse_args()
    try:
        print(json.dumps(verify(given.receipt.read(), given.trust, given.witness, given.quorum), indent=1))
    except (ValueError, LookupError, TypeError, RecursionError, struct.error) as error:
        raise SystemExit(f"refused: {error}") from None
