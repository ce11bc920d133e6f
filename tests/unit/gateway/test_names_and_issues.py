"""Names that screening could not read, and new money that no model of customers judges."""

from __future__ import annotations

import pytest

from bezant.errors import InputError
from bezant.gateway.accounts import PartyProfile
from bezant.model.outcomes import Outcome
from bezant.testing.nodes import SmallNode


@pytest.mark.parametrize("name", ["", "   ", "Velka\x00Torrin", "\u202eVelka Torrin", "Velka\nTorrin"])
def test_a_name_nobody_can_read_is_refused(small: SmallNode, name: str) -> None:
    before = len(small.node.vault.parties)
    with pytest.raises(InputError) as refused:
        small.node.accounts.register_parties([PartyProfile("Velka Torrin"), PartyProfile(name)])
    assert refused.value.code == "name_invalid"
    assert len(small.node.vault.parties) == before


def test_new_money_is_not_judged_by_habits(small: SmallNode) -> None:
    """The rules would hold a large payment from an account that pays everybody for the first time."""
    euro = small.node.accounts.asset("EUR")
    for amount in (100_000_00, 1_00, 5_000_000_00):
        assert small.node.accounts.fund(small.bob, euro, amount).first is Outcome.APPLIED
