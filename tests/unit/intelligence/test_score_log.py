"""The bounded file of what two models said, and the labels that go with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.intelligence.challenge import Challenge
from bezant.intelligence.model import Model
from bezant.intelligence.score_log import NOTABLE_PPM, ONE_IN, ScoreLog, mark
from bezant.intelligence.scored import Scored
from bezant.model.identifiers import join

from .conftest import Judged


@pytest.fixture(scope="module")
def pair(model: Model) -> tuple[Model, Model]:
    """Champion and challenger: the same trees, another card."""
    return model, Model.build(msgspec.structs.replace(model.card, intercept=0.5), model.trees)


def append(log: ScoreLog, pair: tuple[Model, Model], first: int, count: int, ppm: int) -> None:
    ids = np.arange(first, first + count, dtype=np.uint64)
    scores = np.full(count, ppm, np.uint32)
    log.append(ids, ids + np.uint64(7), pair[0].name, pair[1].digest, scores, scores)


def test_the_newest_are_kept(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    log = ScoreLog(tmp_path / "scores", rows=100)
    for first in range(0, 250, 50):
        append(log, pair, first, 50, NOTABLE_PPM)
    rows = log.rows(*pair)
    assert rows["id_lo"].tolist() == list(range(150, 250))
    append(log, pair, 1_000, 300, NOTABLE_PPM)
    assert log.rows(*pair)["id_lo"].tolist() == list(range(1_200, 1_300)), "more at once than there is room"
    assert (tmp_path / "scores").stat().st_size == 64 + 100 * 48


def test_ordinary_payments_are_sampled_by_weight(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    log = ScoreLog(tmp_path / "scores", rows=1_000)
    append(log, pair, 0, 1_600, NOTABLE_PPM - 1)
    append(log, pair, 5_000, 30, NOTABLE_PPM)
    rows = log.rows(*pair)
    assert int(rows["weight"].sum()) == 1_630
    assert rows["weight"].tolist() == [ONE_IN] * 100 + [1] * 30


def test_it_goes_on_where_it_was_and_begins_anew_where_it_cannot_be_read(
    tmp_path: Path, pair: tuple[Model, Model]
) -> None:
    path = tmp_path / "scores"
    log = ScoreLog(path, rows=100)
    append(log, pair, 0, 10, NOTABLE_PPM)
    log.close()
    again = ScoreLog(path, rows=100)
    append(again, pair, 10, 10, NOTABLE_PPM)
    assert again.rows(*pair)["id_lo"].tolist() == list(range(20))
    again.close()
    for damaged in (path.read_bytes()[:-1], b"nonsense" + path.read_bytes()[8:]):
        path.write_bytes(damaged)
        assert ScoreLog(path, rows=100).written == 0


def test_only_what_both_scored_is_told(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    log = ScoreLog(tmp_path / "scores", rows=100)
    append(log, pair, 0, 5, NOTABLE_PPM)
    append(log, pair[::-1], 5, 5, NOTABLE_PPM)
    assert log.rows(*pair)["id_lo"].tolist() == [0, 1, 2, 3, 4]
    assert log.rows(*pair[::-1])["id_lo"].tolist() == [5, 6, 7, 8, 9]


def test_labels_find_their_payments(tmp_path: Path, pair: tuple[Model, Model]) -> None:
    log = ScoreLog(tmp_path / "scores", rows=100)
    append(log, pair, 0, 6, NOTABLE_PPM)
    rows = log.rows(*pair)
    ids = [join(row["id_lo"], row["id_hi"]) for row in rows]
    labels = {ids[4]: True, ids[1]: False, join(99, 8): True, join(1, 99): True}
    assert mark(rows, labels).tolist() == [-1, 0, -1, -1, 1, -1]
    assert mark(rows, {}).tolist() == [-1] * 6


def seen(model: Model, judged: Judged, count: int = 200) -> Scored:
    x = judged.x[:count]
    ids = np.arange(count, dtype=np.uint64)
    return Scored(ids, ids, x, model.score(x), model.name)


def test_a_challenger_scores_what_the_champion_did(
    tmp_path: Path, pair: tuple[Model, Model], judged: Judged
) -> None:
    log = ScoreLog(tmp_path / "scores")
    challenge = Challenge(log)
    challenge.look(seen(pair[0], judged))
    assert challenge.scored == log.written == 0, "there is no challenger"
    challenge.challenger = pair[1]
    challenge.look(seen(pair[0], judged))
    assert challenge.scored == 200
    rows = log.rows(*pair)
    at = rows["id_lo"].astype(int)
    assert (rows["challenger_ppm"] == pair[1].score(judged.x[at])).all()
    assert (rows["champion_ppm"] == pair[0].score(judged.x[at])).all()
    rules = seen(pair[0], judged)
    challenge.look(Scored(rules.id_lo, rules.id_hi, rules.x, rules.score_ppm, bytes(16)))
    assert challenge.scored == 200, "where rules scored there is nothing to compare with"


@pytest.mark.parametrize("leaf", [0.25, float("nan")], ids=["constant", "nan"])
def test_a_challenger_that_answers_nonsense_is_not_logged(
    tmp_path: Path, pair: tuple[Model, Model], judged: Judged, leaf: float
) -> None:
    log = ScoreLog(tmp_path / "scores")
    challenge = Challenge(log)
    challenge.challenger = Model.build(pair[1].card, pair[1].trees)
    challenge.challenger.forest.value[:] = leaf
    challenge.look(seen(pair[0], judged))
    assert (challenge.scored, challenge.nonsense, log.written) == (0, 200, 0)
