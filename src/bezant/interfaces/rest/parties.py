"""Parties: register somebody, look them up, erase them."""

from __future__ import annotations

from litestar import delete, get, post
from litestar.params import FromPath

from bezant.errors import NotFound, VaultError
from bezant.gateway.accounts import PartyProfile
from bezant.interfaces.rest.render import verdict_word
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import (
    EmptyRequest,
    ErasedView,
    NameHit,
    PartyRequest,
    PartyView,
    ScreeningView,
)
from bezant.model.identifiers import render_id


@post("/parties", opt={"body": PartyRequest}, status_code=201)
async def register_party(request: AnyRequest, services: Given) -> PartyView:
    """Register a party; its name is matched with the watchlist and sealed in the vault."""
    body = await read_body(request, PartyRequest)
    profile = PartyProfile(body.name, body.country, body.kind)
    (party,) = await in_thread(services.node.accounts.register_parties, [profile])
    return PartyView(
        party=party.number,
        screening=verdict_word(party.screening),
        name=profile.name,
        country=profile.country,
        kind=profile.kind,
        hits=tuple(NameHit(hit.entry_id, hit.name, round(hit.score, 1)) for hit in party.hits),
    )


@get("/parties/{party:int}")
async def get_party(services: Given, party: FromPath[int]) -> PartyView:
    """Return a party; 410 once it was erased."""
    return await in_thread(_view, services, party)


@delete("/parties/{party:int}", status_code=200)
async def erase_party(services: Given, party: FromPath[int]) -> ErasedView:
    """Destroy a party's key, so that nothing of it can be read again, and freeze its accounts.

    Every proof that names its accounts still verifies.
    """
    await in_thread(_known, services, party)
    frozen = await in_thread(services.node.accounts.erase, party)
    return ErasedView(party, tuple(render_id(account) for account in frozen))


@post("/screening/reload", opt={"body": EmptyRequest}, status_code=200)
async def reload_watchlist(request: AnyRequest, services: Given) -> ScreeningView:
    """Read the watchlist again and match every party with what changed in it."""
    await read_body(request, EmptyRequest)
    changed = await in_thread(services.node.reload_watchlist)
    watchlist = services.node.desk.screening.watchlist
    return ScreeningView(len(watchlist), watchlist.version, watchlist.digest, tuple(changed))


def _view(services: Services, party: int) -> PartyView:
    profile, node = _known(services, party), services.node
    return PartyView(
        party=party,
        screening=verdict_word(node.desk.screening.of(party)),
        name=profile.name,
        country=profile.country,
        kind=profile.kind,
        accounts=tuple(render_id(account) for account in node.accounts.of_party(party)),
    )


def _known(services: Services, party: int) -> PartyProfile:
    try:
        return services.node.accounts.profile(party)
    except NotFound:
        raise NotFound(f"there is no party {party}", code="party_unknown", param="party") from None
    except VaultError as error:
        raise VaultError(f"party {party} was erased", code=error.code, param="party") from None


ROUTES = [register_party, get_party, erase_party, reload_watchlist]
