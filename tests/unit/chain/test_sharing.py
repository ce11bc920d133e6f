"""One piece of work for several threads: nothing is done twice, nothing is left, nobody waits in vain."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit

from bezant.chain.sharing import work_together
from bezant.model.keys import SCHEME_ED25519, SCHEME_SECP256K1, RowsToVerify, SigningKey
from bezant.model.native import take


@njit(nogil=True)
def _take(taken):  # type: ignore[no-untyped-def]
    return take(taken, 2)


ROWS = 403
FORGED = {0, 3, 100, 402}


def rows_of(scheme: int) -> RowsToVerify:
    """Signatures of one key, some of which are another message's."""
    key = SigningKey(bytes(range(1, 33)), scheme)
    messages = np.arange(ROWS * 112, dtype=np.uint32).astype(np.uint8).reshape(ROWS, 112)
    messages[:, :4] = np.arange(ROWS, dtype="<u4").view(np.uint8).reshape(ROWS, 4)
    signatures = np.stack([np.frombuffer(key.sign(row.tobytes()), np.uint8) for row in messages])
    for forged in FORGED:
        signatures[forged, 40] ^= 1
    return RowsToVerify(signatures, messages, np.tile(np.frombuffer(key.public, np.uint8), (ROWS, 1)), scheme)


@pytest.mark.parametrize("scheme", [SCHEME_ED25519, SCHEME_SECP256K1])
def test_threads_that_verify_together_judge_every_row(scheme: int) -> None:
    rows = rows_of(scheme)
    with ThreadPoolExecutor(3) as executor:
        work_together(rows.work, executor, 3)
    assert set(np.flatnonzero(rows.authentic == 0).tolist()) == FORGED


def test_what_is_taken_is_taken_once() -> None:
    taken, found = np.zeros(1, np.int64), []
    from_here = threading.Barrier(4)

    def work() -> None:
        from_here.wait()
        own = []
        while (start := int(_take(taken))) < 20_000:
            own.append(start)
        found.append(own)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(start for own in found for start in own) == list(range(0, 20_000, 2))


def test_nobody_waits_for_a_helper_that_is_busy_elsewhere() -> None:
    free, done = threading.Event(), []
    with ThreadPoolExecutor(1) as executor:
        elsewhere = executor.submit(free.wait, 30)
        work_together(lambda: done.append(threading.get_ident()), executor, 1)
        assert done == [threading.get_ident()]
        free.set()
        assert elsewhere.result()


def test_what_fails_with_a_helper_fails_here() -> None:
    here, begun = threading.get_ident(), threading.Event()

    def work() -> None:
        if threading.get_ident() != here:
            begun.set()
            raise ValueError("of a helper")
        begun.wait(30)

    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="of a helper"):
        work_together(work, executor, 1)
