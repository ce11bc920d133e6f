"""Which models score: those that the ledger names, loaded, and changed over while payments flow."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bezant.chain.blocks import CommittedBlock
from bezant.errors import BezantError, ModelError
from bezant.intelligence.model import Model
from bezant.intelligence.shelf import Shelf
from bezant.ledger import open_items
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.identifiers import AuthorityId
from bezant.model.records import Kind, ModelRole, of_kind

Install = Callable[[Model | None, Model | None], None]
"""Puts a champion and a challenger in place; None: rules decide, nobody challenges."""


class Lineup:
    """Follows the roles of an authority's models; a thread of its own loads files and puts them in place.

    A model whose file is missing, altered or unfit is none: without a champion rules decide.
    """

    def __init__(
        self, ledger: ColumnarLedger, authority: AuthorityId, shelf: Shelf, install: Install
    ) -> None:
        """Load what the ledger names now, without installing it: whoever makes the stages asks for it."""
        self._ledger, self._authority, self._shelf, self._install = ledger, authority, shelf, install
        self._placing = threading.Lock()
        lock = threading.Lock()
        # Apart, so that a block that says nothing of models does not wake the thread that loads them.
        self._to_do, self._followed = threading.Condition(lock), threading.Condition(lock)
        self._height = self._asked = self._done = 0
        self._closing = False
        self.champion: Model | None = None
        self.challenger: Model | None = None
        self.problems: dict[ModelRole, str] = {}
        """Why the model of a role is not in place, where the ledger names one."""
        self._load()
        self._thread = threading.Thread(target=self._work, name="models", daemon=True)
        self._thread.start()

    def follow(self, block: CommittedBlock) -> None:
        """Hear of a durable block; subscriber of the engine."""
        with self._followed:
            self._height = block.height
            if of_kind(block.records, Kind.SET_MODEL).any():
                self._asked = block.height
                self._to_do.notify()
            self._followed.notify_all()

    def settle(self, height: int, timeout_s: float) -> bool:
        """Wait until what the blocks up to a height say of models is in place; return whether it is."""
        with self._followed:
            return self._followed.wait_for(
                lambda: self._height >= height and self._done >= min(self._asked, height), timeout_s
            )

    def suspend(self, name: bytes, why: str) -> None:
        """Let rules decide, if the champion is the model of that name; until a role is given anew."""
        with self._placing:
            if self.champion is None or self.champion.name != name:
                return
            self.champion = None
            self.problems = {**self.problems, ModelRole.CHAMPION: f"model {name.hex()} is suspended: {why}"}
            self._install(None, self.challenger)

    def close(self) -> None:
        with self._to_do:
            self._closing = True
            self._to_do.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._to_do:
                self._to_do.wait_for(lambda: self._closing or self._asked > self._done)
                if self._closing:
                    return
                asked = self._asked
            with self._placing:
                before = self.champion, self.challenger
                self._load()
                if (self.champion, self.challenger) != before:
                    self._place()
            with self._followed:
                self._done = asked
                self._followed.notify_all()

    def _place(self) -> None:
        try:
            self._install(self.champion, self.challenger)
        except BezantError as error:
            self.problems[ModelRole.CHAMPION] = error.message

    def _load(self) -> None:
        known = {model.digest: model for model in (self.champion, self.challenger) if model is not None}
        roles = {
            model.role: model.digest
            for model in open_items.models(self._ledger)
            if model.authority == self._authority
        }
        problems: dict[ModelRole, str] = {}
        found: dict[ModelRole, Model | None] = {}
        for role in (ModelRole.CHAMPION, ModelRole.CHALLENGER):
            digest = roles.get(role)
            found[role] = None if digest is None else known.get(digest)
            if digest is not None and found[role] is None:
                try:
                    found[role] = self._shelf.load(digest)
                except ModelError as error:
                    problems[role] = error.message
        self.champion, self.challenger = found[ModelRole.CHAMPION], found[ModelRole.CHALLENGER]
        self.problems = problems
