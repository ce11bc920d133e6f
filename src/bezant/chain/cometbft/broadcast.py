"""The threads that send: everything queued, its evidence sealed and synced first, then the Orders.

Sealing belongs in front of sending, for from then on any validator may put an Order into a block. The
pipeline does not wait for it. An Order goes to the mempool, or waits for this node's turn to propose
(`turns`). CometBFT takes its time with each Order, most of it waiting, so several submissions are sent at
once; which of them comes first in a block is the network's to decide anyway.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bezant.chain.cometbft.outcomes import Outcomes, Outstanding
from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.cometbft.turns import Own, Turns
from bezant.errors import BezantError, Overloaded, StorageError, UnknownOutcome

SENDERS = 8
CLOSING_S = 3.0
"""What is queued may still be sent for so long after closing began; a request under way ends by itself."""
SWEEP_S = 0.5
"""How often those are looked for who have waited for too long, and a mempool that was full is asked again."""


@dataclass(frozen=True, slots=True)
class Sending:
    """Orders to be sent together, and what has to be durable before."""

    orders: tuple[Own, ...]
    outstanding: Outstanding
    prepare: Callable[[], object]


class Broadcaster:
    """Sends in the order of submission."""

    def __init__(
        self,
        rpc: Rpc,
        outcomes: Outcomes,
        turns: Turns,
        is_admissible: Callable[[bytes], bool],
        before_sending: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`is_admissible` says whether an Order may be proposed; `before_sending` makes durable what must be
        so before an Order may be in a block (the vault); `on_failure` hears why that, or a `prepare`, failed:
        nothing can be sent any more."""
        self._is_admissible = is_admissible
        self._rpc, self._outcomes, self._turns = rpc, outcomes, turns
        self._before_sending, self._on_failure = before_sending, on_failure
        self._queue: queue.SimpleQueue[Sending | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._closed_by_s = 0.0
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")
        self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)
        self._thread.start()

    def put(self, sending: Sending) -> None:
        self._queue.put(sending)

    def offer(self, height: int) -> list[bytes]:
        """Return the Orders that wait for this node to propose this block."""
        return self._turns.offer(height)

    def proposed(self, names: Iterable[bytes]) -> None:
        """Note what is in a proposal that everybody may accept, and send what comes next."""
        self._send_later(self._turns.proposed(names))

    def settled(self, height: int, names: Iterable[bytes]) -> None:
        """Note what is in a block, and send what need not wait any more."""
        self._send_later(self._turns.settled(height, names))

    def close(self) -> None:
        """Send what is queued while the network takes it, then stop."""
        self._closed_by_s = time.monotonic() + CLOSING_S
        self._closing.set()
        self._send_later(self._turns.close())
        self._queue.put(None)
        self._thread.join()
        self._senders.shutdown()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group: list[Sending | None] = []
            with contextlib.suppress(queue.Empty):
                group.append(self._queue.get(timeout=SWEEP_S))
                while True:
                    group.append(self._queue.get_nowait())
            stopping = None in group
            self._send_all([one for one in group if one is not None])
            self._outcomes.expire()
            self._send_later(self._turns.overdue())

    def _send_all(self, group: list[Sending]) -> None:
        if not group:
            return
        try:
            for one in group:
                one.prepare()
            self._before_sending()
        except Exception as error:
            said = error if isinstance(error, BezantError) else StorageError(f"sealing failed: {error!r}")
            for one in group:
                self._outcomes.give_up(one.outstanding, said)
            self._on_failure(said)
            return
        for one in group:
            self._senders.submit(self._send, one)

    def _send(self, sending: Sending) -> None:
        """Send one submission: refused as a whole while nothing of it was accepted, else until all is."""
        for place, own in enumerate(sending.orders):
            if place and sending.outstanding.awaited.is_resolved:
                # Somebody was told that nobody knows.
                return
            # Of one that nobody may propose the mempool says why.
            own.may_wait = self._is_admissible(own.data)
            if self._turns.keep(own):
                continue
            try:
                self._check_open()
                self._rpc.broadcast(own.data)
            except (Overloaded, UnknownOutcome) as error:
                perhaps_taken = isinstance(error, UnknownOutcome)
                if not place and not perhaps_taken:
                    self._turns.drop(own)
                    self._outcomes.give_up(sending.outstanding, error)
                    return
                # Who waits is told by the blocks, or that nobody knows.
                self._turns.returned(own, perhaps_taken=perhaps_taken)
            except BezantError as error:
                self._turns.drop(own)
                self._outcomes.give_up(sending.outstanding, _of_all(error, place))
                return

    def _send_later(self, due: Iterable[Own]) -> None:
        """Send Orders that waited for a turn."""
        for own in due:
            try:
                self._senders.submit(self._send_after_all, own)
            except RuntimeError:
                # The threads have ended. It may still be proposed, while CometBFT is answered.
                self._turns.returned(own)

    def _send_after_all(self, own: Own) -> None:
        try:
            self._check_open()
            self._rpc.broadcast(own.data)
        except (Overloaded, UnknownOutcome) as error:
            # It waits on: for a turn, for the next attempt, or until nobody knows.
            self._turns.returned(own, perhaps_taken=isinstance(error, UnknownOutcome))
        except BezantError as error:
            self._turns.drop(own)
            alone = len(own.outstanding.names) == 1 and not own.offered
            self._outcomes.give_up(own.outstanding, _of_all(error, 0 if alone else 1))

    def _check_open(self) -> None:
        """Raise Overloaded where closing began too long ago to send anything more."""
        if self._closing.is_set() and time.monotonic() > self._closed_by_s:
            raise Overloaded("the node is closing; nothing was accepted", code="closing")


def _of_all(error: BezantError, accepted: int) -> BezantError:
    """Return what is known of a submission, of which the network has taken so many Orders and no more."""
    if not accepted:
        return error
    return UnknownOutcome(
        f"the network took {accepted} Orders of this and then no more ({error.message}); what was taken may "
        "still apply, so query each payment by id before sending anything again"
    )
