"""Models as the institution orders them: registered, promoted, put back; and who decided since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bezant.errors import ConflictError, ModelError, UnknownOutcome
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.history import History
from bezant.gateway.lineup import Lineup
from bezant.gateway.payments import Answered, Payments, refused, used_otherwise
from bezant.intelligence.comparison import Comparison, compare
from bezant.intelligence.model import Model, ModelCard
from bezant.intelligence.score_log import ScoreLog, mark
from bezant.intelligence.shelf import Shelf, resolve
from bezant.ledger import open_items
from bezant.model.identifiers import AuthorityId, PaymentId
from bezant.model.keys import authority_id
from bezant.model.records import Kind, ModelRole
from bezant.store.views import ModelChange

MOST_LABELS = 50_000
"""Labels, the newest, that two models are compared by."""
PATIENCE_S = 30.0
"""How long a change of role is waited for until the node has taken it up: a file is read, code is loaded."""


@dataclass(frozen=True, slots=True)
class ModelStanding:
    """A model of this institution; `in_use`: it scores here, as its role says.

    `card` is None, and `problem` says why, where its file cannot be used.
    """

    digest: bytes
    role: ModelRole
    since_ns: int
    in_use: bool
    card: ModelCard | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two models by their digests, and what came of comparing them."""

    champion: bytes
    challenger: bytes
    result: Comparison


class Models:
    """Gives the institution's models their roles. All raise BezantError naming the outcome that refused."""

    def __init__(
        self,
        desk: Desk,
        payments: Payments,
        history: History,
        shelf: Shelf,
        lineup: Lineup,
        log: ScoreLog,
    ) -> None:
        self._desk, self._payments, self._history = desk, payments, history
        self._shelf, self._lineup, self._log = shelf, lineup, log

    @property
    def authority(self) -> AuthorityId:
        """Whose models they are."""
        return authority_id(self._desk.institution_key.public)

    def known(self) -> Sequence[ModelStanding]:
        """Return every model that has a role, the champion first."""
        known = [m for m in open_items.models(self._desk.engine.ledger) if m.authority == self.authority]
        return [self._standing(model) for model in sorted(known, key=lambda model: -model.role)]

    def history(self) -> Sequence[ModelChange]:
        """Return every role that was given, oldest first. Raises: Overloaded; StorageError ``no_store``."""
        return self._history.model_changes(self.authority)

    def find(self, text: str) -> bytes:
        """Return the digest that a text is or begins; raises as `resolve` does."""
        known = [model.digest for model in open_items.models(self._desk.engine.ledger)]
        return resolve(text, known + self._shelf.digests())

    def named(self, name: bytes) -> Model | None:
        """Return the model that a decision names, None where rules decided. Raises: ModelError."""
        champion = self._lineup.champion
        if champion is not None and champion.name == name:
            return champion
        return self._shelf.find(name) if any(name) else None

    def set_role(self, digest: bytes, role: ModelRole) -> None:
        """Give a model a role, and return once this node has taken it up.

        Raises: ModelError where its file is not here or of no use, unless it is to be retired.
        """
        if role is not ModelRole.RETIRED:
            self._shelf.load(digest)
        record = commands.set_model(self._desk.now_ms(), self.authority, digest, role)
        answers = self._desk.carry_out(record, f"make it {role.name.lower()}")
        self._settle(answers.height)

    def roll_back(self, identity: PaymentId) -> tuple[Answered, bool]:
        """Make the champion before this one champion again; return the answer, and whether it was before.

        `identity` is the id of the SET_MODEL. Raises: ConflictError ``no_earlier_champion``,
        ``idempotency_key_reused``; ModelError where its file is of no use.
        """
        before = self._payments.before(identity)
        if before is not None:
            if before.record["kind"] != Kind.SET_MODEL or before.record["amount"] != ModelRole.CHAMPION:
                raise used_otherwise()
            if before.outcome.refused:
                raise refused(before.outcome)
            return before, True
        digest = self._earlier_champion()
        self._shelf.load(digest)
        record = commands.set_model(0, self.authority, digest, ModelRole.CHAMPION, identity)
        answered = self._payments.carry_out(record, self._desk.institution_key)
        self._settle(answered.height)
        return answered, False

    def compare(self, budget: float) -> Compared:
        """Return how the challenger compares with the champion where each may alert on a share of payments.

        Raises: ConflictError ``no_challenger``; Overloaded, StorageError ``no_store`` for want of labels.
        """
        champion, challenger = self._lineup.champion, self._lineup.challenger
        if champion is None or challenger is None:
            raise ConflictError(
                "it takes a champion and a challenger that are both in use: bezant models challenge DIGEST",
                code="no_challenger",
            )
        rows = self._log.rows(champion, challenger)
        found = compare(
            rows["champion_ppm"],
            rows["challenger_ppm"],
            rows["weight"],
            mark(rows, self._history.known_labels(MOST_LABELS)),
            budget,
        )
        return Compared(champion.digest, challenger.digest, found)

    def adopt_waiting(self) -> None:
        """Register and promote the model that waits for this start, if one does.

        One that was trained for other features than these, by another version, goes on waiting, and rules
        decide unless there is a champion. Raises: ModelError where it is altered or no model.
        """
        waiting = self._shelf.waiting
        if not waiting.exists():
            return
        try:
            model = self._shelf.add(waiting)
        except ModelError as error:
            if error.code != "model_features":
                raise
            self._lineup.problems = {ModelRole.CHAMPION: error.message, **self._lineup.problems}
            return
        roles = {standing.digest: standing.role for standing in self.known()}
        if model.digest not in roles:
            self.set_role(model.digest, ModelRole.REGISTERED)
        if roles.get(model.digest) is not ModelRole.CHAMPION:
            self.set_role(model.digest, ModelRole.CHAMPION)
        waiting.unlink()

    def _earlier_champion(self) -> bytes:
        """Return the last champion that is not the one now and still has a role."""
        roles = {standing.digest: standing.role for standing in self.known()}
        for change in reversed(self.history()):
            if change.role is ModelRole.CHAMPION and roles.get(change.digest) not in (
                None,
                ModelRole.CHAMPION,
            ):
                return change.digest
        raise ConflictError(
            "no model was champion before and can be again; promote one by its digest",
            code="no_earlier_champion",
        )

    def _settle(self, height: int) -> None:
        if not self._lineup.settle(height, PATIENCE_S):
            raise UnknownOutcome("it is ordered, and this node has not taken it up yet; ask for the list")

    def _standing(self, model: open_items.KnownModel) -> ModelStanding:
        loaded = (self._lineup.champion, self._lineup.challenger)
        in_use = any(one is not None and one.digest == model.digest for one in loaded)
        card, problem = None, ""
        try:
            card = self._shelf.load(model.digest).card
        except ModelError as error:
            problem = error.message
        return ModelStanding(model.digest, model.role, model.since_ns, in_use, card, problem)
