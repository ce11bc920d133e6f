"""Why a block is final where validators vote: followed from those of the genesis; standard library only.

A header is fourteen fields, each as it is hashed. Nothing is decoded: what a field has to say is encoded,
and compared. The app hash of a block is in the next one's header, which more than two thirds of the voting
power signed, and the one before it in its own header; where validators change, the header in front names the
next ones.
"""

from hashlib import sha256

FORMS = (
    "changes:l header:l after:d | height:i fields:l round:i parts_total:i parts_hash:s validators:l votes:l"
)
FORMS += " | time_ns:i signature:s | key:s power:i | key:s power:i institution:i"
FORMS += " | asset:i unit:i unbonding_s:i slash_ppm:i jail_s:i away_blocks:i"
CHAIN_ID, HEIGHT, TIME, LAST_BLOCK, VALIDATORS, NEXT_VALIDATORS, APP_HASH = 1, 2, 3, 4, 7, 8, 10


def need(holds, why):
    if not holds:
        raise ValueError(why)


def unhex(text):
    need(not set(text) - set("0123456789abcdef"), "a field is not plain hex")
    return bytes.fromhex(text)


def number(value):
    return bytes([value & 127 | 128]) + number(value >> 7) if value > 127 else bytes([value])


def field(place, content):
    """One field of a message: a number, left out if it is 0, or bytes."""
    if isinstance(content, int):
        return number(place << 3) + number(content) if content else b""
    return number(place << 3 | 2) + number(len(content)) + content


def fixed(place, value):
    return number(place << 3 | 1) + value.to_bytes(8, "little") if value else b""


def time(ns):
    return field(1, ns // 10**9) + field(2, ns % 10**9)


def root(items):
    """The root of RFC 6962's tree over texts."""
    if len(items) == 1:
        return sha256(b"\0" + items[0]).digest()
    middle = 1 << (len(items) - 1).bit_length() - 1
    return sha256(b"\1" + root(items[:middle]) + root(items[middle:])).digest()


def set_hash(validators):
    """The hash of a set of validators: by power, then by address."""
    pairs = [(one["power"], unhex(one["key"])) for one in validators]
    pairs.sort(key=lambda pair: (-pair[0], sha256(pair[1]).digest()[:20]))
    return root([field(1, field(1, key)) + field(2, power) for power, key in pairs])


def check_header(signed, expected, chain, is_signed):
    """Return the fields of a header that enough of the expected validators signed, and how many."""
    validators, votes = signed["validators"], signed["votes"]
    need(0 < len(validators) == len(votes) <= 1000, "votes do not stand beside validators")
    need(len({one["key"] for one in validators}) == len(votes), "a validator is named twice")
    need(all(list(one) == ["key", "power"] for one in validators), "a validator is a key and its power")
    need(all(0 < one["power"] <= 2**40 for one in validators), "a validator has no power")
    need(set_hash(validators) == expected, "these are not the validators of that height")
    fields = [unhex(text) for text in signed["fields"]]
    named = [chain, field(1, signed["height"]), field(1, expected)]
    need(len(fields) == 14 and max(map(len, fields)) <= 256, "a header has 14 fields of at most 256 bytes")
    need([fields[place] for place in (CHAIN_ID, HEIGHT, VALIDATORS)] == named, "the header is another one")
    need(0 < signed["height"] < 2**63 and 0 <= signed["round"] < 2**31, "a height or round is out of range")
    parts = unhex(signed["parts_hash"])
    need(len(parts) == 32 and 0 <= signed["parts_total"] < 2**32, "the parts of a block are not told")
    block = field(1, root(fields)) + field(2, field(1, signed["parts_total"]) + field(2, parts))
    start = field(1, 2) + fixed(2, signed["height"]) + fixed(3, signed["round"]) + field(4, block)
    power = 0
    for one, vote in zip(validators, votes, strict=True):
        if vote is not None:
            need(0 <= vote["time_ns"] < 2**63, "a vote's time is out of range")
            text = start + field(5, time(vote["time_ns"])) + field(6, chain[2:])
            pair = unhex(one["key"]), unhex(vote["signature"])
            need(is_signed(1, *pair, number(len(text)) + text), "a vote does not cover the header")
            power += one["power"]
    total = sum(one["power"] for one in validators)
    need(3 * power > 2 * total, f"{power} of {total} votes are not more than two thirds")
    return fields, power, total


def check_votes(proof, genesis, network, block, time_ns, previous, app_hash, is_signed):
    """Return (power that signed, of all, changes of validators) if the block is final. Raises: ValueError."""
    chain = field(1, f"bezant-{network.hex()[:40]}".encode())
    expected, reached = set_hash(genesis), 0
    for change in proof["changes"]:
        need(reached < change["height"] <= block, "changes of validators are not in order")
        fields, _, _ = check_header(change, expected, chain, is_signed)
        expected, reached = fields[NEXT_VALIDATORS][2:], change["height"]
        need(len(expected) == 32, "a header names no next validators")
    need(proof["after"]["height"] == block + 1, "the app hash of a block is in the next one's header")
    fields, power, total = check_header(proof["after"], expected, chain, is_signed)
    own = [unhex(text) for text in proof["header"]]
    need(fields[APP_HASH] == field(1, app_hash), "the validators signed another app hash")
    need(own[APP_HASH : APP_HASH + 1] == [field(1, previous)], "another block led to this app hash")
    need(len(own) == 14 and fields[LAST_BLOCK][:34] == field(1, root(own)), "the header is another block's")
    need((own[HEIGHT], own[TIME]) == (field(1, block), time(time_ns)), "the block has another height or time")
    return power, total, len(proof["changes"])
