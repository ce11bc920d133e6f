"""Who may sign: the keys of an authority."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from bezant.errors import NotFound
from bezant.gateway.events import render_time
from bezant.interfaces.rest.services import Given
from bezant.interfaces.rest.shapes import Out
from bezant.ledger.batch import NS_PER_S
from bezant.ledger.open_items import key_ring
from bezant.model.identifiers import parse_authority_id
from bezant.model.keys import SCHEME_NAMES
from bezant.model.records import NO_ROW, ROLES


class KeyView(Out, frozen=True):
    slot: int
    scheme: str
    public_key: str
    roles: tuple[str, ...]


class RecoveryView(Out, frozen=True):
    """A key that replaces all others once it is asked for again after `ready_at`, unless they object."""

    scheme: str
    public_key: str
    ready_at: str


class AuthorityView(Out, frozen=True):
    """Who may sign: how many of the keys with a role it takes; 0 means that nobody can."""

    authority: str
    keys: tuple[KeyView, ...]
    thresholds: dict[str, int]
    recovery: RecoveryView | None = None


@get("/authorities/{authority:str}")
async def get_authority(services: Given, authority: FromPath[str]) -> AuthorityView:
    """Return the keys of an authority, what each may sign for, and how many it takes."""
    ledger = services.node.engine.ledger
    row = ledger.authority_row(parse_authority_id(authority))
    if row == NO_ROW:
        raise NotFound(f"there is no authority {authority[:32]}", code="authority_unknown", param="authority")
    ring = key_ring(ledger, row)
    recovery = None
    if ring.recovery is not None:
        scheme, public, since_ns = ring.recovery
        ready_ns = since_ns + ledger.in_force.rules.recovery_delay_s * NS_PER_S
        recovery = RecoveryView(SCHEME_NAMES[scheme], public.hex(), render_time(ready_ns))
    return AuthorityView(
        authority=authority,
        keys=tuple(
            KeyView(
                key.slot,
                SCHEME_NAMES[key.scheme],
                key.public.hex(),
                tuple(str(role.name).lower() for role in ROLES if role in key.roles),
            )
            for key in ring.keys
        ),
        thresholds={
            str(role.name).lower(): count for role, count in zip(ROLES, ring.thresholds, strict=True)
        },
        recovery=recovery,
    )


ROUTES = [get_authority]
