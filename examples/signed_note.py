"""Checkpoints as signed notes: seven lines of text, and one for each who signed them; standard library only.

A node signs the text; a witness signs the time in front of it, and one history only. Source of the form:
the signed notes of Go's checksum database, and C2SP's tlog-cosignature.
"""

import re
from base64 import b64decode
from hashlib import sha256

INT, HASH = "(0|[1-9][0-9]*)", "([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)"
LINE = "— [^\\s+]{1,128} (?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]([A-Za-z0-9+/][AEIMQUYcgkosw048]|[AQgw]=)=)?"
NOTE = rf"(bezant/(.+)\n{INT}\n{HASH}\ntime {INT}\napp {HASH}\nstate {INT} {HASH}\n)\n((?:{LINE}\n)+)"


def need(holds, why):
    if not holds:
        raise ValueError(why)


def digest(*parts):
    return sha256(b"".join(parts)).digest()


def check(text, network, sealer, known, is_signed):
    """Return how many blocks a checkpoint is of, their root, and who of the known witnesses co-signed it."""
    note = len(text.encode()) <= 65_536 and re.fullmatch(NOTE, text)
    need(note and note[9].replace("\n", "").isprintable(), "the checkpoint is not a note in canonical form")
    need(note[2] == network.hex(), "the checkpoint is another network's")
    signed, lines = note[1].encode(), re.findall(r"— (\S+) (\S*)\n", note[9])

    def has_signed(name, key, algorithm):
        start, width = digest(name.encode(), b"\n", bytes([algorithm]), key)[:4], 76 if algorithm == 4 else 68
        for blob in (b64decode(line) for at, line in lines if at == name):
            dated = b"cosignature/v1\ntime %d\n" % int.from_bytes(blob[4:12], "big") if width == 76 else b""
            if (blob[:4], len(blob)) == (start, width) and is_signed(1, key, blob[-64:], dated + signed):
                return True
        return False

    need(has_signed(f"bezant/{network.hex()}", sealer, 1), "the node's key did not sign the checkpoint")
    return int(note[3]), b64decode(note[4]), [name for name, key in known if has_signed(name, key, 4)]


def parse_witness(text):
    name, _, rest = text.partition("+")
    blob = b64decode(rest[9:], validate=True)
    hashed = digest(name.encode(), b"\n", blob)[:4].hex() + "+"
    need((rest[:9], len(blob), blob[:1]) == (hashed, 33, b"\4"), "this is not a witness's verifier key")
    return name, blob[1:]
