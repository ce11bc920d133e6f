"""The simulated world: consumers, merchants, firms and fraudsters, all from one seed."""

from bezant.economy.parties import Parties, PartyKind
from bezant.economy.traffic import Scenario, Traffic, join_traffic
from bezant.economy.world import Pace, World

__all__ = ["Pace", "Parties", "PartyKind", "Scenario", "Traffic", "World", "join_traffic"]
