"""What the gateway's parts share: keys, vault, engine, intake, and the clock of the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bezant.chain.engine import Engine
from bezant.chain.notary import Notary
from bezant.errors import BezantError
from bezant.gateway.screening import Screening
from bezant.model.identifiers import AccountId
from bezant.model.keys import SigningKey
from bezant.model.orders import authorise
from bezant.model.outcomes import Outcome
from bezant.model.records import RecordArray
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers, Intake
from bezant.stages.resources import PartyColumns
from bezant.vault import Vault


@dataclass
class Desk:
    """Filled in once by the composition root."""

    engine: Engine
    vault: Vault
    intake: Intake
    screening: Screening
    parties: PartyColumns
    institution_key: SigningKey
    gateway_key: SigningKey
    notary: Notary
    institution: int
    """The number of the institution whose key that is."""
    now_ns: Callable[[], int]
    delegate_cap: int = 0
    on_bound: Callable[[Mapping[AccountId, int]], None] = field(default=lambda parties: None)
    on_erased: Callable[[int], object] = field(default=lambda party: None)

    def now_ms(self) -> int:
        return self.now_ns() // 1_000_000

    def sign(
        self,
        records: RecordArray,
        key: SigningKey,
        payloads: tuple[bytes, ...] = (),
        *,
        together: bool = True,
    ) -> Submission:
        """Return records signed by one key, as one Authorisation or one each."""
        return Submission(authorise(self.engine.network, key, records, together=together), records, payloads)

    def order(self, records: RecordArray, key: SigningKey) -> Answers:
        """Sign, submit and wait until durable."""
        return self.intake.call(self.sign(records, key))

    def carry_out(self, records: RecordArray, doing: str, also: Outcome = Outcome.APPLIED) -> Answers:
        """Order records as the institution, each of which is to be APPLIED, or answered `also`.

        Raises: BezantError naming the first other outcome.
        """
        answers = self.order(records, self.institution_key)
        bad = [Outcome(int(o)) for o in answers.outcome if o not in (Outcome.APPLIED, also)]
        if bad:
            raise BezantError(f"could not {doing}: the ledger answers {bad[0].label}", code=bad[0].label)
        return answers
