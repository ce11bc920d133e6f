"""What to do with a score: the thresholds by which a payment is allowed, reviewed or blocked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bezant.errors import ConfigError


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds in parts per million; 0 takes the one the model was validated with."""

    review_ppm: int = 0
    block_ppm: int = 0
    block: bool = True
    """Without it nothing is blocked by score; payments over `block_ppm` are reviewed."""
    control_share: float = 0.005
    """Share of would-be reviews that pass, marked, so that what reviews catch stays measurable."""
    control_max_minor: int = 100_000
    """No payment above this many minor units is ever passed as control."""

    def __post_init__(self) -> None:
        if not (0 <= self.review_ppm <= 1_000_000 and 0 <= self.block_ppm <= 1_000_000):
            raise ConfigError("policy: thresholds are 0 to 1000000 parts per million", param="policy")
        if self.review_ppm > self.block_ppm > 0:
            raise ConfigError(
                f"policy: review_ppm {self.review_ppm} is above block_ppm {self.block_ppm}; what is blocked "
                "must be at least as suspicious as what is reviewed",
                param="policy.review_ppm",
            )
        if not 0 <= self.control_share <= 0.005:
            raise ConfigError("policy: control_share is 0 to 0.005", param="policy.control_share")


def read_policy(settings: Mapping[str, float | int | bool]) -> Policy:
    """Return the policy in a configuration. Raises: ConfigError."""
    try:
        return msgspec.convert(settings, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"policy: {error}") from None
