"""Orders as they come from the network, each decoded, hashed and checked once between mempool and block.

The same bytes are asked about when they enter the mempool, when they are proposed and when they are decided.
What was found is remembered by their hash, which is also CometBFT's name for them, within a bound of bytes;
of what no gateway signed nothing is, so that strangers cannot push out what gateways sent.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from bezant.chain.signatures import gateway_accepted
from bezant.model.digest import Digests, as_rows, sha256
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import Order, decode_order
from bezant.model.records import COMMAND_KINDS

REMEMBERED_BYTES = 128 << 20
OBJECT_BYTES = 1024
"""What an Order takes in memory beside its bytes and hashes: nine objects of Python, five of them arrays."""


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An Order and what follows from its bytes alone.

    `accepted`: a gateway of the genesis signed it; `hashes` (n, 32) are its records' leaf hashes; `size` in
    bytes of memory.
    """

    name: bytes
    order: Order
    accepted: bool
    commands: bool
    hashes: Digests
    size: int


class KnownOrders:
    """Reads Orders; may be asked from any thread."""

    def __init__(self, network: bytes, gateways: Mapping[int, bytes], limit: int = REMEMBERED_BYTES) -> None:
        self._network, self._gateways, self._limit = network, dict(gateways), limit
        self._known: dict[bytes, KnownOrder] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, data: bytes) -> KnownOrder:
        """Return the Order in these bytes. Raises: DecodeError."""
        name = sha256(data)
        with self._lock:
            known = self._known.get(name)
        if known is None:
            known = self._judge(name, decode_order(data, self._network), len(data))
            if known.accepted:
                self._keep(known)
        return known

    def forget(self, name: bytes) -> None:
        """Make room: this Order is in a block."""
        with self._lock:
            known = self._known.pop(name, None)
            self._bytes -= known.size if known else 0

    def _judge(self, name: bytes, order: Order, size: int) -> KnownOrder:
        accepted = gateway_accepted(self._network, self._gateways, order)
        commands = bool((order.records["kind"] >= COMMAND_KINDS).any())
        hashes = leaf_hashes(as_rows(order.records))
        return KnownOrder(name, order, accepted, commands, hashes, size + hashes.nbytes + OBJECT_BYTES)

    def _keep(self, known: KnownOrder) -> None:
        with self._lock:
            if known.name not in self._known:
                self._known[known.name] = known
                self._bytes += known.size
            while self._bytes > self._limit:
                oldest = next(iter(self._known))
                self._bytes -= self._known.pop(oldest).size
