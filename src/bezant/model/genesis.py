"""The genesis: a canonical file whose hash is the network id.

It names the assets, the institutions and gateways by public key, who seals blocks, and the
rules. Everything else (authorities, accounts, money) comes from ordered records.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bezant.errors import DecodeError
from bezant.model.digest import TAG_GENESIS, sha256
from bezant.model.keys import SCHEMES
from bezant.model.money import MAX_SCALE, Asset

MAX_VALIDATORS = 1_000
MAX_POWER = 2**40
"""Of one validator: a thousand of them stay below what CometBFT can count, 2^60."""
MAX_UNIT = 2**22
"""So that the bonds of one validator fit 64 bits."""


MAX_LEAST_BOND = 2**53 - 1
"""Minor units; every reader of JSON has numbers as large as that."""
MAX_FEE = 2**32 - 1
"""Minor units of one payment."""


class GenesisAsset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    code: str
    scale: int
    issuer: int
    """The institution whose accounts of this asset may go negative."""
    approve_holders: bool = False
    """Only accounts that the issuer approved, and its own, may pay and be paid."""
    freezable: bool = False
    """The issuer may freeze an account of another institution."""
    pausable: bool = False
    """The issuer may stop every payment in the asset."""
    clawback: bool = False
    """The issuer may take a balance back, from frozen accounts too."""
    member_credit: bool = False
    """Institutions other than the issuer may let their accounts go negative, to a limit."""
    refund_window_s: int = 180 * 86_400
    """How long after a payment it may be reversed."""


class GenesisInstitution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    name: str
    key: str
    """Ed25519 public key, hexadecimal."""


class GenesisValidator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who votes on blocks from the first on. These votes are granted; bonds add to them."""

    key: str
    """Ed25519 public key, hexadecimal."""
    power: int
    institution: int
    """Who operates it."""


def _written(default: int) -> Any:
    """Return a default that is written out all the same: what a factory makes is never left out."""
    return msgspec.field(default_factory=lambda: default)


class Stake(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What votes cost, and what faults do."""

    asset: int
    """The number of the asset that is bonded."""
    unit: int
    """Minor units that one vote takes."""
    unbonding_s: int = _written(172_800)
    """How long a bond can still be taken from after it ended: at least as long as evidence is taken."""
    slash_ppm: int = _written(50_000)
    """Part of every bond, in parts per million, that signing twice costs."""
    jail_s: int = _written(600)
    """How long a validator that was away may not rejoin."""
    away_blocks: int = _written(500)
    """After how many blocks in a row without its vote it is away."""
    least_bond: int = 0
    """Minor units that a validator which votes has bonded at least, if it has any bonded; 0: no least. Left
    out of the canonical bytes then."""


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ledger that a network goes on from, as its last block left it; hashes are hexadecimal."""

    genesis: str
    """The id of that ledger's own genesis, under which its receipts verify for ever."""
    height: int
    time_ns: int
    app_hash: str
    state_root: str
    """The root over the whole state, as its own chain computes it."""
    archive_root: str
    """The root over every answer that was given until then; see `storage.archive`."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every node must agree on; `governance` says which of it may be changed by vote."""

    version: int = 1
    id_window_s: int = 600
    """How old a payment id may be; also how long it is remembered."""
    id_future_s: int = 30
    review_for_s: int = 72 * 3600
    """How long a payment waits for a reviewer before its reserve returns."""
    max_live_ids: int = 100_000_000
    checkpoint_interval: int = 1_000
    """Blocks between full checks of the invariants, and between state roots."""
    schemes: tuple[int, ...] = SCHEMES
    """Signature schemes that new keys may have: 1 Ed25519, 2 BIP-340 over secp256k1."""
    recovery_delay_s: int = 86_400
    """How long the keys of an authority have to object before a recovery replaces them."""


class Fee(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What payments in an asset are charged, in minor units: a flat part and parts per million of the amount,
    not less than the minimum and not more than the maximum."""

    asset: int
    flat: int = 0
    ppm: int = 0
    minimum: int = 0
    maximum: int = 0


class Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    version: int
    network: str
    created_ms: int
    rules: Rules
    assets: tuple[GenesisAsset, ...]
    institutions: tuple[GenesisInstitution, ...]
    gateways: tuple[str, ...]
    """Public keys that may attest Orders."""
    sealers: tuple[str, ...]
    """Public keys that seal blocks, one node each."""
    validators: tuple[GenesisValidator, ...] = ()
    """Who votes from the first block on, under CometBFT; none where one node orders alone. Left out of the
    canonical bytes then."""
    stake: Stake | None = None
    """Without it nobody bonds, and votes stay as they are granted here."""
    snapshot_interval: int = 0
    """Every so many blocks of a network the app hash covers the state as of that very block, so that a new
    member can begin there; 0: never."""
    origin: Origin | None = None
    """What a network goes on from; without it the first block is number 1, and there is no money before."""
    fees: tuple[Fee, ...] = ()
    """By asset, in their order; an asset that is not here costs nothing."""

    def asset(self, code: str) -> Asset:
        """Return an asset by its code; raises KeyError."""
        for asset in self.assets:
            if asset.code == code:
                return Asset(asset.number, asset.code, asset.scale)
        raise KeyError(code)


def encode_genesis(genesis: Genesis) -> bytes:
    """Return the canonical bytes: JSON in declared field order, no spaces."""
    return msgspec.json.encode(genesis)


def network_id(genesis: Genesis) -> bytes:
    """Return the 32 bytes that every signature names."""
    return sha256(TAG_GENESIS, encode_genesis(genesis))


def decode_genesis(data: bytes) -> Genesis:
    """Return a checked genesis. Raises: DecodeError for anything but the canonical bytes of a valid one."""
    try:
        genesis = msgspec.json.decode(data, type=Genesis)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the genesis does not parse: {error}", code="genesis_malformed") from None
    if encode_genesis(genesis) != data:
        raise DecodeError(
            "the genesis is not in canonical form, so its hash is not its id", code="genesis_malformed"
        )
    check_genesis(genesis)
    return genesis


def check_genesis(genesis: Genesis) -> None:
    """Raise DecodeError naming the first thing that is wrong."""
    problem = _problem(genesis)
    if problem:
        raise DecodeError(f"genesis: {problem}", code="genesis_invalid")


def _problem(genesis: Genesis) -> str:
    if genesis.version != 1 or genesis.rules.version != 1:
        return "only version 1 is known to this release"
    numbers = [asset.number for asset in genesis.assets]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        return "assets must be numbered 1, 2, 3 ..."
    if [i.number for i in genesis.institutions] != list(range(1, len(genesis.institutions) + 1)):
        return "institutions must be numbered 1, 2, 3 ..."
    for asset in genesis.assets:
        if not (asset.code.isascii() and asset.code.isalnum() and asset.code.isupper()):
            return f"asset code {asset.code!r} is not capitals and digits"
        if not 1 <= len(asset.code) <= 8 or not 0 <= asset.scale <= MAX_SCALE:
            return f"asset {asset.code!r}: 1 to 8 characters, scale 0 to {MAX_SCALE}"
        if not 1 <= asset.issuer <= len(genesis.institutions):
            return f"asset {asset.code!r} is issued by institution {asset.issuer}, which does not exist"
        if not 0 <= asset.refund_window_s < 2**32:
            return f"asset {asset.code!r}: refund_window_s is 0 to {2**32 - 1}"
    if len({asset.code for asset in genesis.assets}) != len(genesis.assets):
        return "two assets share a code"
    keys = [i.key for i in genesis.institutions] + list(genesis.gateways)
    if len(set(keys)) != len(keys):
        return "institutions and gateways must have a key each"
    for key in [*keys, *genesis.sealers]:
        if len(key) != 64 or any(c not in "0123456789abcdef" for c in key):
            return f"{key[:70]!r} is not a public key of 64 lower-case hexadecimal digits"
    if not genesis.gateways or not genesis.sealers:
        return "at least one gateway and one sealer are needed"
    voters = [validator.key for validator in genesis.validators]
    if any(len(key) != 64 or set(key) - set("0123456789abcdef") for key in voters):
        return "a validator's key is 64 lower-case hexadecimal digits"
    if len(set(voters)) != len(voters) or len(voters) > MAX_VALIDATORS:
        return f"validators have a key each and are at most {MAX_VALIDATORS}"
    if any(not 0 < validator.power <= MAX_POWER for validator in genesis.validators):
        return f"a validator's power is 1 to {MAX_POWER}"
    operators = [validator.institution for validator in genesis.validators]
    if any(not 1 <= operator <= len(genesis.institutions) for operator in operators):
        return "a validator is operated by an institution that does not exist"
    if genesis.stake is not None and (problem := _stake_problem(genesis.stake, len(genesis.assets))):
        return problem
    if problem := _beginning_problem(genesis):
        return problem
    charged = [fee.asset for fee in genesis.fees]
    if charged != sorted(set(charged)) or any(not 1 <= asset <= len(genesis.assets) for asset in charged):
        return "fees are of assets that there are, each once and in their order"
    for fee in genesis.fees:
        if not is_schedule(fee.flat, fee.ppm, fee.minimum, fee.maximum) or not fee.maximum:
            return f"fee of asset {fee.asset}: ppm up to 1000000, minimum up to maximum, up to {MAX_FEE}"
    rules = genesis.rules
    if not (0 < rules.id_window_s <= 7 * 86_400 and 0 <= rules.id_future_s <= 3_600):
        return "id_window_s is 1 to 604800 and id_future_s 0 to 3600"
    if not (0 < rules.review_for_s < 2**32 and rules.checkpoint_interval > 0 and rules.max_live_ids > 0):
        return "rules must be positive"
    schemes = rules.schemes
    if not schemes or any(scheme not in SCHEMES for scheme in schemes) or len(set(schemes)) != len(schemes):
        return "schemes are 1 (Ed25519) and 2 (secp256k1), each at most once and one at least"
    if not 0 <= rules.recovery_delay_s < 2**32:
        return f"recovery_delay_s is 0 to {2**32 - 1}"
    return ""


def _beginning_problem(genesis: Genesis) -> str:
    every, interval, origin = genesis.snapshot_interval, genesis.rules.checkpoint_interval, genesis.origin
    if every and (every < 0 or not genesis.validators or interval < 2 or every % interval):
        return "snapshot_interval is for networks, and a multiple of checkpoint_interval, which is 2 at least"
    if origin is None:
        return ""
    if not genesis.validators:
        return "only a network goes on from another ledger"
    hashes = origin.genesis, origin.app_hash, origin.state_root, origin.archive_root
    if any(len(text) != 64 or set(text) - set("0123456789abcdef") for text in hashes):
        return "what the origin names are hashes of 64 lower-case hexadecimal digits"
    if not (0 < origin.height < 2**62 and 0 < origin.time_ns <= genesis.created_ms * 1_000_000):
        return "the origin's last block is number 1 at least, and older than this genesis"
    return ""


def is_schedule(flat: int, ppm: int, minimum: int, maximum: int) -> bool:
    """Return whether these make a fee, or, all of them 0, none."""
    nothing = not (flat or ppm or minimum or maximum)
    within = 0 <= flat <= MAX_FEE and 0 <= ppm <= 1_000_000 and 0 <= minimum <= maximum <= MAX_FEE
    return nothing or (within and maximum > 0)


def _stake_problem(stake: Stake, assets: int) -> str:
    if not 1 <= stake.asset <= assets:
        return f"what is bonded is asset {stake.asset}, which does not exist"
    if not 1 <= stake.unit <= MAX_UNIT:
        return f"a vote takes 1 to {MAX_UNIT} minor units"
    if not 0 < stake.away_blocks < 2**32:
        return f"away_blocks is 1 to {2**32 - 1}"
    if not 0 < stake.unbonding_s < 2**32 or not 0 <= stake.jail_s < 2**32:
        return f"unbonding_s is 1 to {2**32 - 1}, and jail_s 0 to that"
    if not 0 <= stake.least_bond <= MAX_LEAST_BOND:
        return f"least_bond is 0 to {MAX_LEAST_BOND}"
    return "" if 0 <= stake.slash_ppm <= 1_000_000 else "slash_ppm is 0 to 1000000"
