"""A first start on two cores: another process compiles the ledger while this one trains a model.

Numba compiles one function at a time in a process, and keeps what it compiled where every other finds it.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bezant.kernel_cache import is_compiled

_LARGEST = "apply.apply_records"
"""The kernel that takes longer to compile than all others together."""


@contextmanager
def ledger_compiled_beside(genesis_file: Path) -> Iterator[Callable[[], object]]:
    """Yield what waits until the ledger is compiled: at once where it is already, or no core is free for it.

    Whatever becomes of the other process, the kernels that it did not compile are compiled here when they
    are called.
    """
    if is_compiled(_LARGEST) or (os.cpu_count() or 1) < 2:
        yield lambda: None
        return
    command = [sys.executable, "-m", __name__, str(genesis_file)]
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent) as compiler:
        try:
            yield compiler.wait
        finally:
            compiler.terminate()


def main(genesis_file: str) -> None:
    """Compile what the ledger of a genesis runs; what is compiled for one serves all."""
    from bezant.chain.kernels import load_ledger
    from bezant.model.genesis import decode_genesis

    gc.disable()  # A compiler's garbage is small beside what looking for it costs.
    load_ledger(decode_genesis(Path(genesis_file).read_bytes()))


if __name__ == "__main__":
    main(sys.argv[1])
