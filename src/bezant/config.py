"""Settings: the only reader of the environment and of configuration files.

Defaults suit one machine. A ``bezant.toml`` in the data folder overrides them, and environment
variables override what stands in a section: ``BEZANT_HTTP_PORT=8001`` sets ``port`` in ``[http]``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bezant.errors import ConfigError


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 8790
    max_body_bytes: int = 1_048_576
    rate_per_s: float = 20_000.0
    """Requests a second that one token may make, lasting."""
    burst: int = 40_000
    """Requests that it may make at once."""
    reply_timeout_s: float = 30.0
    """How long a payment is waited for; after that its outcome is unknown, to be queried."""


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which implementation each stage has: a name from the entry points ``bezant.stages``, or a
    dotted path ``package.module:Class``."""

    authenticate: str = "bezant.stages.authenticate:Authenticate"
    admit: str = "bezant.stages.admit:Admit"
    screen: str = "bezant.stages.screen:Screen"
    score: str = "bezant.stages.score:Score"
    decide: str = "bezant.stages.decide:Decide"
    route: str = "bezant.stages.route:Route"
    settle: str = "bezant.stages.settle:Settle"
    notify: str = "bezant.stages.notify:Notify"
    budget_factor: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """How many times its time budget a stage may take before its fallback stands in; 0 lifts the bound, for
    measurements that have to come to the same on a slow machine."""


class Screening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list that parties are matched with; none is shipped, so none matches nobody."""

    list: str = ""
    """Path of a CSV or text file, relative to the data folder."""
    review_at: float = 85.0
    block_at: float = 97.0


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    follow: bool = True
    """Without it there is no read model, so no lists, statements or webhooks: for who serves no customers."""
    url: str = ""
    """SQLAlchemy URL; empty means SQLite in the data folder."""
    max_lag_payments: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Payments that the store may be behind before admission refuses more: under a minute of its work."""


class Webhooks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allow_private: bool = False
    """Deliver to private addresses and without TLS too: for development and closed networks."""


class Witnesses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may co-sign this node's checkpoints."""

    keys: tuple[str, ...] = ()
    """Verifier keys, as ``bezant witness new`` prints them."""
    quorum: int = 1
    """Co-signatures that a checkpoint needs before receipts carry it rather than a newer one."""


class Chain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What orders payments: this node by itself, or a network of validators through CometBFT."""

    engine: Literal["embedded", "cometbft"] = "embedded"
    cometbft: str = ""
    """Path of the CometBFT program; empty looks beside Python and on the path."""
    rpc: str = "http://127.0.0.1:26657"
    """Where this node's CometBFT answers."""
    keep_blocks: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many of CometBFT's blocks are kept at least; 0 keeps all. Those that evidence may be about stay."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set; see each section."""

    http: Http = Http()
    chain: Chain = Chain()
    pipeline: Pipeline = Pipeline()
    screening: Screening = Screening()
    store: Store = Store()
    webhooks: Webhooks = Webhooks()
    witnesses: Witnesses = Witnesses()
    policy: dict[str, float | int | bool] = {}
    """Thresholds of the decide stage; see `bezant.stages.policy.Policy`."""
    costs: dict[str, Any] = {}
    """What mistakes cost, for thresholds that follow; see `bezant.intelligence.costs.Costs`."""
    rules: list[dict[str, object]] = []
    """Rules beside the model; see `bezant.intelligence.rulebook.Rule`."""
    delegate_cap_minor: int = 100_000_000
    """Most that one token-only payment may move from an account opened over REST."""


_SECTIONS = ("http", "chain", "pipeline", "screening", "store", "webhooks", "witnesses", "policy", "costs")


def load_config(folder: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Return the settings of a data folder. Raises: ConfigError naming the setting."""
    path = folder / "bezant.toml"
    raw: dict[str, Any] = {}
    if path.exists():
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
    for name, value in (os.environ if environment is None else environment).items():
        _override(raw, name, value)
    try:
        return msgspec.convert(raw, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path.name} or environment: {error}") from None


def _override(raw: dict[str, Any], name: str, value: str) -> None:
    """Set one value from ``BEZANT_SECTION_KEY``; other variables are somebody else's."""
    section, _, key = name.removeprefix("BEZANT_").lower().partition("_")
    if name.startswith("BEZANT_") and key and section in _SECTIONS:
        raw.setdefault(section, {})[key] = value
