"""The composition root: the one file that wires everything.

data folder ─ keys, genesis, configuration
     │
vault ─ features ─ model ─ engine (replays its journal; features learn on the way)
     │
flow of eight stages ─ intake ─ gateway (accounts, payments, history)
     │
store follows the committed blocks ─ webhooks deliver from its outbox
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.chain.checkpoints import parse_witness
from bezant.chain.clock import Clock, SystemClock
from bezant.chain.engines import open_engine
from bezant.chain.notary import Notary
from bezant.chain.signatures import Signatures
from bezant.chain.storage.snapshots import Arrays
from bezant.config import Config, load_config
from bezant.errors import ConfigError, InvariantViolation, Overloaded, StorageError, UnknownOutcome
from bezant.folder import DataFolder
from bezant.gateway import commands
from bezant.gateway.accounts import Accounts
from bezant.gateway.cases import Cases
from bezant.gateway.controls import Controls
from bezant.gateway.desk import Desk
from bezant.gateway.governance import Governance
from bezant.gateway.history import History
from bezant.gateway.holds import Holds
from bezant.gateway.labels import Labels
from bezant.gateway.lineup import Lineup
from bezant.gateway.links import Linker
from bezant.gateway.mandates import Mandates
from bezant.gateway.models import Models
from bezant.gateway.payments import Payments
from bezant.gateway.read_model import ReadModel, rebuild
from bezant.gateway.refunds import Refunds
from bezant.gateway.screening import Screening
from bezant.gateway.votes import Votes
from bezant.gateway.webhooks import Webhooks
from bezant.intelligence.alerts import AlertBudget, open_counts
from bezant.intelligence.challenge import Challenge
from bezant.intelligence.costs import read_costs
from bezant.intelligence.drift import DriftLog, DriftWatch
from bezant.intelligence.features import FeatureState
from bezant.intelligence.health import Pulse
from bezant.intelligence.learning import learn_block
from bezant.intelligence.model import Model
from bezant.intelligence.rulebook import Bookshelf, Rulebook, read_rulebook
from bezant.intelligence.score_log import ScoreLog
from bezant.intelligence.shelf import Shelf
from bezant.intelligence.watchlist import Thresholds, Watchlist
from bezant.model.genesis import network_id
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome
from bezant.pipeline.batch import PaymentBatch
from bezant.pipeline.flow import STAGES, Flow
from bezant.pipeline.intake import Intake
from bezant.pipeline.latency import LatencyWatch
from bezant.pipeline.observer import Observer
from bezant.pipeline.stage import Stage
from bezant.stages.instruments import Instruments
from bezant.stages.loading import load_stage
from bezant.stages.policy import read_policy
from bezant.stages.resources import PartyColumns, Resources
from bezant.store import Follower, IdempotencyKeys, Lag, Store
from bezant.vault import Vault

Progress = Callable[[str, int], None]
"""Hears what is being done and how far it is; for progress bars."""
THREADS = 2
AGAIN_S = 0.2
"""Seconds after which a network that takes nothing yet is asked again."""
KEYS_KEPT_NS = 30 * 86_400 * 1_000_000_000
"""How long an Idempotency-Key that is no UUIDv7 is remembered, at least."""


def _silent(doing: str, done: int) -> None:
    return None


class Node:
    """An open node, on whichever engine its genesis names. Close it, or use it as a context manager."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        with_store: bool = True,
        progress: Progress = _silent,
    ) -> None:
        """Open the data folder, replay the journal, and be ready to take payments.

        Raises: ConfigError, StorageError, JournalDamaged, VaultError, ModelError.
        """
        with ExitStack() as opened:
            self._open(path, opened, clock, with_store, progress)
            self._opened = opened.pop_all()

    def _open(
        self, path: Path, opened: ExitStack, clock: Clock | None, with_store: bool, progress: Progress
    ) -> None:
        """Open part after part; `opened` closes them in the opposite order, now if one fails."""
        self.folder = DataFolder(path)
        opened.callback(self.folder.close)
        self.config: Config = load_config(path)
        genesis = self.folder.genesis
        self.started_ns = time.time_ns()
        clock = clock or SystemClock()
        keys = self.folder.keys
        executor = opened.enter_context(ThreadPoolExecutor(THREADS - 1, thread_name_prefix="verify"))
        if self.folder.lost_its_vault:
            raise StorageError(
                f"{path} has a chain and no vault: who its accounts belong to would be forgotten, and the "
                "numbers of its parties given to others. Restore vault/ and keys/vault.key from a backup",
                code="vault_missing",
            )
        self.vault = Vault.open(path)
        opened.callback(self.vault.close)
        self.features = FeatureState()
        self.instruments = Instruments(self.vault, keys.blinding)
        self.instruments.replaying = True
        self.scales = np.array([0, *(asset.scale for asset in genesis.assets)], np.int64)
        self.engine = open_engine(
            self.folder,
            self.config.chain,
            clock,
            self.vault.sync,
            signatures=Signatures(network_id(genesis), executor, THREADS, remembers=bool(genesis.validators)),
            on_applied=self._learn,
            dump_companions=self._dump_features,
            load_companions=self._load_features,
            progress=lambda height: progress("replay the journal", height),
        )
        opened.callback(self.engine.close)
        self.instruments.replaying = False
        shelf = Shelf(self.folder.models)
        institution = authority_id(keys.institution.public)
        self.lineup = Lineup(self.engine.ledger, institution, shelf, self._install_models)
        opened.callback(self.lineup.close)
        self.engine.subscribe(self.lineup.follow)
        self.score_log = ScoreLog(self.folder.score_log)
        opened.callback(self.score_log.close)
        self.challenge = Challenge(self.score_log)
        self.challenge.challenger = self.lineup.challenger
        self.drift = DriftLog(clock.now_ns)
        self.drift_watch = DriftWatch(lambda: self.lineup.champion, self.drift, self.folder.drift_memory)
        self.engine.subscribe(self.drift_watch.follow)
        pulse = Pulse(lambda: self.lineup.champion, self.lineup.suspend)
        self.latency = LatencyWatch(lambda: self.flow.telemetry, self._on_slower)
        self.observer = Observer(
            [self.challenge.look, pulse.look, self.drift_watch.look], [self.latency.sample]
        )
        self.parties = PartyColumns()
        self.read_model: ReadModel | None = None
        costs = read_costs(self.config.costs)
        self.books = Bookshelf(self.folder.models, genesis.assets)
        resources = Resources(
            engine=self.engine,
            vault=self.vault,
            gateway_key=keys.gateway,
            features=self.features,
            policy=read_policy(self.config.policy),
            costs=costs,
            alerts=None if costs is None else self._alert_budget(costs.alerts_per_day, clock),
            now_ns=clock.now_ns,
            announce=self._announce,
            scales=self.scales,
            instruments=self.instruments,
            model=self.lineup.champion,
            rulebook=self._read_rules(self.config),
            parties=self.parties,
            store_lag=self._store_lag,
            max_store_lag_payments=self.config.store.max_lag_payments,
            sealed=self._remember,
            observe=self.observer.offer,
            executor=executor,
        )
        self.resources = resources
        self._implementations = {name: getattr(self.config.pipeline, name) for name in STAGES}
        self._replacing = threading.Lock()
        budgets = self.config.pipeline.budget_factor
        self.flow = Flow({name: self._build(name) for name in STAGES}, budgets, self.engine.still)
        self.observer.start()
        opened.callback(self.observer.close)
        self.intake = Intake(
            self.flow, clock.now_ns, self.engine.durable_height, self.engine.pace, self.engine.commit
        )
        opened.callback(self.intake.close)
        self.engine.subscribe(self.intake.on_durable)
        self.engine.watch_failure(self.intake.on_failure)
        self.notary = Notary(
            self.engine,
            self.folder.chain / "checkpoints",
            [parse_witness(key) for key in self.config.witnesses.keys],
            self.config.witnesses.quorum,
        )
        self.desk = Desk(
            engine=self.engine,
            vault=self.vault,
            intake=self.intake,
            screening=_screening(self.config, path),
            parties=self.parties,
            institution_key=keys.institution,
            gateway_key=keys.gateway,
            institution=self.folder.institution,
            notary=self.notary,
            now_ns=clock.now_ns,
            delegate_cap=self.config.delegate_cap_minor,
        )
        self.accounts = Accounts(self.desk)
        self.payments = Payments(self.desk, self.accounts)
        self.idempotency = IdempotencyKeys.open(self.config.store.url or self.folder.idempotency_url)
        opened.callback(self.idempotency.close)
        self.idempotency.prune(clock.now_ns() - KEYS_KEPT_NS)
        if with_store and self.config.store.follow:
            self.read_model = ReadModel(
                *self._read_model_place, allow_private=self.config.webhooks.allow_private
            )
            opened.callback(self.read_model.close)
            self.read_model.tell_of(self.drift)
            # Drift in the last payments is found while somebody is still there to be told, and the last they
            # are once nothing comes in any more.
            opened.callback(self.observer.look)
            opened.callback(self.intake.close)
        self.history = History(self.desk, self.payments, self.store, self.follower)
        self.holds = Holds(self.desk, self.payments, self.history)
        self.refunds = Refunds(self.desk, self.payments, self.history)
        self.labels = Labels(self.desk, self.payments, self.history)
        self.cases = Cases(self.desk, self.payments, self.history, self.holds, self.labels)
        self.links = Linker(self.history, self.instruments.sightings)
        self.mandates = Mandates(self.desk, self.accounts, self.payments)
        self.votes = Votes(self.desk, self.payments)
        self.governance = Governance(self.desk, self.payments, self.history)
        self.controls = Controls(self.desk, self.accounts, self.payments)
        self.models = Models(self.desk, self.payments, self.history, shelf, self.lineup, self.score_log)
        # Before the store follows: what it has projected tells which bindings it was told.
        self.accounts.load_bindings(tell_from=None if self.store is None else self.store.accounts)
        if self.read_model is not None:
            self.cases.on_escalated = self.read_model.store.note_escalations
            self.cases.load_escalations()
            self.read_model.start()
        self.engine.start()
        self._register_gateway()
        self.models.adopt_waiting()

    def replace_stage(self, name: str, implementation: str) -> int:
        """Swap one stage while payments flow; return the new pipeline generation.

        What it declares of itself is checked; the conformance suite is for its author's tests, because
        running a candidate beside live payments could have effects. Raises: ConfigError.
        """
        with self._replacing:
            generation = self.flow.replace(load_stage(name, implementation, self.resources))
            self._implementations[name] = implementation
            return generation

    @property
    def model(self) -> Model | None:
        """The champion, None where rules decide."""
        return self.resources.model

    @property
    def store(self) -> Store | None:
        return None if self.read_model is None else self.read_model.store

    @property
    def follower(self) -> Follower | None:
        return None if self.read_model is None else self.read_model.follower

    @property
    def webhooks(self) -> Webhooks | None:
        return None if self.read_model is None else self.read_model.webhooks

    def reload_watchlist(self) -> list[int]:
        """Read the watchlist that the configuration names now; return the parties it judges otherwise.

        Raises: ConfigError, DecodeError for a list that cannot be read; then the old one stays.
        """
        path = self.folder.path
        return self.accounts.rescreen(lambda: _screening(load_config(path), path).watchlist)

    def reload_rules(self) -> Rulebook:
        """Have the rules that the configuration names now be asked from the next batch on; return them.

        Raises: ConfigError naming the rule that cannot be read; then the old ones stay.
        """
        book = self._read_rules(load_config(self.folder.path))
        with self._replacing:
            self.resources.rulebook = book
            self.flow.replace(self._build("decide"))
        return book

    def rebuild_store(self, progress: Progress = _silent) -> int:
        """Empty the read model and project every durable block again; return the height it reached.

        For a node that was opened without its store. What was told to webhooks is not told again.
        """
        if self.store is not None:
            raise ConfigError("the store is in use; open the node without it to rebuild", code="store_in_use")
        place = self._read_model_place
        return rebuild(*place, self.accounts, lambda height: progress("project", height))

    def close(self) -> None:
        """Finish what was accepted, then stop; safe to call twice."""
        self._opened.close()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Wiring.

    def _build(self, name: str) -> Stage:
        return load_stage(name, self._implementations[name], self.resources)

    def _install_models(self, champion: Model | None, challenger: Model | None) -> None:
        """Have a champion score and its thresholds decide from the next batch on."""
        self.challenge.challenger = challenger
        with self._replacing:
            self.resources.model = champion
            self.flow.replace(*(self._build(name) for name in ("score", "decide")))

    def _read_rules(self, config: Config) -> Rulebook:
        """Return the rules of a configuration, kept by their name for whoever computes a decision again."""
        book = read_rulebook(config.rules, self.folder.path, self.folder.genesis.assets)
        self.books.keep(book)
        return book

    def _alert_budget(self, per_day: int, clock: Clock) -> AlertBudget | None:
        """Return the budget of reviews, with what the last run counted; None where there is no bound."""
        if not per_day:
            return None
        return AlertBudget(per_day, open_counts(self.folder.alert_counts, clock.now_ns()))

    def _on_slower(self, stage: str, before_us: float, after_us: float) -> None:
        self.drift.tell("stage.drift", stage, "adwin", round(before_us, 1), round(after_us, 1))

    def _learn(self, block: CommittedBlock) -> None:
        learn_block(self.features, block, self.scales, self.instruments)

    def _dump_features(self) -> Arrays:
        return self.features.dump()

    def _load_features(self, arrays: Arrays) -> None:
        self.features = FeatureState.load(dict(arrays))

    def _announce(self, batch: PaymentBatch) -> None:
        self.intake.announce(batch)

    def _remember(self, end_to_end_ids: Mapping[int, str]) -> None:
        if self.read_model is not None:
            self.read_model.remember(end_to_end_ids)

    def _store_lag(self) -> Lag:
        return Lag() if self.read_model is None else self.read_model.lag

    @property
    def _read_model_place(self) -> tuple[str, bytes, Desk, Payments]:
        """What a read model is opened with: where, its secret, and whose it is."""
        url = self.config.store.url or self.folder.store_url
        return url, self.folder.keys.blinding, self.desk, self.payments

    def _register_gateway(self) -> None:
        """Make the gateway's key an authority of the ledger, so that holders can give it mandates.

        However long it takes: the first record of all is what the ledger is compiled for, and on a network
        enough validators have to be there.
        """
        key = self.desk.gateway_key.public
        while not self.engine.ledger.is_registered(authority_id(key)):
            submission = self.desk.sign(
                commands.register_authority(self.desk.now_ms(), key), self.desk.institution_key
            )
            try:
                answers = self.intake.call(submission, timeout_s=None)
            except (Overloaded, UnknownOutcome):
                time.sleep(AGAIN_S)
                continue
            if answers.first not in (Outcome.APPLIED, Outcome.AUTHORITY_EXISTS):
                raise InvariantViolation(f"the gateway's key was not registered: {answers.first.label}")


def _screening(config: Config, folder: Path) -> Screening:
    thresholds = Thresholds(config.screening.review_at, config.screening.block_at)
    if not config.screening.list:
        return Screening(Watchlist.empty(), thresholds)
    return Screening(Watchlist.load(folder / config.screening.list), thresholds)
