"""A ledger goes on under another genesis: its tables, with the institutions and validators that come to it.

Nothing that was there changes: accounts, balances, ids, holds, mandates, keys, models keep their rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.errors import StorageError
from bezant.ledger import state as layout
from bezant.ledger.fees import collector_id
from bezant.ledger.standing import Standing
from bezant.model.genesis import Genesis
from bezant.model.identifiers import join
from bezant.model.keys import authority_id

Tables = Mapping[str, npt.NDArray[Any]]


def succeed(tables: Tables, genesis: Genesis) -> dict[str, npt.NDArray[Any]]:
    """Return the tables of a ledger (see `state.tables`) as `genesis` goes on with them.

    Its first institutions have to be those of the ledger, its assets the same. Raises: StorageError
    ``origin_differs``.
    """
    known = len(tables["institutions"]) - 1
    fresh = layout.tables(layout.new_state(genesis))
    _check(tables, fresh, genesis, known)
    found = {name: np.array(rows) for name, rows in tables.items()}
    coming = fresh["authorities"][known:]
    first = len(found["authorities"])
    found["authorities"] = np.concatenate((found["authorities"], coming))
    rows = np.arange(first, first + len(coming), dtype=np.uint32)
    found["institutions"] = np.concatenate((found["institutions"], rows))
    found["counters"]["authorities"] = len(found["authorities"])
    found["validators"] = fresh["validators"].copy()
    for row, granted in enumerate(genesis.validators):
        found["validators"]["operator"][row : row + 1] = found["institutions"][granted.institution]
    return found


def _check(tables: Tables, fresh: Tables, genesis: Genesis, known: int) -> None:
    if not 1 <= known <= len(genesis.institutions):
        raise _differs(f"the ledger has {known} institutions, and the genesis names fewer")
    authorities = tables["authorities"]
    there = {join(row["id_lo"], row["id_hi"]) for row in authorities}
    for institution in genesis.institutions:
        own = authority_id(bytes.fromhex(institution.key))
        if institution.number > known:
            if own in there:
                raise _differs(f"the key of institution {institution.number} has another use in the ledger")
            continue
        row = authorities[tables["institutions"][institution.number]]
        if join(row["id_lo"], row["id_hi"]) != own:
            raise _differs(f"institution {institution.number} has another key in the ledger")
    fixed = ["refund_window_ms", "issuer", "policy"]
    if tables["assets"][fixed].tobytes() != fresh["assets"][fixed].tobytes():
        raise _differs("the assets of the ledger are others than those of the genesis")
    bonded = genesis.stake.asset if genesis.stake is not None else 0
    accounts = tables["accounts"]
    own = accounts[(accounts["standing"] & (Standing.COLLECTS | Standing.CLOSED)) == 0]
    if bonded and collector_id(genesis, bonded) in {join(row["id_lo"], row["id_hi"]) for row in own}:
        # What is in it would be divided among bonds, and is the issuer's.
        raise _differs(
            "the issuer opened the account that is to collect fees for itself; close it there first"
        )
    if len(tables["validators"]):
        raise _differs("validators have bonds in the ledger; unbond them first")


def _differs(why: str) -> StorageError:
    return StorageError(f"this genesis cannot go on from that ledger: {why}", code="origin_differs")
