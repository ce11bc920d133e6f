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
from bezant.errors import DecodeError
from bezant.model.digest import Digests, as_rows, sha256
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import Order, decode_order, order_bytes
from bezant.model.packing import is_packed, pack_order, unpack_order
from bezant.model.records import COMMAND_KINDS

REMEMBERED_BYTES = 128 << 20
OBJECT_BYTES = 1024
"""What an Order takes in memory beside its bytes and hashes: nine objects of Python, five of them arrays."""


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An Order and what follows from its bytes alone.

    `accepted`: a gateway of the genesis signed it; `in_form`: it came in the one form it travels in; `hashes`
    (n, 32) are its records' leaf hashes; `weight` is how many bytes it takes unpacked, `size` in memory.
    """

    name: bytes
    order: Order
    accepted: bool
    in_form: bool
    commands: bool
    hashes: Digests
    weight: int
    size: int

    @property
    def admissible(self) -> bool:
        """Whether it may be proposed. Blocks of before Orders were packed are read all the same."""
        return self.accepted and self.in_form


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
            known = self._judge(name, data)
            if known.accepted:
                self._keep(known)
        return known

    def is_admissible(self, data: bytes) -> bool:
        """Return whether these bytes are an Order that may be proposed."""
        try:
            return self.read(data).admissible
        except DecodeError:
            return False

    def forget(self, name: bytes) -> None:
        """Make room: this Order is in a block."""
        with self._lock:
            known = self._known.pop(name, None)
            self._bytes -= known.size if known else 0

    def _judge(self, name: bytes, data: bytes) -> KnownOrder:
        packed = is_packed(data)
        order = unpack_order(data, self._network) if packed else decode_order(data, self._network)
        accepted = gateway_accepted(self._network, self._gateways, order)
        in_form = packed or len(pack_order(self._network, order)) == len(data)
        commands = bool((order.records["kind"] >= COMMAND_KINDS).any())
        hashes = leaf_hashes(as_rows(order.records))
        weight = order_bytes(len(order.authorisations), len(order))
        size = weight + hashes.nbytes + OBJECT_BYTES
        return KnownOrder(name, order, accepted, in_form, commands, hashes, weight, size)

    def _keep(self, known: KnownOrder) -> None:
        with self._lock:
            if known.name not in self._known:
                self._known[known.name] = known
                self._bytes += known.size
            while self._bytes > self._limit:
                oldest = next(iter(self._known))
                self._bytes -= self._known.pop(oldest).size
