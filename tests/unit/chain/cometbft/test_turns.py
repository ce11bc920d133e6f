"""Little goes through the mempool while turns come; everything does where they do not."""

from __future__ import annotations

from bezant.chain.cometbft.outcomes import Outstanding
from bezant.chain.cometbft.turns import AHEAD_BYTES, TURN_BLOCKS, TURN_S, Own, Turns
from bezant.model.digest import sha256

PATIENCE_S = 30.0


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def order(number: int, size: int = AHEAD_BYTES // 2, *, may_wait: bool = True) -> Own:
    data = bytes([number]) * size
    return Own(sha256(data), data, Outstanding((sha256(data),)), may_wait)


def whose_turn_comes(clock: Clock | None = None) -> Turns:
    turns = Turns(PATIENCE_S, clock or Clock())
    assert turns.offer(1) == []
    return turns


def ahead_and_waiting(turns: Turns) -> tuple[Own, Own]:
    """Fill what may go ahead with one Order, so that another waits."""
    first, second = order(0, AHEAD_BYTES), order(1)
    assert not turns.keep(first)
    assert turns.keep(second)
    return first, second


def test_before_the_first_turn_everything_goes_ahead() -> None:
    turns = Turns(PATIENCE_S)
    assert not any(turns.keep(order(number)) for number in range(10))


def test_so_much_goes_ahead_and_the_rest_waits() -> None:
    turns = whose_turn_comes()
    orders = [order(number) for number in range(5)]
    assert [turns.keep(one) for one in orders] == [False, False, True, True, True]
    assert turns.offer(2) == [one.data for one in orders[2:]]


def test_a_small_one_goes_past_large_ones() -> None:
    turns = whose_turn_comes()
    assert not turns.keep(order(0, AHEAD_BYTES - 10))
    assert turns.keep(order(1))
    assert not turns.keep(order(2, 10))


def test_one_that_is_larger_than_all_that_may_go_ahead_goes_by_itself() -> None:
    turns = whose_turn_comes()
    assert not turns.keep(order(0, AHEAD_BYTES + 1))
    assert turns.keep(order(1, AHEAD_BYTES + 1))


def test_one_that_may_not_be_proposed_never_waits() -> None:
    turns = whose_turn_comes()
    assert not turns.keep(order(0, AHEAD_BYTES))
    assert not turns.keep(order(1, may_wait=False))


def test_the_same_order_is_kept_once() -> None:
    turns = whose_turn_comes()
    assert not turns.keep(order(0, AHEAD_BYTES))
    assert turns.keep(order(1))
    assert turns.keep(order(1))
    assert len(turns.offer(2)) == 1
    assert not turns.keep(order(0, AHEAD_BYTES)), "the mempool says that it has it"


def test_the_next_go_ahead_once_those_before_are_proposed() -> None:
    turns = whose_turn_comes()
    orders = [order(number) for number in range(6)]
    for one in orders:
        turns.keep(one)
    assert turns.proposed([one.name for one in orders[:2]]) == orders[2:4]
    assert turns.settled(2, [one.name for one in orders[:2]]) == []
    assert turns.settled(3, [one.name for one in orders[2:4]]) == orders[4:]
    assert turns.offer(4) == []


def test_what_a_failed_proposal_held_waits_again_and_counts_again() -> None:
    turns = whose_turn_comes()
    ahead, waits, last = order(0, AHEAD_BYTES), order(1), order(2)
    assert [turns.keep(one) for one in (ahead, waits, last)] == [False, True, True]
    assert turns.proposed([ahead.name, waits.name]) == [last], "what is proposed is not sent as well"
    assert turns.settled(2, [last.name]) == [], "the mempool still has the first"
    assert turns.offer(3) == [waits.data]


def test_who_is_not_asked_any_more_sends_everything() -> None:
    turns = whose_turn_comes()
    orders = [order(number, AHEAD_BYTES) for number in range(4)]
    for one in orders:
        turns.keep(one)
    assert turns.settled(TURN_BLOCKS, []) == []
    assert turns.settled(TURN_BLOCKS + 1, []) == orders[1:]
    assert not turns.keep(order(9))


def test_nothing_waits_for_long() -> None:
    clock = Clock()
    turns = whose_turn_comes(clock)
    _, second = ahead_and_waiting(turns)
    clock.now_s = TURN_S - 0.1
    assert turns.overdue() == []
    clock.now_s = TURN_S + 0.1
    assert turns.overdue() == [second]


def test_what_a_halted_network_was_proposed_is_sent_as_well() -> None:
    clock = Clock()
    turns = whose_turn_comes(clock)
    _, second = ahead_and_waiting(turns)
    turns.proposed([second.name])
    clock.now_s = 2 * TURN_S - 0.1
    assert turns.overdue() == []
    clock.now_s = 2 * TURN_S + 0.1
    assert turns.overdue() == [second], "no block says that the proposal came to nothing"


def test_dropping_one_keeps_the_same_order_of_another_submission() -> None:
    turns = whose_turn_comes()
    turns.keep(order(0, AHEAD_BYTES))
    waits, again = order(1), order(1)
    assert turns.keep(waits)
    turns.drop(again)
    assert turns.offer(2) == [waits.data]
    turns.drop(waits)
    assert turns.offer(3) == []


def test_what_the_mempool_returns_is_offered_and_sent_again() -> None:
    turns = whose_turn_comes()
    first, second = ahead_and_waiting(turns)
    assert turns.settled(2, [first.name]) == [second]
    turns.returned(second)
    assert turns.offer(3) == [second.data]
    assert turns.settled(3, []) == [second]


def test_what_nobody_waits_for_any_more_is_forgotten() -> None:
    clock = Clock()
    turns = whose_turn_comes(clock)
    ahead_and_waiting(turns)
    clock.now_s = PATIENCE_S + 1
    assert turns.overdue() == []
    assert turns.offer(2) == []
    assert not turns.keep(order(2, AHEAD_BYTES)), "what was ahead no longer counts"


def test_closing_keeps_nothing_back() -> None:
    turns = whose_turn_comes()
    ahead_and_waiting(turns)
    assert [one.data[:1] for one in turns.close()] == [b"\x01"]
    assert not turns.keep(order(2))
