"""``python -m bezant.testing.simulator --seed 1 --count 2000``: play seeds on every core, report failures."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from bezant.testing.simulator.run import Report, Simulation

CHUNK = 20
TOLD_EVERY = 5_000
"""Seeds from one line of progress to the next."""


def replay_command(seed: int) -> str:
    """Return what plays one seed again."""
    return f"make sim SEED={seed} COUNT=1"


def play(seed: int) -> Report | str:
    """Return the report of a seed, or why it failed and how to play it again."""
    try:
        return Simulation(seed).play()
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}\n  play it again: {replay_command(seed)}"
    finally:
        # Every engine of a life is a cycle with megabytes of tables, which would lie about for hundreds
        # of seeds: the collector counts objects, not bytes.
        gc.collect()


def play_many(first: int, count: int, processes: int) -> tuple[int, int, Counter[str], list[str]]:
    """Return how many seeds and blocks were played, what happened in them, and every failure."""
    seeds = range(first, first + count)
    played, blocks, seen, failures = 0, 0, Counter[str](), list[str]()
    started = time.monotonic()
    # Compiled code is loaded once and then shared by every process; what there is by then is looked through
    # by no collection after a seed.
    results = [play(first)]
    gc.freeze()
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for result in (*results, *pool.map(play, seeds[1:], chunksize=CHUNK)):
            played += 1
            if played % TOLD_EVERY == 0 and played < count:
                left_s = (time.monotonic() - started) / played * (count - played)
                print(
                    f"{played} of {count} seeds, {len(failures)} failed, {left_s / 60:.0f} min to go",
                    flush=True,
                )
            if isinstance(result, str):
                failures.append(result)
                continue
            blocks += result.blocks
            seen.update(result.events)
            seen.update(result.outcomes)
    return played, blocks, seen, failures


def main() -> int:
    """Return 0 if every seed kept every promise."""
    parser = argparse.ArgumentParser(prog="python -m bezant.testing.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.count == 1:
        # In this process, so that a failure comes with its whole traceback.
        print(Simulation(given.seed).play())
        return 0
    started = time.monotonic()
    played, blocks, seen, failures = play_many(given.seed, given.count, given.processes)
    took = time.monotonic() - started
    print(f"{played} seeds, {blocks} blocks, {took:.0f} s, {took / played * 1000:.0f} ms a seed")
    print(", ".join(f"{name} {count}" for name, count in seen.most_common()))
    print("\n".join(failures[:10]) or "every promise was kept")
    if len(failures) > 10:
        print(f"and {len(failures) - 10} more")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
