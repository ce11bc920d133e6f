"""Two lanes of a block: commands have a share of it that they cannot exceed, and the rest is for payments.

Whoever proposes chooses by `choose`; every other validator refuses a block that `problem` finds fault with.
So nobody can fill blocks with commands, however many they send, nor with what nobody can read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bezant.chain.cometbft.orders import KnownOrder, KnownOrders
from bezant.errors import DecodeError

MAX_BLOCK_BYTES = 8 * 1024 * 1024
"""Bytes of all Orders of a block, unpacked, for that is what applying them costs: at 288 bytes a payment that
is signed by itself, 29,000 of them, in 4 MiB or less of packed ones."""
MAX_COMMAND_BYTES = 1024 * 1024
"""Bytes of those that hold commands."""
OVERHEAD_BYTES = 8
"""What an Order takes in a block beside its own bytes, at most."""
MAX_ORDER_BYTES = MAX_COMMAND_BYTES - OVERHEAD_BYTES
"""Bytes of one Order; a longer one may not enter the mempool, for one with commands fits into no block."""


def choose(known: KnownOrders, orders: Iterable[bytes], most_bytes: int) -> list[bytes]:
    """Return what to propose of these Orders, each once, in their order; `most_bytes` is the engine's limit.

    Of what is left behind nothing is lost: it is there for the next block.
    """
    left = {True: MAX_COMMAND_BYTES, False: MAX_BLOCK_BYTES}
    room, engines_room = MAX_BLOCK_BYTES, MAX_BLOCK_BYTES if most_bytes < 0 else most_bytes
    chosen: dict[bytes, bytes] = {}
    for data in orders:
        if len(data) + OVERHEAD_BYTES > engines_room:
            continue
        try:
            found = known.read(data)
        except DecodeError:
            continue
        weight = found.weight + OVERHEAD_BYTES
        if found.name in chosen or not found.admissible:
            continue
        if weight <= min(room, left[found.commands]):
            left[found.commands] -= weight
            room -= weight
            engines_room -= len(data) + OVERHEAD_BYTES
            chosen[found.name] = data
    return list(chosen.values())


def problem(known: KnownOrders, orders: Sequence[bytes]) -> str:
    """Return why no validator may accept a block of these Orders, nothing where it may."""
    commands = total = 0
    for place, data in enumerate(orders):
        try:
            found: KnownOrder = known.read(data)
        except DecodeError as error:
            return f"Order {place}: {error.message}"
        if not found.accepted:
            return f"Order {place} is not signed by a gateway of the genesis"
        if not found.in_form:
            return f"Order {place} is not packed"
        weight = found.weight + OVERHEAD_BYTES
        total += weight
        if total > MAX_BLOCK_BYTES:
            return f"its Orders take more than {MAX_BLOCK_BYTES} bytes"
        commands += weight if found.commands else 0
        if commands > MAX_COMMAND_BYTES:
            return f"its commands take more than {MAX_COMMAND_BYTES} bytes, the rest is the payments'"
    return ""
