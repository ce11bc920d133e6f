"""A ledger goes on under another genesis: everything it had is there, and only what is its own may follow."""

from __future__ import annotations

import msgspec
import pytest

from bezant.errors import StorageError
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.fees import FEE_SALT
from bezant.ledger.open_items import open_hold, validators
from bezant.ledger.succession import succeed
from bezant.model.genesis import Fee, Genesis, GenesisInstitution, GenesisValidator
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, id_of
from bezant.testing.ledgers import ALICE, BANK, ISSUER, STAKE, World, seeded_key

COMING, VOTER = seeded_key("coming").public, seeded_key("voter").public


def grown(genesis: Genesis) -> Genesis:
    """Return the genesis with one more institution, which runs a validator."""
    number = len(genesis.institutions) + 1
    return msgspec.structs.replace(
        genesis,
        institutions=(*genesis.institutions, GenesisInstitution(number, "Coming", COMING.hex())),
        validators=(GenesisValidator(VOTER.hex(), 10, number),),
    )


class Old(World):
    """A ledger with a hold that is open."""

    def __init__(self) -> None:
        super().__init__(ColumnarLedger, stake=STAKE)
        self.placed = self.hold()
        self.apply((ALICE, self.placed))


@pytest.fixture
def old() -> Old:
    return Old()


def going_on(old: Old, genesis: Genesis) -> ColumnarLedger:
    assert isinstance(old.ledger, ColumnarLedger)
    made = ColumnarLedger(genesis)
    made.restore(succeed(layout.dump(old.ledger.state), genesis), 100)
    made.check_invariants()
    return made


def test_what_was_there_stays_and_who_comes_is_known(old: Old) -> None:
    before = layout.dump(old.ledger.state)
    old.ledger = going_on(old, grown(old.genesis))
    after = layout.dump(old.ledger.state)
    for name in ("accounts", "ids", "holds", "expiries", "mandates", "refunds", "assets", "models"):
        assert after[name].tobytes() == before[name].tobytes(), name
    known = len(before["authorities"])
    assert after["authorities"][:known].tobytes() == before["authorities"].tobytes()
    assert old.ledger.is_registered(authority_id(COMING))
    (voter,) = validators(old.ledger)
    assert (voter.key, voter.operator, voter.power) == (VOTER, authority_id(COMING), 10)
    # Ids count as before, and what is held can be captured.
    assert old.answer((ALICE, old.placed)) == [Outcome.EXISTS]
    row = old.ledger.account_row(old.alice)
    assert open_hold(old.ledger, row, id_of(old.placed[0], "id")) is not None
    assert old.answer((BANK, old.after(Kind.CAPTURE, old.placed, 100))) == [Outcome.CAPTURED]
    assert old.answer((ALICE, old.transfer(old.alice, old.bob, 5))) == [Outcome.APPLIED]
    old.ledger.check_invariants()


def test_tables_are_copies(old: Old) -> None:
    tables = layout.dump(old.ledger.state)
    kept = {name: rows.tobytes() for name, rows in tables.items()}
    for rows in succeed(tables, grown(old.genesis)).values():
        rows.view("u1")[...] = 255
    assert {name: rows.tobytes() for name, rows in tables.items()} == kept


def test_a_genesis_of_another_ledger_is_refused(old: Old) -> None:
    tables, genesis = layout.dump(old.ledger.state), grown(old.genesis)
    bank, *_ = genesis.institutions
    twin = GenesisInstitution(len(genesis.institutions), "Twin", ALICE.public.hex())
    other = GenesisInstitution(1, "Other", seeded_key("other").public.hex())
    asset = msgspec.structs.replace(genesis.assets[0], clawback=not genesis.assets[0].clawback)
    wrong = {
        "names fewer": {"institutions": (bank,), "validators": ()},
        "another key": {"institutions": (other, *genesis.institutions[1:])},
        "another use": {"institutions": (*genesis.institutions[:-1], twin)},
        "the assets": {"assets": (asset, *genesis.assets[1:])},
        "fewer or more": {"assets": genesis.assets[:1]},
    }
    for why, change in wrong.items():
        with pytest.raises(StorageError, match="the assets" if why == "fewer or more" else why) as refused:
            succeed(tables, msgspec.structs.replace(genesis, **change))  # type: ignore[arg-type]
        assert refused.value.code == "origin_differs"
    tables["validators"] = layout.tables(ColumnarLedger(genesis).state)["validators"]
    with pytest.raises(StorageError, match="unbond"):
        succeed(tables, genesis)


def test_an_issuers_own_account_is_not_divided_among_bonds() -> None:
    old = World(ColumnarLedger)
    row, collector = old.scribe.open(1, ISSUER, salt=FEE_SALT)
    assert old.answer((ISSUER, row)) == [Outcome.APPLIED]
    genesis = msgspec.structs.replace(grown(old.genesis), stake=STAKE)
    assert isinstance(old.ledger, ColumnarLedger)
    with pytest.raises(StorageError, match="opened the account") as refused:
        succeed(layout.dump(old.ledger.state), genesis)
    assert refused.value.code == "origin_differs"
    assert old.answer((ISSUER, old.command(Kind.CLOSE_ACCOUNT, debtor=collector))) == [Outcome.APPLIED]
    succeed(layout.dump(old.ledger.state), genesis)


def test_fees_of_before_are_divided_among_the_bonds_that_come() -> None:
    old = World(ColumnarLedger, stake=STAKE, fees=(Fee(1, flat=5, maximum=5),), checkpoint_interval=12)
    for _ in range(3):
        old.apply((ALICE, old.transfer(old.alice, old.bob, 100, max_fee=5)))
    old.ledger = going_on(old, grown(old.genesis))
    assert old.balance(old.collector) == 15
    sides = {"debtor": old.bob, "creditor": old.treasury}
    bond = old.command(Kind.BOND, **sides, amount=100, commitment=bytes([11]) * 32)
    assert old.answer((BANK, bond)) == [Outcome.BONDED]
    before = old.balance(old.bob)
    while not len(receipts := old.apply()):
        old.ledger.check_invariants()
    assert [(one["outcome"], one["amount"]) for one in receipts] == [(Outcome.REWARDED, 15)]
    assert (old.balance(old.collector), old.balance(old.bob)) == (0, before + 15)
    old.ledger.check_invariants()
