"""What a model can learn from, besides the simulated world: a node's own journal, or a labelled file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from bezant.chain.auditing.rerun import Rerun
from bezant.errors import InputError, ModelError
from bezant.folder import DataFolder, open_for_audit
from bezant.intelligence.chronicle import Chronicle
from bezant.intelligence.history import LABEL_DELAY_NS, History, Progress
from bezant.intelligence.learning import NamedBy, NothingNamed
from bezant.interfaces.files.cards import CardBatch, CardFile
from bezant.model.genesis import Genesis
from bezant.stages.instruments import Instruments
from bezant.vault import Vault

DAY_NS = 86_400_000_000_000


def history_of_folder(path: Path, progress: Progress, *, delay_ns: int = LABEL_DELAY_NS) -> History:
    """Return what happened on a stopped node, from its journal, with labels as they became known.

    `delay_ns` is how long frauds take to be reported: nothing is learned from payments younger than that.
    Devices and terminals are in the vault; a copy without one, of genesis.json, chain/ and
    keys/blinding.key, gives the rest. Raises: ConfigError, StorageError (``data_folder_in_use`` while
    the node runs), JournalDamaged; ModelError ``no_labels`` where no payment is called fraud.
    """
    with _opened(path) as (genesis, names):
        chronicle = Chronicle(genesis.assets, names)
        rerun = Rerun(path / "chain", genesis)
        for block in rerun:
            chronicle.take(block, rerun.ledger.accounts)
            progress("read the journal", min(block.height / rerun.expected, 1.0))
    if not chronicle.labels:
        raise ModelError(
            f"no payment in {path} is called fraud, so there is nothing to learn; label those that were: "
            "bezant reviews label ID fraud",
            code="no_labels",
        )
    return chronicle.history(delay_ns)


def history_of_file(file: CardFile, *, days: int | None = None, scale: int | None = None) -> History:
    """Return a labelled card file as a history, its first `days` or all; terminals are accounts behind all
    cards, for customer 5 is not terminal 5.

    `scale` are the decimals of its amounts, as the mapping has them if not given. Raises: InputError
    ``no_labels`` for a file without labels or without payments.
    """
    parts = list(_first_days(file, days))
    labels = [part.label for part in parts if part.label is not None]
    if not parts or len(labels) != len(parts):
        raise InputError(
            f"{file.path} has no labels to learn from; name their column", code="no_labels", param="label"
        )
    terminals_from = max(int(part.debtor.max(initial=0)) for part in parts) + 1
    return History(
        np.concatenate([part.debtor for part in parts]).astype(np.int64),
        np.concatenate([part.creditor for part in parts]).astype(np.int64) + terminals_from,
        np.concatenate([part.amount_minor for part in parts]),
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate(labels),
        scale=file.mapping.scale if scale is None else scale,
    )


def _first_days(file: CardFile, days: int | None) -> Iterator[CardBatch]:
    end_ns: int | None = None
    for batch in file:
        if days is not None and end_ns is None and len(batch):
            end_ns = int(batch.time_ns[0]) + days * DAY_NS
        rows = len(batch) if end_ns is None else int(np.searchsorted(batch.time_ns, end_ns))
        yield batch.head(rows)
        if rows < len(batch):
            return


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Genesis, NamedBy]]:
    """Yield a folder's genesis, and who knows what its payments named."""
    if not (path / "vault").is_dir():
        with open_for_audit(path) as (genesis, _):
            yield genesis, NothingNamed()
        return
    with ExitStack() as opened:
        folder = DataFolder(path)
        opened.callback(folder.close)
        vault = Vault.open(path)
        opened.callback(vault.close)
        instruments = Instruments(vault, folder.keys.blinding)
        instruments.replaying = True
        yield folder.genesis, instruments
