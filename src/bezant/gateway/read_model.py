"""The read model of a node: a store that follows the durable blocks, and webhooks out of its outbox.

::

    durable block ─ follower ─ store ─ lists, statements, the queue of reviews
                                 └── outbox ─ webhooks

It can be lost and made anew from the chain and the vault at any time; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from bezant.chain.blocks import CommittedBlock
from bezant.chain.engine import Engine
from bezant.chain.storage.base import Opening
from bezant.errors import StorageError
from bezant.gateway.accounts import Accounts
from bezant.gateway.desk import Desk
from bezant.gateway.events import PaymentEvents
from bezant.gateway.payments import Payments
from bezant.gateway.webhooks import Webhooks
from bezant.intelligence.drift import DriftLog
from bezant.model.digest import TAG_STORE, sha256
from bezant.model.identifiers import join
from bezant.store import Endpoints, Follower, Lag, Store


class ReadModel:
    """Open from the start; it follows from `start` on. Close it."""

    def __init__(
        self, url: str, blinding: bytes, desk: Desk, payments: Payments, *, allow_private: bool
    ) -> None:
        """`url` is of the database, `blinding` the secret that its keys come from; `allow_private`: webhooks
        may go to private addresses. Raises: StorageError, also for a store of another chain."""
        engine = desk.engine
        self._engine = engine
        self._at_hand: dict[int, str] = {}
        with ExitStack() as opened:
            self.store, endpoints = _open_store(url, blinding, desk, payments, opened)
            _check_chain_of(self.store, engine)
            opening = _opening(engine) if self.store.height < engine.first_height - 1 else None
            if opening is not None:
                self.store.begin(opening)
            self.webhooks = Webhooks(endpoints, self.store.outbox, allow_private=allow_private)
            opened.callback(self.webhooks.close)
            durable = engine.durable_height
            self.follower = Follower(
                self.store,
                engine.blocks_from,
                durable_height=durable,
                durable_receipts=engine.receipts_until(durable),
                now_ns=desk.now_ns,
            )
            opened.callback(self.follower.close)
            self._opened = opened.pop_all()

    def start(self) -> None:
        """Follow the chain, and deliver."""
        self.webhooks.start()
        self._engine.subscribe(self._follow)
        self.follower.start()

    def close(self) -> None:
        self._opened.close()

    def tell_of(self, drift: DriftLog) -> None:
        """Have webhooks told of drift, too."""
        drift.listeners.append(lambda event: self.webhooks.tell(event, self._engine.durable_height))

    def remember(self, texts: Mapping[int, str]) -> None:
        """Keep the end-to-end ids of payments that were just sealed, until their block is followed."""
        self._at_hand.update(texts)

    @property
    def lag(self) -> Lag:
        return self.follower.lag

    def _follow(self, block: CommittedBlock) -> None:
        """Hand a durable block to the store, with the end-to-end ids that are still at hand."""
        known: dict[int, str] | None = None
        if self._at_hand:
            ids = zip(block.records["id_lo"].tolist(), block.records["id_hi"].tolist(), strict=True)
            found = (join(low, high) for low, high in ids)
            known = {id_: self._at_hand.pop(id_) for id_ in found if id_ in self._at_hand}
        self.follower.follow(block, known)


def rebuild(
    url: str,
    blinding: bytes,
    desk: Desk,
    payments: Payments,
    accounts: Accounts,
    progress: Callable[[int], None],
) -> int:
    """Empty a store and project every durable block again; return the height it reached.

    `progress` hears every height. What was told to webhooks is not told again.
    """
    engine = desk.engine

    def counted() -> Iterator[CommittedBlock]:
        for block in engine.blocks_from(engine.first_height):
            progress(block.height)
            yield block

    with ExitStack() as opened:
        store, _ = _open_store(url, blinding, desk, payments, opened)
        accounts.load_bindings(tell_from=0)
        store.rebuild(counted(), _opening(engine))
        return store.height


def _open_store(
    url: str, blinding: bytes, desk: Desk, payments: Payments, opened: ExitStack
) -> tuple[Store, Endpoints]:
    endpoints = Endpoints.open(url)
    opened.callback(endpoints.close)
    ledger = desk.engine.ledger
    events = PaymentEvents(desk.engine.genesis.assets, lambda: ledger.accounts, endpoints.all)
    store = Store.open(
        url, key=sha256(TAG_STORE, blinding), texts_of=payments.end_to_end_ids, events=events.rows
    )
    opened.callback(store.close)
    desk.on_bound, desk.on_erased = store.bind_parties, store.erase_party
    return store, endpoints


def _opening(engine: Engine) -> Opening | None:
    """Return what the store begins with where this node does not have the blocks from the first on."""
    return engine.opening() if engine.first_height > 1 else None


def _check_chain_of(store: Store, engine: Engine) -> None:
    """Refuse a store whose rows are not of the blocks of this chain. Raises: StorageError."""
    if not store.height:
        return
    known = store.height <= engine.durable_height
    if not known or engine.app_hash_at(store.height) != store.app_hash:
        raise StorageError(
            f"the read model is at block {store.height} of another chain, or of a journal that went "
            "further than this one. Name another database in [store] url, or make it anew: bezant store "
            "rebuild",
            code="store_of_another_chain",
        )
