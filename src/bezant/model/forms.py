"""What a well-formed record of each kind looks like, and whose signature it needs.

One table: reference, kernel and the admit stage all go by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from bezant.model.records import Flag, Kind, Role

NO_FLAGS = Flag(0)


class Use(IntEnum):
    """Whether a kind uses a field."""

    NEVER = 0
    ALWAYS = 1
    MAYBE = 2


@dataclass(frozen=True, slots=True)
class Form:
    """What a well-formed record of one kind looks like, and whose signature it needs."""

    role: Role
    """One of these must have reached its threshold."""
    flags: Flag = NO_FLAGS
    related: Use = Use.NEVER
    hold_for_s: Use = Use.NEVER
    judged: bool = False
    """A decision may refuse it; any other kind is ordered with ALLOW."""


_CHAINS = Flag.LINKED | Flag.MAY_REVIEW
FORMS: Final[dict[Kind, Form]] = {
    # A TRANSFER or HOLD uses `related` exactly when it is UNDER_MANDATE.
    Kind.TRANSFER: Form(Role.PAY, _CHAINS | Flag.UNDER_MANDATE, Use.MAYBE, judged=True),
    Kind.HOLD: Form(Role.PAY, _CHAINS | Flag.UNDER_MANDATE, Use.MAYBE, Use.ALWAYS, judged=True),
    # Which of the two roles it takes depends on the hold.
    Kind.CAPTURE: Form(Role.PAY | Role.REVIEW, _CHAINS | Flag.KEEP_REST, Use.MAYBE),
    Kind.RELEASE: Form(Role.PAY | Role.REVIEW, _CHAINS, Use.MAYBE),
    Kind.REVERSE: Form(Role.PAY, Flag.LINKED, Use.ALWAYS, judged=True),
    Kind.LOCK: Form(Role.PAY, Flag.LINKED, Use.ALWAYS),
    Kind.CLAWBACK: Form(Role.ADMINISTER, Flag.LINKED),
    Kind.LABEL: Form(Role.REVIEW, related=Use.ALWAYS),
    Kind.BOND: Form(Role.ADMINISTER),
    Kind.UNBOND: Form(Role.ADMINISTER, related=Use.ALWAYS),
    Kind.REGISTER_AUTHORITY: Form(Role.ADMINISTER, related=Use.MAYBE),
    Kind.OPEN_ACCOUNT: Form(Role.ADMINISTER, related=Use.MAYBE),
    Kind.SET_FROZEN: Form(Role.ADMINISTER),
    Kind.SET_DELEGATE: Form(Role.ADMINISTER),
    Kind.SET_KEY: Form(Role.ADMINISTER, related=Use.MAYBE),
    Kind.SET_THRESHOLDS: Form(Role.ADMINISTER),
    Kind.RECOVER: Form(Role.RECOVER),
    Kind.SET_MANDATE: Form(Role.ADMINISTER, related=Use.ALWAYS, hold_for_s=Use.MAYBE),
    Kind.REVOKE_MANDATE: Form(Role.ADMINISTER, related=Use.ALWAYS),
    Kind.SET_LIMITS: Form(Role.ADMINISTER),
    Kind.CLOSE_ACCOUNT: Form(Role.ADMINISTER),
    Kind.SET_HOLDER: Form(Role.ADMINISTER),
    Kind.SET_PAUSED: Form(Role.ADMINISTER),
    Kind.SET_MODEL: Form(Role.ADMINISTER),
    Kind.REJOIN: Form(Role.ADMINISTER),
    Kind.PROPOSE: Form(Role.ADMINISTER, hold_for_s=Use.ALWAYS),
    Kind.VOTE: Form(Role.ADMINISTER, related=Use.ALWAYS),
}
"""One entry a kind."""


def form_column(of: Callable[[Form], int]) -> npt.NDArray[np.uint16]:
    """Return one property of every form as a column by kind number, 0 where there is no such kind."""
    column = np.zeros(max(Kind) + 1, np.uint16)
    for kind, form in FORMS.items():
        column[kind] = of(form)
    return column
