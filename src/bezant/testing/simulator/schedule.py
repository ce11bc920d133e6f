"""Who runs when: every task of the chain waits here until the simulation gives it a turn."""

from __future__ import annotations

from bezant.chain.storage.background import Step


class Turns:
    """One task; see `Task`. `take` lets it do one step."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.done = False

    def take(self) -> None:
        if not self.done:
            # A step that raises (the power went) is over for good.
            self.done = True
            self.done = not self._step()

    def join(self) -> None:
        while not self.done:
            self.take()


class Schedule:
    """A `Runner` that starts nothing by itself; one for each start of the node."""

    def __init__(self) -> None:
        self._tasks: dict[str, Turns] = {}

    def __call__(self, name: str, step: Step) -> Turns:
        self._tasks[name] = Turns(step)
        return self._tasks[name]

    def turn(self, name: str) -> None:
        """Let a task do one step, if there is such a task and it is not done."""
        if name in self._tasks:
            self._tasks[name].take()
