"""One piece of work for several threads: whoever is free takes the next part of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor


def work_together(work: Callable[[], None], executor: Executor | None, helpers: int) -> None:
    """Call `work` here and at once on up to `helpers` threads of the executor; return when all have.

    `work` does what nobody has taken yet until nothing is left, so whoever comes late has nothing to do and a
    thread whose core has other work holds nobody up.
    """
    asked = [] if executor is None else [executor.submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        # Who has not begun by now need not: everything is taken.
        begun = [one for one in asked if not one.cancel()]
    for one in begun:
        one.result()
