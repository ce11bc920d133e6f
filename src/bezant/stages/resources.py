"""What stages are built from; the composition root fills it in once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bezant.chain.engine import Engine
from bezant.intelligence.alerts import AlertBudget
from bezant.intelligence.costs import Costs
from bezant.intelligence.features import FeatureState
from bezant.intelligence.model import Model
from bezant.intelligence.rulebook import EMPTY, Rulebook
from bezant.model.keys import SigningKey
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.instruments import Instruments
from bezant.stages.policy import Policy
from bezant.store import Lag
from bezant.vault import Vault

NOBODY = 0
"""In place of a party: nobody is bound to the account; it is the node's own."""
ERASED = 0xFFFFFFFF
"""In place of a party: it was erased, and nothing may be kept for it any more."""


class PartyColumns:
    """By account row: which party of the vault holds it, its country, and what screening said of it."""

    def __init__(self) -> None:
        self._party = np.zeros(1024, np.uint32)
        self._screening = np.zeros(1024, np.uint8)
        self._country = np.zeros(1024, np.uint16)

    @property
    def nbytes(self) -> int:
        return self._party.nbytes + self._screening.nbytes + self._country.nbytes

    def set(self, row: int, party: int, screening: int, country: int | None = None) -> None:
        """Say whose an account is and how that party was screened; without a country it keeps its own."""
        if row >= len(self._party):
            more = row + 1 + row // 48 - len(self._party)
            self._party = np.concatenate((self._party, np.zeros(more, np.uint32)))
            self._screening = np.concatenate((self._screening, np.zeros(more, np.uint8)))
            self._country = np.concatenate((self._country, np.zeros(more, np.uint16)))
        self._party[row], self._screening[row] = party, screening
        if country is not None:
            self._country[row] = country

    def set_all(
        self,
        rows: npt.NDArray[np.uint32],
        parties: npt.NDArray[np.uint32],
        screening: npt.NDArray[np.uint8],
        country: npt.NDArray[np.uint16],
    ) -> None:
        """Set many account rows at once, each (n,); the last counts where one comes twice."""
        if len(rows):
            last = int(np.argmax(rows))
            self.set(int(rows[last]), int(parties[last]), int(screening[last]))
            self._party[rows], self._screening[rows], self._country[rows] = parties, screening, country

    def rows_of(self, party: int) -> npt.NDArray[np.intp]:
        """Return the account rows bound to a party."""
        return np.flatnonzero(self._party == party)

    def parties(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return the party of each account row, or NOBODY, or ERASED."""
        return np.where(rows < len(self._party), self._party[np.minimum(rows, len(self._party) - 1)], 0)

    def countries(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        """Return the country of each account row's party, as `intelligence.countries` numbers them."""
        last = len(self._country) - 1
        return np.where(rows <= last, self._country[np.minimum(rows, last)], np.uint16(0))

    def screening(self, rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Return the verdict of each account row's party, ALLOW where there is none."""
        last = len(self._screening) - 1
        return np.where(rows <= last, self._screening[np.minimum(rows, last)], np.uint8(0))


@dataclass
class Resources:
    """Everything a stage may need; stages take what they declare and leave the rest."""

    engine: Engine
    vault: Vault
    gateway_key: SigningKey
    features: FeatureState
    policy: Policy
    now_ns: Callable[[], int]
    announce: Callable[[PaymentBatch], None]
    scales: npt.NDArray[np.int64]
    """Decimals of each asset, by number."""
    instruments: Instruments
    model: Model | None = None
    costs: Costs | None = None
    """What mistakes cost; without it thresholds are the model card's, or the policy's."""
    alerts: AlertBudget | None = None
    """Bounds the reviews that costs ask for."""
    rulebook: Rulebook = EMPTY
    executor: Executor | None = None
    """Threads that a stage may share its work out to."""
    parties: PartyColumns = field(default_factory=PartyColumns)
    store_lag: Callable[[], Lag] = Lag
    max_store_lag_payments: int = 1_000_000
    """Payments the store may be behind before admission refuses more."""
    sealed: Callable[[Mapping[int, str]], None] = lambda texts: None
    """Hears the end-to-end ids of payments, by id, just before their block is durable."""
    observe: Callable[[PaymentBatch], None] = lambda batch: None
    """Takes a batch that went through, for whoever looks at it beside its way."""
    lottery_seed: int | None = None
    """What the control group's lots are drawn from; a number only where a test must foresee them."""
