"""Which engine a data folder has: the genesis says who orders, the configuration has to agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from bezant.chain.clock import Clock
from bezant.chain.cometbft.engine import CometEngine
from bezant.chain.cometbft.home import begins_at_snapshot
from bezant.chain.cometbft.joining import Joining
from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.chain.storage.base import begin_at_origin
from bezant.chain.storage.chain import Options
from bezant.config import Chain
from bezant.errors import ConfigError
from bezant.folder import DataFolder


def open_engine(
    folder: DataFolder,
    settings: Chain,
    clock: Clock,
    before_sync: Callable[[], None],
    **options: Unpack[Options],
) -> EmbeddedEngine | CometEngine:
    """Open the chain of a data folder, replaying its journal. One that is to begin at a snapshot waits until
    the network gave it one.

    Raises: ConfigError ``engine_differs`` where configuration and genesis name different engines;
    JournalDamaged, StorageError.
    """
    keys, genesis = folder.keys, folder.genesis
    named = "cometbft" if genesis.validators else "embedded"
    if settings.engine != named:
        who = f"{len(genesis.validators)} validators" if genesis.validators else "no validators"
        raise ConfigError(
            f'the genesis of {folder.path} names {who}: set engine = "{named}" in [chain] of bezant.toml, or '
            "use the genesis that the setting is meant for",
            code="engine_differs",
            param="chain.engine",
        )
    given = folder.chain, genesis, keys.node, keys.blinding
    if settings.engine == "embedded":
        return EmbeddedEngine(*given, clock=clock, before_sync=before_sync, **options)
    joining: Joining | None = None
    if not folder.chain.exists():
        if begins_at_snapshot(folder.consensus):
            joining = Joining(folder.abci_socket, folder.chain, genesis, keys.blinding)
            joining.wait()
        elif genesis.origin is not None:
            begin_at_origin(folder.origin, folder.chain, genesis, keys.blinding)
    if folder.earlier.exists():
        options["earlier"] = folder.earlier
    return CometEngine(
        *given,
        socket=folder.abci_socket,
        rpc_url=settings.rpc,
        before_sync=before_sync,
        joining=joining,
        keep_blocks=settings.keep_blocks,
        now_ns=clock.now_ns,
        **options,
    )
