"""Work beside the caller's: a step done over and over, and who does it.

The chain says what a step is; whether a thread of its own loops over it or somebody else chooses the
moment of each is the runner's to decide.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

Step = Callable[[], bool]
"""Does a piece of work, waiting for it where there is none yet; returns whether there will be more."""


class Task(Protocol):
    """Steps under way."""

    def join(self) -> None:
        """Return once a step has said that there will be no more."""


Runner = Callable[[str, Step], Task]
"""Begins a named task: its step is repeated until it returns False."""


def run_in_thread(name: str, step: Step) -> threading.Thread:
    """Repeat `step` in a thread of its own until it returns False; the usual `Runner`."""

    def loop() -> None:
        while step():
            pass

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    return thread
