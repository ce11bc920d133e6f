"""Personal data, encrypted per party; erasing a party destroys its key."""

from bezant.vault.kinds import VaultKind
from bezant.vault.opened import Entry, OpenedBatch
from bezant.vault.parties import NODE_PARTY
from bezant.vault.vault import Vault

__all__ = ["NODE_PARTY", "Entry", "OpenedBatch", "Vault", "VaultKind"]
