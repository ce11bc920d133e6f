"""Assets and the network: what can be held here, new money, and what a signer must know."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from bezant.interfaces.rest.accounts import view_of
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.payments import pay
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body, request_id
from bezant.interfaces.rest.shapes import AssetList, AssetView, IssueRequest, NetworkView, PaymentView
from bezant.ledger.open_items import is_paused
from bezant.ledger.standing import Policy, policy_of
from bezant.model.genesis import GenesisAsset
from bezant.model.identifiers import AccountId, PaymentId, render_id
from bezant.model.keys import authority_id


@get("/assets")
async def list_assets(services: Given) -> AssetList:
    """List the assets of this network and how much of each is issued."""
    return await in_thread(_assets, services)


@post(
    "/assets/{asset:str}/issues",
    opt={"body": IssueRequest, "once": True, "own": {202: "It waits for a person"}},
    status_code=201,
)
async def issue_asset(request: AnyRequest, services: Given, asset: FromPath[str]) -> Response[PaymentView]:
    """Issue new money: a payment from the issuer's treasury, signed by the institution."""
    body = await read_body(request, IssueRequest)

    async def act(identity: PaymentId) -> Answer:
        instruction = await in_thread(
            services.node.payments.issue,
            AccountId(int(body.creditor, 16)),
            body.amount,
            asset,
            identity=identity,
        )
        return await pay(request_id(request), services, instruction, by_institution=True)

    return await services.once(request, act)


@get("/network")
async def get_network(services: Given) -> NetworkView:
    """Return what a client must know to sign for this network."""
    engine = services.node.engine
    genesis = engine.genesis
    return NetworkView(
        network=genesis.network,
        genesis_hash=engine.network.hex(),
        gateway_authority=render_id(authority_id(services.node.desk.gateway_key.public)),
        id_window_s=genesis.rules.id_window_s,
        id_future_s=genesis.rules.id_future_s,
        asset_numbers={asset.code: asset.number for asset in genesis.assets},
    )


def asset_view(services: Services, asset: GenesisAsset) -> AssetView:
    """Return an asset: what of it is issued, and what its issuer may do."""
    node = services.node
    treasury = node.accounts.treasury(node.accounts.asset(asset.code))
    return AssetView(
        asset.code,
        asset.scale,
        node.engine.genesis.institutions[asset.issuer - 1].name,
        render_id(treasury),
        view_of(services, treasury, None).balance.removeprefix("-"),
        paused=is_paused(node.engine.ledger, asset.number),
        policy=tuple(str(bit.name).lower() for bit in Policy if bit in policy_of(asset)),
        refund_window_s=asset.refund_window_s,
    )


def _assets(services: Services) -> AssetList:
    return AssetList(tuple(asset_view(services, asset) for asset in services.node.engine.genesis.assets))


ROUTES = [list_assets, issue_asset, get_network]
