"""What a process is set to in which a node works for long: when threads hand over, and what is garbage.

The node itself asks for none of this, for whoever embeds it in a program of their own decides there.
"""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0002
"""How long a thread keeps the interpreter while others want it. With Python's own 5 ms the event loop
waits for the store's thread again and again: 2,650 payments a second over HTTP against 3,110."""
GC_ALLOCATIONS = 20_000
"""Objects between two looks for garbage among the youngest: requests leave little behind that is worth more,
and compilers nothing."""


def prepare_process() -> None:
    """Have threads hand over often, and look for garbage seldom: before there is a node."""
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(GC_ALLOCATIONS)


def freeze_heap() -> None:
    """Take what is loaded by now for what stays: looking through all of it at every full collection stops
    the world for 0.15 s."""
    gc.collect()
    gc.freeze()
