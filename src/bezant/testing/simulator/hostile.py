"""Envelopes that nobody honest sends, each with the truth about what is left of its signatures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np

from bezant.errors import DecodeError
from bezant.model.keys import authority_id
from bezant.model.orders import Order, attest, decode_order, encode_order
from bezant.testing.ledgers import GATEWAY, MALLORY
from bezant.testing.simulator.workload import Envelope

Twist = Callable[[Random, bytes, Envelope], Envelope | None]
"""Returns what arrives, or None where the bytes do not even decode."""


def forged_signature(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """A payer's signature is not theirs, and a careless gateway attests it."""
    order = sent.order
    authorisations, row = order.authorisations.copy(), rng.randrange(len(order.authorisations))
    authorisations["signature"][row][rng.randrange(64)] ^= 1 << rng.randrange(8)
    return _attested(network, sent, replace(order, authorisations=authorisations), row)


def altered_record(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """A record is changed after it was signed: more money, or to somebody else."""
    order = sent.order
    records, index = order.records.copy(), rng.randrange(len(order.records))
    records[rng.choice(("amount", "creditor_lo"))][index] ^= np.uint64(1)
    row = int(np.searchsorted(order.authorisations["first"], index, "right")) - 1
    return _attested(network, sent, replace(order, records=records), row)


def unknown_gateway(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """Somebody who is no gateway attests."""
    order = attest(network, replace(sent.order, gateway=authority_id(MALLORY.public)), MALLORY)
    return replace(sent, order=order, accepted=False)


def borrowed_gateway(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """Somebody else signs in a gateway's name."""
    return replace(sent, order=attest(network, sent.order, MALLORY), accepted=False)


def changed_decision(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """A decision is changed after the gateway signed it."""
    decisions = sent.order.decisions.copy()
    decisions["score_ppm"][rng.randrange(len(decisions))] ^= 1
    return replace(sent, order=replace(sent.order, decisions=decisions), accepted=False)


def wrong_coverage(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """Authorisations claim other records than there are; nothing of it may become a block."""
    authorisations = sent.order.authorisations.copy()
    field = rng.choice(("first", "count"))
    authorisations[field][rng.randrange(len(authorisations))] += rng.choice((1, 2**31))
    order = attest(network, replace(sent.order, authorisations=authorisations), GATEWAY)
    return replace(sent, order=order, readable=False)


def missing_decisions(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """There is a decision less than there are records."""
    order = attest(network, replace(sent.order, decisions=sent.order.decisions[1:]), GATEWAY)
    return replace(sent, order=order, readable=False)


def flipped_bit(rng: Random, network: bytes, sent: Envelope) -> Envelope | None:
    """One bit of the encoded Order is not what was sent."""
    data = bytearray(encode_order(network, sent.order))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    try:
        order = decode_order(bytes(data), network)
    except DecodeError:
        return None
    before, signers = sent.order, list(sent.signers)
    for row, (was, now) in enumerate(zip(before.authorisations, order.authorisations, strict=True)):
        span = slice(int(was["first"]), int(was["first"]) + int(was["count"]))
        same = was.tobytes() == now.tobytes()
        if not same or before.records[span].tobytes() != order.records[span].tobytes():
            signers[row] = None
    return Envelope(order, tuple(signers), accepted=False)


def _attested(network: bytes, sent: Envelope, order: Order, broken: int) -> Envelope:
    """Return a changed order attested as if nothing had happened, its Authorisation `broken` forged."""
    signers = tuple(None if row == broken else signer for row, signer in enumerate(sent.signers))
    return Envelope(attest(network, order, GATEWAY), signers, accepted=True)


def missing_cosignature(rng: Random, network: bytes, sent: Envelope) -> Envelope:
    """A co-signature is left out, and a careless gateway attests what is left."""
    rows = sent.order.authorisations
    also = np.flatnonzero(rows["count"] == 0)
    if not len(also):
        return sent
    gone = int(rng.choice(also.tolist()))
    order = replace(sent.order, authorisations=np.delete(rows, gone))
    signers = (*sent.signers[:gone], *sent.signers[gone + 1 :])
    return Envelope(attest(network, order, GATEWAY), signers, accepted=True)


TWISTS: tuple[Twist, ...] = (
    forged_signature,
    altered_record,
    unknown_gateway,
    borrowed_gateway,
    changed_decision,
    wrong_coverage,
    missing_cosignature,
    missing_decisions,
    flipped_bit,
)


def twisted(rng: Random, network: bytes, sent: Envelope) -> Envelope | None:
    """Return the envelope after a twist drawn from TWISTS; an empty one stays as it is."""
    return rng.choice(TWISTS)(rng, network, sent) if len(sent.order.records) else sent
