"""What a validator does when CometBFT asks: a deterministic state machine over blocks of Orders.

    check        may an Order into the mempool: readable, signed by a gateway; its payers' signatures are
                 verified here, so that the block finds them verified
    prepare      which Orders to propose, see `lanes`
    process      is a proposal acceptable: readable, signed by gateways, within its lanes
    finalize     apply the decided block in memory, and say what the state hashes to
    commit       keep it: the journal is synced here and nowhere else

Nothing depends on this machine's clock, and nothing on what it has in its mempool. A block's time is that
of its header. Whatever is wrong beyond a bad Order raises: CometBFT is told, and stops.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, assert_never

import numpy as np

from bezant.chain.cometbft import answers, home, lanes, offering, peers, voters
from bezant.chain.cometbft.messages import (
    ApplyChunk,
    CheckTx,
    Commit,
    Echo,
    FinalizeBlock,
    Flush,
    Info,
    InitChain,
    ListSnapshots,
    LoadChunk,
    OfferSnapshot,
    PrepareProposal,
    ProcessProposal,
    Query,
    Request,
    Unused,
)
from bezant.chain.cometbft.orders import KnownOrder, KnownOrders
from bezant.chain.finality import chain_id
from bezant.chain.storage.chain import StoredChain
from bezant.chain.storage.writer import Applied
from bezant.errors import ConfigError, DecodeError, NotFound, StorageError
from bezant.model.digest import Digests, sha256
from bezant.model.orders import signed_roots

NAME, VERSION = "bezant", "1"
_LOG = logging.getLogger("bezant.cometbft")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where in its block an Order's records are: rows `start` to `stop` of those that are answered."""

    name: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Decided:
    """A block that was applied and is not kept yet, and what CometBFT was told of it."""

    block_hash: bytes
    applied: Applied
    placed: tuple[Placed, ...]
    answer: bytes


class OwnOrders(Protocol):
    """What this node's gateway sends, as far as proposals have to do with it."""

    def offer(self, height: int) -> Sequence[bytes]:
        """Return the Orders that wait for this node to propose this block."""
        ...

    def proposed(self, names: Iterable[bytes]) -> None:
        """Note what is in a proposal that this node accepts."""
        ...


class Application:
    """Answers CometBFT; asked by one thread at a time."""

    def __init__(
        self,
        chain: StoredChain,
        orders: KnownOrders,
        on_kept: Callable[[Decided], None],
        refuses: Callable[[str], bool] = lambda peer: False,
        retain: Callable[[StoredChain], int] = lambda chain: 0,
        own: OwnOrders | None = None,
    ) -> None:
        """`on_kept` hears of every block once it is durable and its subscribers were told; `refuses` says
        which peers, by their ids, CometBFT is not to talk to; `retain` from which block on it has to keep
        them, 0: all; `own` has the Orders of this node that wait for its turn to propose."""
        self._own = own
        self._chain, self._orders, self._on_kept = chain, orders, on_kept
        self._refuses, self._retain = refuses, retain
        self._kept_height = chain.durable_height
        self.judged_height = 0
        """Of the last proposal that this node was asked about: it takes part in that block."""
        self._decided: Decided | None = None
        self._broken: Exception | None = None
        """What broke off applying or keeping a block: of that one, memory or the journal may hold half."""

    def __call__(self, request: Request) -> bytes:
        if self._broken is not None:
            raise StorageError(
                f"this node broke off within block {self._kept_height + 1} ({self._broken!r}) and answers "
                "nothing on half of it; restart it, which takes back what was not committed",
                code="block_broken_off",
            )
        match request:
            case CheckTx():
                return self._check(request)
            case FinalizeBlock():
                return self._finalize(request)
            case Commit():
                return self._commit()
            case ProcessProposal():
                return self._process(request)
            case PrepareProposal():
                return self._prepare(request)
            case Info():
                return self._info()
            case InitChain():
                return self._begin(request)
            case Query():
                return self._query(request)
            case ListSnapshots():
                return answers.list_snapshots(offering.described(self._chain.offers.all()))
            case LoadChunk():
                return answers.load_chunk(offering.chunk_of(self._chain.offers, request))
            case OfferSnapshot():
                return answers.offer_snapshot(self._offered(request))
            case ApplyChunk():
                # Of the very snapshot that is here, or CometBFT would not ask: nothing in it is read.
                return answers.apply_chunk(answers.Chunk.ACCEPT)
            case Echo() | Flush() | Unused():
                raise StorageError("this is answered without the application", code="abci_misled")
            case _:
                assert_never(request)

    # The mempool.

    def _check(self, request: CheckTx) -> bytes:
        if len(request.order) > lanes.MAX_ORDER_BYTES:
            return answers.check_tx(
                answers.REFUSED,
                f"an Order of {len(request.order)} bytes fits into no block: {lanes.MAX_ORDER_BYTES} at most",
            )
        try:
            known = self._orders.read(request.order)
        except DecodeError as error:
            return answers.check_tx(answers.REFUSED, error.message)
        if not known.accepted:
            return answers.check_tx(answers.REFUSED, "it is not signed by a gateway of the genesis")
        if not known.in_form:
            return answers.check_tx(answers.REFUSED, "it is not packed, and would be shorter")
        if not request.recheck:
            covering = known.order.authorisations
            self._chain.signatures.check(self._chain.ledger, covering, signed_roots(covering, known.hashes))
        return answers.check_tx(answers.OK)

    # Proposals.

    def _prepare(self, request: PrepareProposal) -> bytes:
        """Propose what the mempool has, which is older, and what waits for just this."""
        own = self._own.offer(request.height) if self._own is not None else ()
        return answers.prepare_proposal(
            lanes.choose(self._orders, (*request.orders, *own), request.max_bytes)
        )

    def _process(self, request: ProcessProposal) -> bytes:
        self.judged_height = request.height
        why = lanes.problem(self._orders, request.orders)
        if why:
            _LOG.warning("the proposal for block %d is refused: %s", request.height, why)
        elif self._own is not None:
            self._own.proposed(map(sha256, request.orders))
        return answers.process_proposal(not why)

    # Blocks.

    def _finalize(self, request: FinalizeBlock) -> bytes:
        decided, chain = self._decided, self._chain
        if decided is not None:
            if (request.height, request.block_hash) != (chain.height, decided.block_hash):
                raise StorageError(
                    f"block {chain.height} was applied and another one is asked for; restart the node, which "
                    "takes back what was not committed",
                    code="block_out_of_turn",
                )
            return decided.answer
        if request.height != chain.height + 1:
            raise StorageError(
                f"CometBFT decided block {request.height}, and this node is at {chain.height}: their data do "
                "not belong together. Restore both from one backup",
                code="block_out_of_turn",
            )
        known, codes = self._readable(request.orders)
        composed = chain.compose(
            [one.order for one in known],
            request.time_ns,
            _joined([one.hashes for one in known]),
            accepted=[one.accepted for one in known],
            faults=voters.faults_in(request, chain.ledger),
        )
        before = voters.powers(chain.ledger)
        with chain.still, self._whole():
            applied = chain.apply(composed)
        changes = (
            voters.updates(before, voters.powers(chain.ledger)) if voters.may_change(applied.block) else ()
        )
        answer = answers.finalize_block(codes, applied.block.app_hash, changes)
        self._decided = Decided(request.block_hash, applied, _placed(known), answer)
        return answer

    def _readable(self, orders: Sequence[bytes]) -> tuple[list[KnownOrder], list[int]]:
        """Return the Orders that can be read, and a code for each of all; no honest validator lets others
        into a block."""
        known: list[KnownOrder] = []
        codes: list[int] = []
        for data in orders:
            try:
                known.append(self._orders.read(data))
                codes.append(answers.OK)
            except DecodeError:
                codes.append(answers.REFUSED)
        return known, codes

    def _commit(self) -> bytes:
        decided = self._decided
        if decided is None:
            raise StorageError("there is no decided block to commit", code="block_out_of_turn")
        with self._whole():
            self._chain.keep(decided.applied)
        self._decided, self._kept_height = None, decided.applied.block.height
        for place in decided.placed:
            self._orders.forget(place.name)
        self._on_kept(decided)
        return answers.commit(self._retain(self._chain))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Do all of something or nothing any more."""
        try:
            yield
        except Exception as error:
            self._broken = error
            raise

    # Beginnings, and questions.

    def _begin(self, request: InitChain) -> bytes:
        genesis, expected = self._chain.genesis, chain_id(self._chain.network)
        first = home.first_height(genesis)
        theirs = {(one.key.hex(), one.power) for one in request.validators}
        ours = {(one.key, one.power) for one in genesis.validators}
        if request.chain_id != expected or theirs != ours or request.initial_height != first:
            raise ConfigError(
                f"the genesis of CometBFT is of chain {request.chain_id[:50]} with {len(theirs)} validators, "
                f"and genesis.json of this node of {expected} with {len(genesis.validators)}, from block "
                f"{first} on: make both from the same genesis.json",
                code="genesis_differs",
            )
        return answers.init_chain(self._kept_app_hash())

    def _info(self) -> bytes:
        """Say where this node is. What a network goes on from CometBFT did not decide: it begins then."""
        origin = self._chain.genesis.origin
        if origin is not None and self._kept_height == origin.height:
            return answers.info(NAME, VERSION, 0, b"")
        return answers.info(NAME, VERSION, self._kept_height, self._kept_app_hash())

    def _offered(self, request: OfferSnapshot) -> answers.Offered:
        """Accept the snapshot that this chain began at, and no block followed: CometBFT ended before it noted
        that. Its light client vouches for the app hash, which is the one here."""
        chain, height = self._chain, request.snapshot.height
        if 0 < height == chain.begins_behind == chain.height and request.app_hash == self._kept_app_hash():
            return answers.Offered.ACCEPT
        _LOG.warning(
            "a snapshot at block %d is refused: the chain here is at block %d, and begins behind %d. If "
            "CometBFT finds no other, begin anew with: bezant network resync --snapshot",
            height,
            chain.height,
            chain.begins_behind,
        )
        return answers.Offered.REJECT

    def _kept_app_hash(self) -> bytes:
        return self._chain.app_hash_at(self._kept_height) if self._kept_height else bytes(32)

    def _query(self, request: Query) -> bytes:
        """Answer ``/block``: what this node has of a durable block, 0 for the last, as JSON; and which peers
        may be talked to."""
        if request.path.startswith(peers.BY_ID) and self._refuses(request.path.removeprefix(peers.BY_ID)):
            return answers.query(answers.REFUSED, b"", 0, "this node is cut off from that peer")
        if request.path.startswith((peers.BY_ID, peers.BY_ADDRESS)):
            return answers.query(answers.OK, b"", 0)
        if request.path != "/block":
            return answers.query(answers.REFUSED, b"", 0, "only /block is known here")
        try:
            height = request.height or self._kept_height
            covered = self._chain.state_root_in(height)
            told = {
                "height": height,
                "app_hash": self._chain.app_hash_at(height).hex(),
                "state_height": covered.height if covered else 0,
                "state_root": covered.root.hex() if covered else "",
            }
        except NotFound as error:
            return answers.query(answers.REFUSED, b"", 0, error.message)
        return answers.query(answers.OK, json.dumps(told).encode(), height)


def _placed(known: Sequence[KnownOrder]) -> tuple[Placed, ...]:
    places, start = [], 0
    for one in known:
        places.append(Placed(one.name, start, start + len(one.order)))
        start += len(one.order)
    return tuple(places)


def _joined(hashes: Sequence[Digests]) -> Digests:
    return np.concatenate(hashes) if hashes else np.zeros((0, 32), np.uint8)
