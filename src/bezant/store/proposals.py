"""Proposals in the read model: what was put to the vote, who said what, and what became of it.

A PROPOSE that was applied is a row. System receipts under its id decide it, and put it into force: each names
the last proposal of that id before it, so blocks may be projected in groups of any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from bezant.ledger.batch import NS_PER_S
from bezant.model.governance import NOTICE_BLOCKS, VALUES
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray
from bezant.store import columns
from bezant.store.cursors import decode_cursor, encode_cursor
from bezant.store.schema import (
    POSITION_BITS,
    ProposalStatus,
    ballots,
    id_key,
    proposals,
    rule_changes,
    signed_amount,
)

Row = tuple[Any, ...]
_VALUE_NAMES: Final = ("value", "ppm", "minimum", "maximum")
_NAMED: Final = "ordinal = (SELECT max(ordinal) FROM proposals WHERE id = ? AND ordinal < ?)"
ACCEPT: Final = (
    f"UPDATE proposals SET status = 'accepted', decided = ?, decided_ns = ? WHERE {_NAMED} "
    "AND status = 'voting'"
)
DECLINE: Final = (
    "UPDATE proposals SET status = CASE WHEN until_ns < ? OR (height >= 0 AND height <= ?) THEN 'lapsed' "
    f"ELSE 'declined' END, decided = ?, decided_ns = ? WHERE {_NAMED} AND status = 'voting'"
)
"""A height below zero is one above 2**63, which no block comes near."""
ENACT: Final = (
    f"UPDATE proposals SET status = 'in_force', enacted = ?, enacted_ns = ? WHERE {_NAMED} "
    "AND status = 'accepted'"
)
CHANGE: Final = (
    f"INSERT INTO rule_changes (rule, asset, since, {', '.join(_VALUE_NAMES)}) "
    f"SELECT rule, asset, ?, {', '.join(_VALUE_NAMES)} FROM proposals WHERE {_NAMED} "
    f"ON CONFLICT (rule, asset, since) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _VALUE_NAMES)
)
"""Of two changes of a rule in one block the later stays, as in the ledger."""


def proposal_rows(
    records: RecordArray, authorities: RecordArray, ordinals: list[int], times: list[int]
) -> list[Row]:
    """Return the rows of `schema.proposals` for PROPOSE records that were applied, each (n,)."""
    untils = [
        time + held * NS_PER_S for time, held in zip(times, records["hold_for_s"].tolist(), strict=True)
    ]
    return [
        (*known, ProposalStatus.VOTING.value, time, None, None, None, None)
        for *known, time in zip(
            ordinals,
            columns.ids(records, "id"),
            columns.ids(authorities, "authority"),
            records["amount"].tolist(),
            records["asset"].tolist(),
            *_values(records["payload_commitment"]),
            columns.amounts(records["max_fee"]),
            untils,
            times,
            strict=True,
        )
    ]


def ballot_rows(
    records: RecordArray, authorities: RecordArray, ordinals: list[int], _times: list[int]
) -> list[Row]:
    """Return the rows of `schema.ballots` for VOTE records that were applied, each (n,)."""
    said, of = records["amount"].tolist(), columns.ids(records, "related")
    return list(zip(ordinals, of, columns.ids(authorities, "authority"), said, strict=True))


def decision_rows(
    system: RecordArray, ordinals: npt.NDArray[np.int64], times: npt.NDArray[np.int64]
) -> tuple[list[Row], list[Row], list[Row]]:
    """Return what ACCEPT, DECLINE and ENACT take for the system receipts (s,) about proposals."""
    found: dict[Outcome, list[Row]] = {Outcome.ACCEPTED: [], Outcome.DECLINED: [], Outcome.APPLIED: []}
    at = np.flatnonzero(system["kind"] == Kind.PROPOSE)
    receipts = system[at]
    for outcome, identity, ordinal, time in zip(
        receipts["outcome"].tolist(),
        columns.ids(receipts, "id"),
        ordinals[at].tolist(),
        times[at].tolist(),
        strict=True,
    ):
        found[Outcome(outcome)].append((ordinal, time, identity, ordinal))
    late = [
        (time, (ordinal >> POSITION_BITS) + NOTICE_BLOCKS, ordinal, time, identity, place)
        for ordinal, time, identity, place in found[Outcome.DECLINED]
    ]
    return found[Outcome.ACCEPTED], late, found[Outcome.APPLIED]


def change_rows(enacted: Iterable[Row]) -> list[Row]:
    """Return what CHANGE takes for rows of ENACT."""
    return [(ordinal >> POSITION_BITS, identity, place) for ordinal, _, identity, place in enacted]


def opening_proposals(
    tables: Mapping[str, npt.NDArray[Any]], holders: Sequence[bytes], ordinal: int
) -> tuple[list[Row], list[Row], list[Row]]:
    """Return the rows of proposals, ballots and changes that a chain behind `ordinal` begins with."""
    made: list[Row] = []
    said: list[Row] = []
    operators = tables["validators"]["operator"].tolist()
    opened = tables["proposals"]
    for place, (row, identity) in enumerate(zip(opened, columns.ids(opened, "id"), strict=True)):
        status = ProposalStatus.ACCEPTED if row["accepted"] else ProposalStatus.VOTING
        numbers = [signed_amount(int(value)) for value in (*row["values"], row["height"])]
        known = (ordinal + place, identity, holders[row["authority"]], int(row["rule"]), int(row["asset"]))
        made.append((*known, *numbers, int(row["until_ns"]), status.value, *[None] * 5))
        # Ballots of one operator's validators are the same, but for those that came after it voted.
        spoken = {
            operator: ballot
            for operator, ballot in zip(operators, row["ballots"].tolist(), strict=False)
            if ballot
        }
        for operator, ballot in spoken.items():
            said.append((ordinal + len(opened) + len(said), identity, holders[operator], ballot))
    changes = tables["changes"]
    values = _values(changes["values"])
    since = changes["since"].tolist()
    return (
        made,
        said,
        list(zip(changes["rule"].tolist(), changes["asset"].tolist(), since, *values, strict=True)),
    )


def listed(
    connection: sa.Connection, status: ProposalStatus | None, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Return proposals, the newest first, with what their rule was (`was_value` and so on; null: as the
    network was founded), and the cursor of the next page. Raises: InputError ``cursor_invalid``."""
    scope = f"proposals {status}"
    query = _with_what_was().order_by(proposals.c.ordinal.desc()).limit(limit + 1)
    if status is not None:
        query = query.where(proposals.c.status == status.value)
    if cursor is not None:
        query = query.where(proposals.c.ordinal < decode_cursor(scope, cursor))
    rows = connection.execute(query).all()
    return rows[:limit], encode_cursor(scope, rows[limit - 1].ordinal) if len(rows) > limit else None


def last_named(connection: sa.Connection, identity: int) -> Any | None:
    """Return the last proposal of an id, as `listed` does, None where there is none."""
    query = _with_what_was().where(proposals.c.id == id_key(identity))
    return connection.execute(query.order_by(proposals.c.ordinal.desc()).limit(1)).first()


def said_to(connection: sa.Connection, rows: Sequence[Any]) -> list[dict[bytes, int]]:
    """Return what each authority last said to each of these proposals (n,), in the order of first voting."""
    found: list[dict[bytes, int]] = [{} for _ in rows]
    of_id: dict[bytes, list[tuple[Any, dict[bytes, int]]]] = {}
    for row, said in zip(rows, found, strict=True):
        of_id.setdefault(bytes(row.id), []).append((row, said))
    asked = ballots.c.proposal.in_(list(of_id))
    for ballot in connection.execute(sa.select(ballots).where(asked).order_by(ballots.c.ordinal)):
        for row, said in of_id[bytes(ballot.proposal)]:
            if row.ordinal < ballot.ordinal < (row.decided or row.enacted or 2**63):
                said[bytes(ballot.authority)] = ballot.ballot
    return found


def _with_what_was() -> sa.Select[Any]:
    """Return the query of proposals beside the change that was in force before each: before it came into
    force, when it was declined, or now."""
    decided = proposals.c.status.in_([ProposalStatus.DECLINED.value, ProposalStatus.LAPSED.value])
    end = sa.case(
        (proposals.c.enacted.is_not(None), _height_of("enacted")),
        (decided, _height_of("decided") + 1),
        else_=2**62,
    )
    earlier = rule_changes.alias("earlier")
    same = sa.and_(earlier.c.rule == proposals.c.rule, earlier.c.asset == proposals.c.asset)
    last = sa.select(sa.func.max(earlier.c.since)).where(same, earlier.c.since < end).correlate(proposals)
    joined = proposals.outerjoin(
        rule_changes,
        sa.and_(
            rule_changes.c.rule == proposals.c.rule,
            rule_changes.c.asset == proposals.c.asset,
            rule_changes.c.since == last.scalar_subquery(),
        ),
    )
    was = (rule_changes.c[name].label(f"was_{name}") for name in _VALUE_NAMES)
    return sa.select(proposals, *was).select_from(joined)


def _height_of(column: str) -> sa.ColumnClause[int]:
    return sa.literal_column(f"(proposals.{column} >> {POSITION_BITS})", sa.BigInteger)


def _values(rows: npt.NDArray[Any]) -> list[list[int]]:
    """Return the four numbers of rules, 32 bytes each, column by column as they are stored."""
    numbers = np.frombuffer(rows.tobytes(), "<i8").reshape(-1, VALUES)
    columns_: list[list[int]] = numbers.T.tolist()
    return columns_
