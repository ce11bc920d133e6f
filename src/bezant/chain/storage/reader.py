"""Blocks read back from the chain's files, and what is proved from them."""

from __future__ import annotations

import threading

import numpy as np

from bezant.chain import history, leaves
from bezant.chain.anchors import SealedBlock
from bezant.chain.balances import AccountEvidence
from bezant.chain.blocks import AppHash, CommittedBlock, StateRoot
from bezant.chain.checkpoints import Checkpoint, Note, sign_checkpoint
from bezant.chain.receipts import Evidence
from bezant.chain.state_tree import state_blind
from bezant.chain.storage import frames
from bezant.chain.storage.columns import Columns, block_of, join_orders
from bezant.chain.storage.files import ChainFiles
from bezant.chain.storage.frames import JournaledBlock
from bezant.chain.storage.state_roots import AccountProof
from bezant.errors import NotFound
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import as_rows
from bezant.model.genesis import Genesis, network_id
from bezant.model.identifiers import AccountId, AuthorityId
from bezant.model.keys import SigningKey
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import cosigned
from bezant.model.records import RecordArray, id_of


class BlockReader:
    """Reads one chain's durable blocks, from any thread while blocks are written.

    `reading` is held by whoever appends to the archive or the history.
    """

    def __init__(
        self,
        files: ChainFiles,
        ledger: ColumnarLedger,
        node_key: SigningKey,
        ledger_seed: bytes,
        genesis: Genesis | None = None,
    ) -> None:
        """`genesis` is the one that the blocks were ordered under, where it is not the ledger's."""
        self.reading = threading.Lock()
        self._journal, self._archive, self._history = files.journal, files.archive, files.history
        self._genesis = genesis or ledger.genesis
        self._ledger, self._network = ledger, network_id(self._genesis)
        self._node_key, self._ledger_seed = node_key, ledger_seed

    def receipts_until(self, height: int) -> int:
        """Return how many receipts the blocks up to a durable height have."""
        with self.reading:
            return self._archive.rows_until(height) if height else 0

    def app_hash(self, height: int) -> bytes:
        """Return the app hash after a durable block. Raises: NotFound."""
        with self.reading:
            return self._archive.app_hash(height)

    def height_at(self, time_ns: int) -> int:
        """Return the last block of a time or before, 0 where there is none."""
        with self.reading:
            return self._archive.height_at(time_ns)

    def state_root_in(self, height: int) -> StateRoot | None:
        """Return the state root that a durable block covers, if it does. Raises: NotFound."""
        with self.reading:
            return self._archive.state_in(height)

    def load(self, height: int) -> CommittedBlock:
        """Return a durable block as its subscribers heard of it."""
        journaled, columns = self._ordered(height)
        with self.reading:
            receipts, app_hash = self._archive.receipts(height), self._archive.app_hash(height)
            state = self._archive.state_in(height)
        return block_of(journaled, columns, receipts, AppHash.known(app_hash), state)

    def payment(self, payment: int) -> Evidence:
        """Return what a receipt of a record is made of. Raises: NotFound."""
        with self.reading:
            place = self._archive.find(payment)
            if place is None or place.height > self._journal.durable_height:
                raise NotFound(f"no durable record has the id {payment:032x}", code="payment_unknown")
            return self._evidence(place.height, place.position)

    def account(self, account: AccountId, proof: AccountProof | None) -> AccountEvidence:
        """Return what a proof of a balance is made of. Raises: NotFound ``account_not_covered``."""
        with self.reading:
            covered = self._archive.state_root(self._journal.durable_height)
            if proof is None or covered is None or covered[1] != proof.state:
                raise NotFound(
                    "the state that covers this account is being made durable; ask again in a moment",
                    code="account_not_covered",
                )
            return AccountEvidence(
                genesis=self._genesis,
                row=proof.row,
                blind=state_blind(self._ledger_seed, account),
                position=proof.position,
                accounts=proof.count,
                path=proof.path,
                tables=proof.tables,
                state=proof.state,
                block=self._sealed(covered[0], *self._ordered(covered[0])),
            )

    def checkpoint(self, height: int | None) -> Note:
        """Return the signed checkpoint of the first `height` blocks, None: of all. Raises: NotFound."""
        durable = self._journal.durable_height
        height = durable if height is None else height
        if not 1 <= height <= durable:
            raise NotFound(f"there is no durable block {height}", code="block_unknown")
        with self.reading:
            covered = self._archive.state_root(height)
            state = covered[1] if covered else StateRoot(0, bytes(32))
            made = Checkpoint(
                self._network,
                height,
                self._history.root(height),
                self._archive.time_ns(height),
                self._archive.app_hash(height),
                state.height,
                state.root,
            )
        return sign_checkpoint(made, self._node_key)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `new` blocks begin with the first `old`. Raises: NotFound."""
        if not 1 <= old <= new <= self._journal.durable_height:
            raise NotFound(f"there are no durable blocks {old} and {new}", code="block_unknown")
        return history.consistency_path(self._history, old, new)

    def inclusion(self, height: int, size: int) -> list[bytes]:
        """Return the path from block `height` to the root of the first `size`. Raises: NotFound."""
        if not 1 <= height <= size <= self._journal.durable_height:
            raise NotFound(f"block {height} is not among {size} durable ones", code="block_unknown")
        return history.inclusion_path(self._history, height - 1, size)

    def _ordered(self, height: int) -> tuple[JournaledBlock, Columns]:
        journaled = frames.decode_block(self._journal.read(height), self._network)
        return journaled, join_orders(journaled.orders)

    def _sealed(self, height: int, journaled: JournaledBlock, columns: Columns) -> SealedBlock:
        """Return a block's leaves under the node's seal."""
        built = leaves.build_leaves(
            self._archive.receipts(height),
            leaf_hashes(as_rows(columns.records)),
            columns.decisions,
            self._ledger_seed,
            self._ledger.accounts,
            self._archive.state_in(height),
        )
        app_hash = self._archive.app_hash(height)
        message = leaves.seal_message(self._network, height, journaled.time_ns, len(built), app_hash)
        return SealedBlock(
            height,
            journaled.time_ns,
            built,
            journaled.previous_app_hash,
            app_hash,
            self._node_key.public,
            self._node_key.sign(message),
        )

    def _evidence(self, height: int, position: int) -> Evidence:
        journaled, columns = self._ordered(height)
        sealed, receipts = self._sealed(height, journaled, columns), self._archive.receipts(height)
        index = int(receipts[position]["order_index"])
        row = int(np.searchsorted(columns.authorisations["first"].astype(np.int64), index, "right")) - 1
        return Evidence(
            genesis=self._genesis,
            height=height,
            time_ns=journaled.time_ns,
            position=position,
            record_index=index,
            records=columns.records,
            authorisations=columns.authorisations,
            receipts=receipts,
            leaves=sealed.leaves,
            signer_keys=self._signer_keys(columns.authorisations, row, journaled.time_ns),
            previous_app_hash=sealed.previous_app_hash,
            app_hash=sealed.app_hash,
            seal_key=sealed.seal_key,
            seal_signature=sealed.seal_signature,
            decision=columns.decisions[index].tobytes(),
            debtor_seed=leaves.account_seed(self._ledger_seed, id_of(columns.records[index], "debtor")),
            creditor_seed=leaves.account_seed(self._ledger_seed, id_of(columns.records[index], "creditor")),
        )

    def _signer_keys(self, authorisations: RecordArray, row: int, time_ns: int) -> tuple[bytes, ...]:
        """Return the keys of a signature and its co-signatures as they were in front of a block, zeros
        where there was none."""
        authority, keys = AuthorityId(id_of(authorisations[row], "authority")), []
        for covering in cosigned(authorisations, row):
            known = self._ledger.signing_key_at(authority, int(covering["key_index"]), time_ns)
            keys.append(known[0] if known else bytes(32))
        return tuple(keys)
