"""One replay from file to verified data folder: what the command does, without the command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bezant.chain.clock import SetClock
from bezant.economy.training import train_on_economy
from bezant.errors import InputError
from bezant.folder import DEFAULT_ASSETS, create_folder
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.files.mapping import CardMapping
from bezant.interfaces.iso20022 import Pain001Stream, stream_pain001
from bezant.interfaces.replay.cards import CardReplay
from bezant.interfaces.replay.check import Verification, verify_folder
from bezant.interfaces.replay.messages import MessageReplay, message_time_ns
from bezant.interfaces.replay.model import learn_from_file
from bezant.interfaces.replay.summary import Summary
from bezant.model.currencies import currency_scale
from bezant.model.genesis import Rules
from bezant.node import Node

SEED = 7
WINDOW_S = 86_400
"""Id window of a replayed network: a file's payments lie further apart than live ones."""
LATEST_NS = 7_258_118_400 * 10**9
"""The year 2200: later block times and the windows after them would leave 64 bits."""
Progress = Callable[[str, float], None]
"""Hears what is being done and which share of it is done."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay; see the command's help."""

    data: Path
    mapping: CardMapping | str | None = None
    asset: str = "EUR"
    each: bool = False
    sort: bool = False
    train_days: int = 28
    with_store: bool = True
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay leaves behind."""

    summary: Summary
    verification: Verification | None
    model: str
    network: str


def replay(path: Path, options: Options, progress: Progress) -> Replayed:
    """Replay one file into a data folder of its own. Raises: BezantError."""
    if not path.exists():
        raise InputError(f"there is no file {path}", code="file_missing", param="file")
    if path.suffix.lower() in (".xml", ".pain", ".txt"):
        return _replay_message(path, options, progress)
    return _replay_cards(path, options, progress)


def check_start(start_ns: int, param: str) -> int:
    """Return a file's first time, which becomes block time. Raises: InputError ``time_out_of_range``."""
    if not 0 <= start_ns < LATEST_NS:
        raise InputError(
            "the file's payments begin before 1970 or after 2199, which no payment id can say; "
            "correct the time, or its unit",
            code="time_out_of_range",
            param=param,
        )
    return start_ns


def _replay_cards(path: Path, options: Options, progress: Progress) -> Replayed:
    file = CardFile(path, options.mapping, sort=options.sort)
    first = next(iter(CardFile(path, options.mapping, sort=options.sort, batch_rows=1_000)), None)
    if first is None:
        raise InputError(f"{path} holds no payments", code="file_empty", param="file")
    start_ns = check_start(int(first.time_ns[0]), "time")
    create_folder(options.data, rules=Rules(id_window_s=WINDOW_S), created_ms=start_ns // 1_000_000)
    model_path, judged_from_ns = options.data / "models" / "current.model", 0
    if options.train_days and first.label is not None:
        source = CardFile(path, options.mapping, sort=options.sort)
        # The node takes minor units for those of its asset, whatever the file's mapping says.
        scale = dict(DEFAULT_ASSETS).get(options.asset)
        learned = learn_from_file(source, options.train_days, SEED, progress, scale=scale)
        learned.model.save(model_path)
        judged_from_ns = learned.judged_from_ns
    else:
        train_on_economy(SEED, path=model_path, progress=progress)
    clock, total = SetClock(start_ns), max(file.rows, 1)
    with Node(options.data, clock=clock, with_store=options.with_store) as node:
        cards = CardReplay(
            node,
            clock,
            file,
            node.accounts.asset(options.asset),
            each=options.each,
            judged_from_ns=judged_from_ns,
        )
        summary = cards.run(lambda rows: progress("pay", rows / total))
        return _finish(node, options, clock, summary, progress)


def _replay_message(path: Path, options: Options, progress: Progress) -> Replayed:
    message = stream_pain001(path)
    start_ns = check_start(message_time_ns(message.header.created_at) or time.time_ns(), "CreDtTm")
    create_folder(options.data, assets=_assets_of(message), created_ms=start_ns // 1_000_000)
    train_on_economy(SEED, path=options.data / "models" / "current.model", progress=progress)
    clock, total = SetClock(start_ns), max(len(message), 1)
    with Node(options.data, clock=clock, with_store=options.with_store) as node:
        summary = MessageReplay(node, clock, message).run(lambda rows: progress("pay", rows / total))
        return _finish(node, options, clock, summary, progress)


def _finish(node: Node, options: Options, clock: SetClock, summary: Summary, progress: Progress) -> Replayed:
    """Let the store catch up, close, and hold what the journal gives again against what was seen."""
    if node.follower is not None:
        height = node.engine.durable_height
        while not node.follower.wait_for(height, 0.5):
            progress("project into the store", node.follower.height / height)
    app_hash, height = node.engine.app_hash, node.engine.height
    network = node.engine.network.hex()
    model = node.model.card.source if node.model is not None else "rules"
    node.close()
    verification = None
    if options.verify:
        verification = verify_folder(
            options.data, clock, app_hash, lambda done: progress("verify", done / height)
        )
    return Replayed(summary, verification, model, network)


def _assets_of(message: Pain001Stream) -> tuple[tuple[str, int], ...]:
    """Return the usual assets and those of every currency the message names."""
    known = dict(DEFAULT_ASSETS)
    for instruction in message:
        known.setdefault(instruction.currency, currency_scale(instruction.currency))
    return tuple(known.items())
