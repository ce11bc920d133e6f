"""Which column of a file is what: mappings, the ready ones, and finding the one that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from bezant.errors import ConfigError, DecodeError
from bezant.model.money import MAX_SCALE

AmountUnit = Literal["minor", "decimal"]
TimeUnit = Literal["d", "h", "s", "ms", "us", "ns", "text"]

NS_PER_UNIT: Mapping[str, int] = MappingProxyType(
    {
        "d": 86_400_000_000_000,
        "h": 3_600_000_000_000,
        "s": 1_000_000_000,
        "ms": 1_000_000,
        "us": 1_000,
        "ns": 1,
    }
)


@dataclass(frozen=True, slots=True)
class CardMapping:
    """Column names and what their values mean. An empty `id` or `label` says there is none.

    `amount_unit` is ``minor`` (whole minor units) or ``decimal`` (text, decimal or float numbers of
    the main unit with at most `scale` decimals). `time_unit` counts from `epoch`, an ISO date or time
    in UTC; ``text`` is ISO 8601 text or a date-time column, without a zone taken as UTC.
    """

    time: str
    debtor: str
    creditor: str
    amount: str
    id: str = ""
    label: str = ""
    amount_unit: AmountUnit = "decimal"
    scale: int = 2
    time_unit: TimeUnit = "text"
    epoch: str = "1970-01-01"

    def __post_init__(self) -> None:
        if self.amount_unit not in ("minor", "decimal"):
            raise ConfigError(f"amount_unit {self.amount_unit!r} is neither 'minor' nor 'decimal'")
        if self.time_unit != "text" and self.time_unit not in NS_PER_UNIT:
            raise ConfigError(f"time_unit {self.time_unit!r} is none of {', '.join(NS_PER_UNIT)}, text")
        if not 0 <= self.scale <= MAX_SCALE:
            raise ConfigError(f"scale {self.scale} is outside 0 to {MAX_SCALE}")
        missing = [name for name in ("time", "debtor", "creditor", "amount") if not getattr(self, name)]
        if missing:
            raise ConfigError(f"the mapping names no column for {', '.join(missing)}")
        self.epoch_ns()

    def epoch_ns(self) -> int:
        """Return the epoch in nanoseconds since 1970. Raises: ConfigError for text that is no time."""
        try:
            moment = datetime.fromisoformat(self.epoch)
        except ValueError as problem:
            raise ConfigError(f"epoch {self.epoch!r} is not an ISO date such as 2018-04-01") from problem
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000

    def columns(self) -> dict[str, str]:
        """Return {role: column name} for the columns that are read."""
        roles = ("id", "time", "debtor", "creditor", "amount", "label")
        return {role: getattr(self, role) for role in roles if getattr(self, role)}


READY_MAPPINGS: Mapping[str, CardMapping] = MappingProxyType(
    {
        "handbook": CardMapping(
            id="tx_id",
            time="ts",
            debtor="customer_id",
            creditor="terminal_id",
            amount="amount_cents",
            label="fraud",
            amount_unit="minor",
            time_unit="s",
            epoch="2018-04-01",
        ),
        "handbook-original": CardMapping(
            id="TRANSACTION_ID",
            time="TX_DATETIME",
            debtor="CUSTOMER_ID",
            creditor="TERMINAL_ID",
            amount="TX_AMOUNT",
            label="TX_FRAUD",
        ),
        "sparkov": CardMapping(
            id="trans_num",
            time="trans_date_trans_time",
            debtor="cc_num",
            creditor="merchant",
            amount="amt",
            label="is_fraud",
        ),
        "paysim": CardMapping(
            time="step",
            debtor="nameOrig",
            creditor="nameDest",
            amount="amount",
            label="isFraud",
            time_unit="h",
        ),
        "amlsim": CardMapping(
            time="time", debtor="sourceNodeId", creditor="targetNodeId", amount="value", time_unit="d"
        ),
        "bezant": CardMapping(
            id="id", time="time", debtor="debtor", creditor="creditor", amount="amount", label="label"
        ),
    }
)
"""Ready mappings by name: the fraud handbook as re-issued and as first published, three well-known
public simulations, and plain names for files of one's own."""


def detect_mapping(present: Iterable[str]) -> CardMapping:
    """Return the ready mapping whose columns are all there; `id` and `label` may be absent.

    Raises: DecodeError ``columns_unknown`` naming the columns that are there and what to do.
    """
    names = set(present)
    for mapping in READY_MAPPINGS.values():
        if {mapping.time, mapping.debtor, mapping.creditor, mapping.amount} <= names:
            return _without_absent(mapping, names)
    raise DecodeError(
        f"no ready mapping fits the columns {', '.join(sorted(names)) or '(none)'}; name them with "
        "--time, --debtor, --creditor and --amount, or use one of the ready "
        f"layouts: {', '.join(READY_MAPPINGS)}",
        code="columns_unknown",
    )


def _without_absent(mapping: CardMapping, names: set[str]) -> CardMapping:
    return CardMapping(
        time=mapping.time,
        debtor=mapping.debtor,
        creditor=mapping.creditor,
        amount=mapping.amount,
        id=mapping.id if mapping.id in names else "",
        label=mapping.label if mapping.label in names else "",
        amount_unit=mapping.amount_unit,
        scale=mapping.scale,
        time_unit=mapping.time_unit,
        epoch=mapping.epoch,
    )
